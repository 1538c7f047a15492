"""Rows under a condition, by sequential importance resampling.

    PROPOSE    draw the named columns first, never leaving what the condition still allows (look-ahead);
    WEIGH      by the product of the masked normalisers, resample;
    COMPLETE   draw the other columns, weigh by main-order likelihood over proposal likelihood, resample.

Every row satisfies the condition, because no other is ever proposed. The law tends to the model's conditional law as the pool grows;
the pool grows until its effective size is twice the rows asked for, or `_MOST_ROUNDS` are done (Doucet and Johansen 2009, §3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.encode.condition import Condition, SubDomain
from synth_pipeline.errors import ConstraintError
from synth_pipeline.generate.autoregressive.model import ColumnModel, draw_codes, log_sum_exp, softmax
from synth_pipeline.table.encoded import Codes

_LEAST_POOL = 2048
_POOL_FACTOR = 4
_HEAD_FACTOR = 4
_MOST_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class Particles:
    """Weighted rows.

    Attributes:
        codes: (rows, columns).
        regions: region of each named column, by axis of the condition (rows, named).
        log_weights: log importance weight of each row.
    """

    codes: Codes
    regions: npt.NDArray[np.int64]
    log_weights: npt.NDArray[np.float64]

    @property
    def effective(self) -> float:
        """Effective number of rows, (Σw)² / Σw²."""
        weights = np.exp(self.log_weights - self.log_weights.max())
        return float(weights.sum() ** 2 / (weights**2).sum())

    def resampled(self, rows: int, rng: np.random.Generator) -> "Particles":
        """Rows drawn by weight (systematic resampling), of equal weight."""
        weights = np.exp(self.log_weights - self.log_weights.max())
        ends = np.cumsum(weights) / weights.sum()
        chosen = np.minimum(np.searchsorted(ends, (np.arange(rows) + rng.random()) / rows), len(ends) - 1)
        chosen = rng.permutation(chosen)
        return Particles(self.codes[chosen], self.regions[chosen], np.zeros(rows))


def joined(parts: Sequence[Particles]) -> Particles:
    """Several pools as one."""
    return Particles(
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.regions for part in parts]),
        np.concatenate([part.log_weights for part in parts]),
    )


@dataclass(frozen=True, eq=False)
class ConditionalSampler:
    """Draws rows of a model under a condition.

    Attributes:
        model: the network; its main-order law is the one that is conditioned.
        order: the main order.
        where: the condition.
        proposal_bias: biases calibrated for the proposal's order.
    """

    model: ColumnModel
    order: tuple[int, ...]
    where: Condition
    proposal_bias: npt.NDArray[np.float32]

    def draw(self, rows: int, rng: np.random.Generator) -> Particles:
        """Rows of the conditional law, every one satisfying the condition."""
        size = max(_POOL_FACTOR * rows, _LEAST_POOL)
        pool = self._pool(size, rng)
        for _ in range(_MOST_ROUNDS - 1):
            if pool.effective >= 2 * rows:
                break
            pool = joined([pool, self._pool(size, rng)])
        return pool.resampled(rows, rng)

    def _pool(self, rows: int, rng: np.random.Generator) -> Particles:
        model = self.model.with_bias(self.proposal_bias)
        head = self._propose(model, _HEAD_FACTOR * rows, rng).resampled(rows, rng)
        named = proposal_order(self.order, self.where)[: len(self.where.subdomains)]
        known, log_proposal = model.blank(rows), np.zeros(rows)
        for column in named:
            log_proposal += _log_chosen(model.logits(column, known), head.codes[:, column])
            model.learn(known, column, head.codes[:, column])
        codes = head.codes.copy()
        for column in [column for column in self.order if column not in named]:
            logits = model.logits(column, known)
            codes[:, column] = draw_codes(softmax(logits), rng)
            log_proposal += _log_chosen(logits, codes[:, column])
            model.learn(known, column, codes[:, column])
        return Particles(codes, head.regions, self.model.log_likelihood(codes, self.order) - log_proposal)

    def _propose(self, model: ColumnModel, rows: int, rng: np.random.Generator) -> Particles:
        """The named columns, weighted by the product of their masked normalisers."""
        codes = np.zeros((rows, len(model.domain)), dtype=np.int32)
        regions = np.zeros((rows, len(self.where.subdomains)), dtype=np.int64)
        known, log_weights = model.blank(rows), np.zeros(rows)
        drawn: list[int] = []
        for column in proposal_order(self.order, self.where)[: len(self.where.subdomains)]:
            axis = [sub.column for sub in self.where.subdomains].index(column)
            sub = self.where.subdomains[axis]
            logits = _subcode_logits(model.logits(column, known), sub)
            logits = np.where(self._is_open(axis, drawn, regions)[:, sub.region], logits, -np.inf)
            log_weights += log_sum_exp(logits)
            chosen = draw_codes(softmax(logits), rng)
            codes[:, column], regions[:, axis] = sub.parent[chosen], sub.region[chosen]
            model.learn(known, column, codes[:, column])
            drawn.append(axis)
        return Particles(codes, regions, log_weights)

    def _is_open(self, axis: int, drawn: Sequence[int], regions: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which regions of an axis can still be completed to an allowed combination (rows, regions)."""
        kept = sorted([*drawn, axis])
        reachable = np.any(self.where.allowed, axis=tuple(i for i in range(self.where.allowed.ndim) if i not in kept))
        table: npt.NDArray[np.bool_] = np.transpose(reachable, [kept.index(i) for i in (*drawn, axis)])
        return np.broadcast_to(table[tuple(regions[:, i] for i in drawn)], (len(regions), table.shape[-1]))


def proposal_order(order: Sequence[int], where: Condition) -> tuple[int, ...]:
    """The named columns first, each group in main order."""
    named = {sub.column for sub in where.subdomains}
    return (*(column for column in order if column in named), *(column for column in order if column not in named))


def check_condition(where: Condition) -> None:
    """Refuse a condition that no combination of regions satisfies.

    Raises:
        ConstraintError: if so.
    """
    if not where.allowed.any():
        raise ConstraintError(
            "condition: no row of the declared domain satisfies it; check the values it compares with"
        )


def _subcode_logits(logits: npt.NDArray[np.float32], sub: SubDomain) -> npt.NDArray[np.float64]:
    """Normalised log-probabilities of a column's codes, spread over their subcodes."""
    normalised = logits - log_sum_exp(logits)[:, None]
    return normalised[:, sub.parent] + sub.log_share


def _log_chosen(logits: npt.NDArray[np.float32], codes: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    return logits[np.arange(len(codes)), codes] - log_sum_exp(logits)
