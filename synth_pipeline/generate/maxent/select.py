"""SELECT and MEASURE: which tables of pairs a round measures, by noisy errors of the current model.

All candidates' errors are released at once as one noisy vector: L1 errors are thousands of rows, so their Gaussian noise is as cheap as
a private top-k, the release is plain Gaussian DP, and every score can be shown.

Source:
    Select–measure–fit after McKenna, Mullins, Sheldon & Miklau 2022 (AIM), with a vector release in place of the exponential mechanism.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.maxent.config import RoundPlan, SelectionConfig
from synth_pipeline.generate.maxent.fit import Measurement, table_key
from synth_pipeline.generate.maxent.grouping import Grouping, code_order, rectangle_partitions
from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.privacy.curator import EncodedView
from synth_pipeline.table.profile import Floats, Profile

_CLEAR_SCORE = 0.5
_TARGET_ROWS_PER_SIGMA = 6.0


@dataclass(frozen=True, eq=False)
class Candidate:
    """A table that may be measured.

    Attributes:
        partition: its cells, over domain indices.
        model: the model's share of each cell.
        cells: number of cells.
    """

    partition: PairPartition
    model: Floats

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.partition.size

    @property
    def pair(self) -> tuple[int, int]:
        """The two columns."""
        return self.partition.first, self.partition.second


@dataclass(frozen=True, eq=False)
class Selector:
    """Chooses and measures the tables of a round.

    Attributes:
        view: the encoded private rows.
        profile: the released profile.
        grouping: coarse maps of the columns.
        config: constants of the mechanism.
        plan: how the budget is spread.
        active: indices of the columns in the field.
        target: index of the target column, if any.
        earlier: tables of an earlier release that are used; none but in a refresh.
    """

    view: EncodedView
    profile: Profile
    grouping: Grouping
    config: SelectionConfig
    plan: RoundPlan
    active: tuple[int, ...]
    target: int | None
    earlier: tuple[Measurement, ...] = ()

    def run(self, number: int, joints: "PairJoints", measured: dict[str, Measurement], *, cost: float) -> "Round":
        """One round: candidates, their noisy errors, picks, noisy tables.

        Privacy:
            `selection_share` of the cost for one noisy score vector, the rest for the picked tables, ∝ cells^cells_power.
        """
        measure_cost = cost * (1 - self.plan.selection_share)
        found = self._candidates(number, joints, measured, smallest=self._noise_share(measure_cost))
        expected = [np.rint(item.model * self.profile.rows).astype(np.int64) for item in found]
        partitions = [item.partition for item in found]
        scores = self.view.pair_errors(
            partitions,
            expected,
            cost=cost * self.plan.selection_share,
            stage="generator",
            purpose=f"round {number + 1}: errors of pairs",
        )
        picks, sigma = self._pick(found, scores.values, scores.sigma, measure_cost)
        if number == 0 and self.target is not None:
            picks = self._with_target_pairs(found, picks, sigma)
        tables = self._measure(number, [found[pick] for pick in picks], measure_cost)
        return Round(tables, tuple(found), scores.values, scores.sigma)

    def _most_picks(self) -> int:
        return max(2, round(self.plan.picks_per_column * len(self.active)))

    def _noise_share(self, cost: float) -> float:
        """Noise of an evenly paid table, as a share of the rows."""
        return float(np.sqrt(self._most_picks() / cost)) / max(self.profile.rows, 1.0)

    def _candidates(
        self, number: int, joints: "PairJoints", measured: dict[str, Measurement], *, smallest: float
    ) -> list[Candidate]:
        """A pair's first table: its product partitions. Later: its full table, products already measured, and rectangles along the model.

        All pairs are at their first table in round 1, but for those that a refresh knows from an earlier release.
        """
        found: list[Candidate] = []
        earlier = {(item.partition.first, item.partition.second) for item in self.earlier}
        for first, second in combinations(self.active, 2):
            joint = joints.joint(first, second)
            products = self.grouping.products(first, second)
            if number > 0 or (first, second) in earlier:
                products = products[:1] + [part for part in products[1:] if table_key(part) in measured]
                products += self._rectangles(number, (first, second), joint, smallest)
            for part in products:
                model = np.bincount(part.labels.reshape(-1), weights=joint.reshape(-1), minlength=part.size)
                found.append(Candidate(part, model.astype(np.float64)))
        return found

    def _rectangles(self, number: int, pair: tuple[int, int], joint: Floats, smallest: float) -> list[PairPartition]:
        sizes = tuple(size for size in self.config.rectangles if size < 0.7 * joint.size)
        if not sizes:
            return []
        first, second = self.profile.columns[pair[0]], self.profile.columns[pair[1]]
        orders = (
            code_order(first, second, joint, self.profile.shares(pair[1])),
            code_order(second, first, joint.T, self.profile.shares(pair[0])),
        )
        name = f"round {number + 1}"
        return rectangle_partitions(joint, pair=pair, orders=orders, sizes=sizes, smallest=smallest, name=name)

    def _pick(self, found: list[Candidate], scores: Floats, noise: float, cost: float) -> tuple[list[int], float]:
        """Best table of each pair whose score is clear of the noise, at most `most_picks`; and the noise of an even split."""
        cells = np.array([item.cells for item in found], dtype=np.float64)
        weights = np.array([self.config.target_weight if self.target in item.pair else 1.0 for item in found])
        picks = most = self._most_picks()
        best: list[int] = []
        sigma, quality = float(np.sqrt(picks / cost)), scores
        for _ in range(5):
            sigma = float(np.sqrt(picks / cost))
            quality = weights * (scores - self.config.noise_penalty * np.sqrt(2 / np.pi) * sigma * cells)
            best = _best_of_each_pair(found, quality, above=_CLEAR_SCORE * noise)
            fitting = max(2, min(most, len(best)))
            if fitting == picks:
                break
            picks = fitting
        chosen = best[:picks] or [int(np.argmax(quality))]
        return chosen, sigma

    def _with_target_pairs(self, found: list[Candidate], picks: list[int], sigma: float) -> list[int]:
        """The picks, and for every pair with the target not among them its finest table with enough rows a cell, or its coarsest."""
        taken = {found[pick].pair for pick in picks}
        taken |= {(item.partition.first, item.partition.second) for item in self.earlier}
        result = list(picks)
        for column in self.active:
            pair = (min(column, self.target or 0), max(column, self.target or 0))
            if column == self.target or pair in taken:
                continue
            options = sorted((i for i, item in enumerate(found) if item.pair == pair), key=lambda i: -found[i].cells)
            fitting = [i for i in options if self.profile.rows / found[i].cells >= _TARGET_ROWS_PER_SIGMA * sigma]
            result.append((fitting or options[-1:])[0])
        return result

    def _measure(self, number: int, picks: list[Candidate], cost: float) -> list[Measurement]:
        weights = np.array([item.cells for item in picks], dtype=np.float64) ** self.config.cells_power
        measured: list[Measurement] = []
        for item, weight in zip(picks, weights / weights.sum(), strict=True):
            names = " × ".join(self.profile.columns[index].name for index in item.pair)
            purpose = f"round {number + 1}: {names} ({item.partition.name})"
            noisy = self.view.pair_counts(item.partition, cost=float(cost * weight), stage="generator", purpose=purpose)
            measured.append(Measurement(item.partition, noisy.values, noisy.sigma))
        return measured


@dataclass(frozen=True, eq=False)
class Round:
    """What a round released.

    Attributes:
        tables: the tables that were measured.
        candidates: what might have been.
        errors: noisy distance of the model from the rows on each candidate, in rows.
        sigma: standard deviation of their noise.
    """

    tables: list[Measurement]
    candidates: tuple[Candidate, ...]
    errors: Floats
    sigma: float


@dataclass(frozen=True, eq=False)
class PairJoints:
    """The model's joint distributions of pairs, cut from its (S, S) matrix.

    Attributes:
        matrix: one-hot pair marginals of the active columns.
        slices: for each active column (domain index), its slice of the matrix.
    """

    matrix: npt.NDArray[np.float64]
    slices: dict[int, slice]

    def joint(self, first: int, second: int) -> Floats:
        """Joint distribution of two columns, codes of first × codes of second."""
        return self.matrix[self.slices[first], self.slices[second]]


def _best_of_each_pair(found: list[Candidate], quality: Floats, *, above: float) -> list[int]:
    best: dict[tuple[int, int], int] = {}
    for index in np.argsort(-quality, kind="stable"):
        if quality[index] > above and found[index].pair not in best:
            best[found[index].pair] = int(index)
    return list(best.values())
