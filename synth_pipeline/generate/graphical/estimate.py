"""Estimation of a graphical model from noisy tables (Private-PGM), by coordinate ascent on the junction tree.

Private-PGM looks for the law p whose marginals miss the noisy tables y least, and among those for the one of greatest entropy. Here both
are one problem, whose solution is a product of one log-factor θ_m a table:

    minimise  Σ_m ½ Σ_i (N p_m,i − y_m,i)² / (r σ_m,i)  +  N · Σ_x p(x) log p(x),        p(x) ∝ exp Σ_m θ_m(x_m),

| here | paper | is |
|---|---|---|
| `theta` θ_m | θ_C | log-factor of table m |
| `rows` N | total | number of rows |
| `values`, `sigma` | y, σ | the noisy table |
| `ridge` r | – | weight of the entropy: a table may be missed by r·σ·|θ| |

Deviation from the paper: it descends by mirror steps on the bare squared error, thousands of times, over all tables at once. With the
entropy in the objective the dual is strictly concave, and each table's best θ_m with all others fixed is the root of one increasing
function a cell (N p e^x + r σ x = y − r σ θ), which bounds the dual from below and so never overshoots: iterative proportional fitting
with slack. The part of θ that belongs to a single column is settled among all tables that have the column at once, in closed form.
Tables are visited clique by clique along the tree, so that a sweep costs about two passes over the model for each of them, needs no
step size, and starts from the last round's θ; a handful of sweeps does.

Source:
    McKenna, Sheldon and Miklau 2019 ("Graphical-model based estimation and inference for differential privacy", arXiv 1901.09136);
    Jiroušek and Přeučil 1995 (effective proportional fitting on a junction tree).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_pipeline.generate.graphical.beliefs import Beliefs, Floats, marginal, multiply, spread, start_beliefs
from synth_pipeline.generate.graphical.junction import Columns, JunctionTree

_NEWTON_STEPS = 6
_LONGEST_STEP = 3.0


@dataclass(frozen=True, eq=False)
class Measurement:
    """A noisy table.

    Attributes:
        columns: its columns; axes of `values` in this order.
        values: noisy counts.
        sigma: standard deviation of the noise of each, broadcastable to `values`.
    """

    columns: Columns
    values: Floats
    sigma: Floats

    def merged(self, other: "Measurement") -> "Measurement":
        """The inverse-variance mean of two measurements of the same table."""
        first, second = self.sigma**-2.0, other.sigma**-2.0
        values = (first * self.values + second * other.values) / (first + second)
        return Measurement(self.columns, values, (first + second) ** -0.5)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A fitted model.

    Attributes:
        beliefs: its marginals.
        theta: log-factor of each measured table, by its columns; a later fit starts from them.
        residual: root mean square of (N p − y)/σ over all cells; about 1 for a good fit of a model that is true.
        change: largest mean move of a table in the last sweep, in units of its noise.
    """

    beliefs: Beliefs
    theta: Mapping[Columns, Floats]
    residual: float
    change: float


@dataclass(frozen=True)
class Effort:
    """How hard to fit.

    Attributes:
        sweeps: most sweeps over the tree.
        tolerance: stop when no table moves by more, in units of its noise.
        ridge: weight of the entropy.
    """

    sweeps: int = 5
    tolerance: float = 0.01
    ridge: float = 0.5


def estimate(
    tree: JunctionTree,
    measurements: Sequence[Measurement],
    *,
    rows: float,
    theta: Mapping[Columns, Floats],
    effort: Effort,
) -> Estimate:
    """Fit a model to noisy tables, each of whose columns share a clique of the tree.

    Args:
        tree: junction tree of the model.
        measurements: at most one for each set of columns.
        rows: number of rows N.
        theta: log-factors to start from; 0 where absent.
        effort: how hard to fit.
    """
    current = {item.columns: theta.get(item.columns, np.zeros_like(item.values)) for item in measurements}
    beliefs = start_beliefs(tree, current.items())
    at_home: dict[int, list[Measurement]] = {}
    for item in measurements:
        home = tree.home(item.columns)
        if home is not None:
            at_home.setdefault(home, []).append(item)
    by_column = {column: [item for item in measurements if column in item.columns] for column in range(len(tree.sizes))}
    fitter = _Fitter(beliefs, at_home, by_column, current, rows, effort.ridge)
    change = np.inf
    for _ in range(effort.sweeps):
        change = fitter.sweep()
        if change <= effort.tolerance:
            break
    beliefs.distribute()
    return Estimate(beliefs, current, _residual(beliefs, measurements, rows), change)


@dataclass(frozen=True, eq=False)
class _Fitter:
    """What one fit passes from step to step."""

    beliefs: Beliefs
    at_home: Mapping[int, list[Measurement]]
    by_column: Mapping[int, list[Measurement]]
    theta: dict[Columns, Floats]
    rows: float
    ridge: float

    def sweep(self) -> float:
        """Visit every clique, depth first and back, and fit its tables; the largest mean move of a table in units of noise."""
        parents = self.beliefs.tree.parents
        path: list[int] = []
        moves = [0.0]
        for index, parent in enumerate(parents):
            while path and path[-1] != parent:
                self._leave(path)
            if parent >= 0:
                self.beliefs.absorb(index, parent)
            path.append(index)
            moves += [self._fit(index, item) for item in self.at_home.get(index, [])]
        while path:
            self._leave(path)
        return max(moves)

    def _leave(self, path: list[int]) -> None:
        """Go back from a clique to its parent, taking the news along."""
        left = path.pop()
        if path:
            self.beliefs.absorb(path[-1], left)

    def _fit(self, index: int, item: Measurement) -> float:
        """The best log-factors of one table and then of its columns, all others fixed; how far the table moved."""
        table, clique = self.beliefs.cliques[index], self.beliefs.tree.cliques[index]
        model = marginal(table, clique, item.columns)
        moved = model * np.exp(self._improve(item, model)) if model.ndim > 1 else model
        for axis, column in enumerate(item.columns):
            step = self._balance(column, moved.sum(axis=_others(moved, axis)))
            moved = moved * np.exp(step).reshape([-1 if other == axis else 1 for other in range(moved.ndim)])
        moved = moved / moved.sum()
        multiply(table, clique, (item.columns, np.divide(moved, model, out=np.zeros_like(model), where=model > 0)))
        return float((np.abs(moved - model) * self.rows / item.sigma).mean())

    def _improve(self, item: Measurement, model: Floats) -> Floats:
        """The best step of one table's log-factor."""
        theta, slack = self.theta[item.columns], self.ridge * item.sigma
        step = _root(self.rows * model, slack, item.values - slack * theta)
        self.theta[item.columns] = theta + step
        return step

    def _balance(self, column: int, share: Floats) -> Floats:
        """The best step of a column's log-factor, shared out among all tables that have the column; returns the sum of their steps.

        Tables disagree on the columns that they share, and one at a time would each pull its own way; here they settle at once: with
        s_m the slack and c_m the gradient of table m summed over its other columns, x_m = (c_m − N p e^δ) / s_m and δ = Σ x_m.
        """
        tables = self.by_column[column]
        slacks, gaps = np.empty((len(tables), len(share))), np.empty((len(tables), len(share)))
        for number, item in enumerate(tables):
            slack = self.ridge * item.sigma
            others = _others(slack, item.columns.index(column))
            slacks[number] = slack.sum(axis=others)
            gaps[number] = (item.values - slack * self.theta[item.columns]).sum(axis=others)
        inverse = (1 / slacks).sum(axis=0)
        total = _root(self.rows * share * inverse, np.ones_like(share), (gaps / slacks).sum(axis=0))
        steps = (gaps - self.rows * share * np.exp(total)) / slacks
        steps += (total - steps.sum(axis=0)) / slacks / inverse
        for item, step in zip(tables, steps, strict=True):
            self.theta[item.columns] = self.theta[item.columns] + spread(item.columns, ((column,), step))
        return total


def _others(table: Floats, axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(table.ndim) if other != axis)


def _root(scale: Floats, slack: Floats, goal: Floats) -> Floats:
    """The x of each cell with scale·e^x + slack·x = goal, inside ±`_LONGEST_STEP`, by Newton steps.

    Example:
        >>> _root(np.array([1.0]), np.array([1.0]), np.array([np.e + 1.0])).round(6).tolist()
        [1.0]
    """
    # The left side is convex and increasing: from a start to the right of the root Newton's steps never pass it.
    start = np.log(np.maximum(goal + _LONGEST_STEP * slack, 1e-300) / np.maximum(scale, 1e-300))
    x = np.clip(start, -_LONGEST_STEP, _LONGEST_STEP)
    for _ in range(_NEWTON_STEPS):
        grown = scale * np.exp(x)
        x = np.clip(x - (grown + slack * x - goal) / (grown + slack), -_LONGEST_STEP, _LONGEST_STEP)
    return x


def _residual(beliefs: Beliefs, measurements: Sequence[Measurement], rows: float) -> float:
    squares = [
        ((rows * beliefs.table(item.columns) - item.values) / item.sigma).reshape(-1) ** 2 for item in measurements
    ]
    return float(np.sqrt(np.concatenate(squares).mean())) if squares else 0.0
