"""Rows under a condition for models that draw one column after another: likelihood weighting, then resampling.

    PROPOSE    draw the head (the named columns and what they hang on), named columns only inside what the condition still allows;
    WEIGH      by the product of the probabilities of what was allowed;
    RESAMPLE   by weight;
    COMPLETE   draw the tail, on which the condition does not depend.

Every row satisfies the condition, because no other is ever proposed. The law tends to the model's conditional law as the pool grows; the
pool grows until its effective size is twice the rows asked for. A condition whose pool stays too poor is refused.

Source:
    Fung & Chang 1990; Shachter & Peot 1990 (likelihood weighting in Bayesian networks). For Gaussian latents the same steps are the
    simulator of Geweke 1991, Hajivassiliou & McFadden 1998 and Keane 1994.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from synth_pipeline.encode.condition import Condition
from synth_pipeline.errors import ConstraintError
from synth_pipeline.generate.autoregressive.conditional import Particles, check_condition, joined
from synth_pipeline.table.encoded import Domain, EncodedTable
from synth_pipeline.table.profile import Floats

State: TypeAlias = npt.NDArray[Any]

_LEAST_POOL = 2048
_MOST_POOL = 1 << 20
_CELLS = 1 << 23
_POOREST_SHARE = 0.1


class Chain(Protocol):
    """A model that draws its columns one after another; its state is an array with a row for each drawn row."""

    def blank(self, rows: int) -> State:
        """The state of rows of which nothing is drawn."""
        ...

    def probabilities(self, column: int, state: State) -> Floats:
        """Probability of each code of a column given what is drawn (rows, codes)."""
        ...

    def learn(
        self,
        state: State,
        column: int,
        codes: npt.NDArray[np.integer],
        rng: np.random.Generator,
    ) -> None:
        """Take drawn codes of a column into the state, in place."""
        ...

    def draw(self, state: State, column: int, rng: np.random.Generator) -> npt.NDArray[np.integer]:
        """Draw a column and take it into the state, in place."""
        ...


@dataclass(frozen=True, eq=False)
class Weighting:
    """Draws rows of a chain under a condition.

    Attributes:
        chain: the model.
        where: the condition.
        head: columns in the order in which they are drawn, up to and with the last one that the condition hangs on.
        tail: the other columns, in the order in which they are drawn.
        widest: number of codes of the widest column.
    """

    chain: Chain
    where: Condition
    head: tuple[int, ...]
    tail: tuple[int, ...]
    widest: int

    def draw(self, rows: int, rng: np.random.Generator) -> tuple[State, Particles]:
        """States and rows of the conditional law, every one satisfying the condition.

        Raises:
            ConstraintError: if nothing can satisfy it, or it is too rare under the model for a pool of a million rows.
        """
        check_condition(self.where)
        state, pool = self._pool(rows, rng)
        # The state rides along as extra columns, so that both are resampled by the same draw.
        place = np.arange(len(state), dtype=np.int32)[:, None]
        tagged = Particles(np.concatenate([pool.codes, place], axis=1), pool.regions, pool.log_weights)
        kept = tagged.resampled(rows, rng)
        state, codes = state[kept.codes[:, -1]], kept.codes[:, :-1]
        for column in self.tail:
            codes[:, column] = self.chain.draw(state, column, rng)
        return state, Particles(codes, kept.regions, kept.log_weights)

    def _pool(self, rows: int, rng: np.random.Generator) -> tuple[State, Particles]:
        step = max(_CELLS // self.widest, 1)
        states: list[State] = []
        parts: list[Particles] = []
        size, made = max(2 * rows, _LEAST_POOL), 0
        while True:
            for start in range(0, size, step):
                state, part = self._propose(min(step, size - start), rng)
                states.append(state)
                parts.append(part)
            made += size
            pool = joined(parts)
            effective = pool.effective if np.isfinite(pool.log_weights).any() else 0.0
            if effective >= 2 * rows or made + size > max(_MOST_POOL, 4 * rows):
                break
            size = made
        if effective < max(_POOREST_SHARE * rows, 1.0):
            raise ConstraintError(
                f"condition: {made:,} proposed rows hold only {effective:.0f} that count, so it is too rare for this engine; "
                "widen it, ask for fewer rows, or use generator maxent"
            )
        return np.concatenate(states), pool

    def _propose(self, rows: int, rng: np.random.Generator) -> tuple[State, Particles]:
        axes = {sub.column: axis for axis, sub in enumerate(self.where.subdomains)}
        state, log_weights = self.chain.blank(rows), np.zeros(rows)
        codes = np.zeros((rows, len(self.head) + len(self.tail)), dtype=np.int32)
        regions = np.zeros((rows, len(axes)), dtype=np.int64)
        drawn: list[int] = []
        for column in self.head:
            if column not in axes:
                codes[:, column] = self.chain.draw(state, column, rng)
                continue
            axis = axes[column]
            sub = self.where.subdomains[axis]
            weights = self.chain.probabilities(column, state)[:, sub.parent] * np.exp(sub.log_share)
            weights *= self._is_open(axis, drawn, regions)[:, sub.region]
            cumulative = weights.cumsum(axis=1)
            with np.errstate(divide="ignore"):
                log_weights += np.log(cumulative[:, -1])
            chosen = np.minimum(
                (cumulative <= (rng.random(rows) * cumulative[:, -1])[:, None]).sum(axis=1), len(sub.parent) - 1
            )
            codes[:, column], regions[:, axis] = sub.parent[chosen], sub.region[chosen]
            self.chain.learn(state, column, codes[:, column], rng)
            drawn.append(axis)
        return state, Particles(codes, regions, log_weights)

    def _is_open(self, axis: int, drawn: Sequence[int], regions: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which regions of an axis can still be completed to an allowed combination (rows, regions)."""
        kept = sorted([*drawn, axis])
        others = tuple(i for i in range(self.where.allowed.ndim) if i not in kept)
        reachable = np.any(self.where.allowed, axis=others)
        table: npt.NDArray[np.bool_] = np.transpose(reachable, [kept.index(i) for i in (*drawn, axis)])
        return np.broadcast_to(table[tuple(regions[:, i] for i in drawn)], (len(regions), table.shape[-1]))


def rows_table(domain: Domain, parts: Sequence[Particles], where: Condition | None) -> EncodedTable:
    """Parts of a table, one after another, with the region of each row on each axis of the condition."""
    codes = np.concatenate([part.codes for part in parts]).astype(np.int32, copy=False)
    regions = np.concatenate([part.regions for part in parts]).astype(np.int32)
    named = [sub.column for sub in where.subdomains] if where is not None else []
    return EncodedTable(codes, domain, {column: regions[:, axis] for axis, column in enumerate(named)})


def parts_of(rows: int, most: int) -> list[int]:
    """Sizes of the parts that a table is drawn in; one part of 0 rows for an empty table."""
    return [min(most, rows - start) for start in range(0, max(rows, 1), most)]
