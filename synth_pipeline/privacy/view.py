"""The private rows under a released encoder: joint counts, scores of dependence, and Poisson batches for training."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, NoReturn
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.answer import SHARE_PARTS, ExpectedTable, JointPartition, Noisy, PairPartition, WatchedTable
from synth_pipeline.privacy.batch import Batch, CuratorNoise
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import Event, SubsampledGaussianEvent
from synth_pipeline.privacy.mechanisms.above_threshold import NoisyThreshold
from synth_pipeline.privacy.secure_stream import chosen, standard_gaussians
from synth_pipeline.privacy.teachers import TeacherPanel
from synth_pipeline.privacy.weighing import weighed
from synth_pipeline.table.encoded import Codes, Domain

VECTOR_UNITS = 4096
"""A vector of norm 1 is counted in so many whole units."""

_CHUNK_ROWS = 1 << 20
_VECTOR_NUMBERS = 1 << 20
_ROUNDING = 1 + 1e-6
_EXACT = 1 << 52


class EncodedView:
    """The private rows under a released encoder; answers joint counts and deals Poisson batches, all charged to the curator."""

    zone: ClassVar[str] = "private"

    def __init__(self, desk: Desk, codes: Codes, domain: Domain, units: npt.NDArray[np.int64] | None = None) -> None:
        if codes.shape[1] != len(domain):
            raise PrivacyError(f"the encoder gave {codes.shape[1]} columns for a domain of {len(domain)}")
        self._desk = desk
        self._codes = codes
        self._units = units  # person of each row, numbered from 0 without gaps; None where each row is a person
        self._weights = desk.unit.row_weights(units)
        self.domain = domain
        self._tables: dict[tuple[int, int], npt.NDArray[np.int64]] = {}
        self._dependence: dict[JointPartition, float] = {}
        self._errors: WeakKeyDictionary[ExpectedTable, int] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"EncodedView({len(self.domain)} columns, contents withheld)"

    def __reduce__(self) -> NoReturn:
        raise PrivacyError("an EncodedView holds private rows and cannot be pickled")

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything charged to the curator's budget so far."""
        return self._desk.events

    @property
    def left_cost(self) -> float:
        """Gaussian cost μ² that is left."""
        return self._desk.left_cost

    def pair_counts(self, partition: PairPartition, *, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy people (weighted rows) in each cell of a partition of two columns' joint codes.

        Privacy:
            A row adds its weight to one cell, so one unit moves the cells by at most U in L1, hence in L2; one discrete Gaussian on
            every cell.
        """
        names = self._names((partition.first, partition.second))
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, columns=names)
        return self._desk.noisy(self._counts(partition), sigma)

    def pair_errors(
        self,
        partitions: Sequence[PairPartition],
        expected: Sequence[npt.NDArray[np.int64]],
        *,
        cost: float,
        stage: str,
        purpose: str,
    ) -> Noisy:
        """Noisy L1 distances between true counts and the given expected counts, one a partition.

        Privacy:
            Adding a row moves one true count by its weight, so each distance by at most its weight (the expected counts, times U, are
            released facts). One unit moves each of the C distances by at most U; discrete Gaussian, one event of count C.
        """
        names = self._names(index for part in partitions for index in (part.first, part.second))
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, columns=names, count=len(partitions))
        weight = self._desk.unit.weight
        distances = [
            np.abs(self._counts(part) - model * weight).sum() for part, model in zip(partitions, expected, strict=True)
        ]
        return self._desk.noisy(np.array(distances, dtype=np.int64), sigma)

    def choose_by_error(self, tables: Sequence[ExpectedTable], *, cost: float, purpose: str) -> int:
        """Index of a table with a large L1 distance between true and expected counts, its penalty taken off, times its weight.

        The exponential mechanism: index c with probability proportional to exp(ε·w_c·(distance_c − penalty_c) / 2Δ). It releases one
        index where `pair_errors` releases every distance, for less noise as soon as there are more than three tables.

        Privacy:
            A distance in whole units moves by at most U (see `pair_errors`), so Δ = U × the largest table weight; expected counts,
            penalties and table weights are released facts. One choice of bounded range ε, charged as the Gaussian that covers it.
        """
        epsilon = self._desk.charge_choice(cost, purpose=purpose)
        unit = self._desk.unit
        scores = np.array(
            [table.weight * (self._error(table) - table.penalty * unit.weight) for table in tables], dtype=np.float64
        )
        return self._desk.pick(
            scores,
            epsilon=epsilon,
            sensitivity=unit.sensitivity * max(table.weight for table in tables),
            stage="generator",
            purpose=purpose,
            columns=self._names(index for table in tables for index in (table.partition.first, table.partition.second)),
        )

    def dominance(self, pairs: Sequence[tuple[int, int]], *, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy Σ_a max_b n_ab for each ordered pair (a, b): how much weight the best function a → b gets right.

        Privacy:
            Adding a row moves one n_ab by its weight, so each sum of maxima by at most its weight. One unit moves each of the C numbers
            by at most U; one event of count C.
        """
        names = self._names(index for pair in pairs for index in pair)
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, columns=names, count=len(pairs))
        best = [self._table(a, b).max(axis=1).sum() for a, b in pairs]
        return self._desk.noisy(np.array(best, dtype=np.int64), sigma)

    def joint_counts(self, partition: JointPartition, *, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy people (weighted rows) in each cell of a partition of several columns' joint codes.

        Privacy:
            A row adds its weight to one cell, so one unit moves the cells by at most U in L1, hence in L2; one discrete Gaussian on
            every cell.
        """
        names = self._names(partition.columns)
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, columns=names)
        return self._desk.noisy(self._joint(partition), sigma)

    def choose_family(
        self,
        families: Sequence[JointPartition],
        shares: Sequence[npt.NDArray[np.float64]],
        *,
        cost: float,
        purpose: str,
    ) -> int:
        """Index of a family whose first column depends much on the others: ½ Σ |n(x, π) − P(x) n(π)|, chosen with exponential noise.

        Args:
            families: the first column of each is the child x, the rest its parents π.
            shares: released one-way shares P of each family's child, by group; the same ones whenever a family is asked about again.
            cost: μ² to spend.
            purpose: what it decides.

        Privacy:
            A row of weight w moves n(x, π) by w in one cell and P(x) n(π) by w P(x) in each cell of one column of the table, hence the
            score by at most ½ w (1 − P(x) + Σ_{x' ≠ x} P(x')) ≤ w; one unit by at most U. One choice by the exponential mechanism.
        """
        epsilon = self._desk.charge_choice(cost, purpose=purpose)
        scores = [self._family_score(family, share) for family, share in zip(families, shares, strict=True)]
        return self._desk.pick(
            np.array(scores),
            epsilon=epsilon,
            sensitivity=self._desk.unit.sensitivity * _ROUNDING,
            stage="generator",
            purpose=purpose,
            columns=self._names(index for family in families for index in family.columns),
        )

    def score_products(
        self, scores: Sequence[npt.NDArray[np.int64]], *, bound: int, cost: float, stage: str, purpose: str
    ) -> Noisy:
        """Noisy Σ over rows of w·sᵢ·sⱼ for each pair i < j: w the row's weight, sᵢ the given whole-number score of its code in column i.

        Args:
            scores: for each column, the score of each code.
            bound: a row whose scores have a larger norm is scaled down to it (towards zero, in whole numbers).
            cost: μ² to spend.
            stage: where in the walk it is asked.
            purpose: what it is for.

        Privacy:
            Σ_{i<j} (sᵢsⱼ)² = ½ (‖s‖⁴ − Σ sᵢ⁴) ≤ ½ bound⁴, so a row of weight w moves the sums by at most w·⌈bound²/√2⌉ in L2, one unit by
            at most U·⌈bound²/√2⌉; one discrete Gaussian on every sum. Sums are taken in floating point over as many rows as stay
            exact, and added up in 64-bit integers.
        """
        reach = math.isqrt((bound**4 + 1) // 2 - 1) + 1
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, row_sensitivity=reach)
        total = np.zeros((len(scores), len(scores)), dtype=np.int64)
        chunk = min(_CHUNK_ROWS, max(_EXACT // (self._desk.unit.weight * bound**2), 1))
        for start in range(0, len(self._codes), chunk):
            codes = self._codes[start : start + chunk]
            rows = np.stack([score[codes[:, index]] for index, score in enumerate(scores)], axis=1).astype(np.float64)
            shrink = np.minimum(1.0, bound / np.maximum(np.linalg.norm(rows, axis=1), 1e-12))
            rows = np.where((shrink < 1.0)[:, None], np.trunc(rows * (shrink * (1 - 1e-12))[:, None]), rows)
            weights = None if self._weights is None else self._weights[start : start + chunk, None]
            total += np.rint(rows.T @ (rows if weights is None else rows * weights)).astype(np.int64)
        return self._desk.noisy(total[np.triu_indices(len(scores), 1)], sigma)

    def clipped_sum(
        self,
        vectors: Callable[[Codes], npt.NDArray[np.floating]],
        *,
        cost: float,
        stage: str,
        purpose: str,
    ) -> Noisy:
        """Noisy weighted sum of a vector that a released function gives each row, clipped to norm 1, in units of 1/VECTOR_UNITS.

        Args:
            vectors: rows (m, columns) → vectors (m, size); each row's must depend on that row alone, to the last bit (a matrix product
                rounds a row by its place among the others: one more person would then move many cut-off numbers).
            cost: μ² to spend.
            stage: where in the walk it is asked.
            purpose: what it is for.

        Privacy:
            Each vector is clipped here, then cut towards zero to whole numbers, so its norm is at most VECTOR_UNITS; times the row's
            weight it moves the sum by that much, and one unit's rows by at most U × VECTOR_UNITS in L2; one discrete Gaussian on every
            coordinate. A vector that is not finite counts as zero.
        """
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, row_sensitivity=VECTOR_UNITS)
        total = sum_of_clipped(vectors(self._codes[:0]))
        rows = max(_VECTOR_NUMBERS // max(len(total), 1), 1)
        for start in range(0, len(self._codes), rows):
            weights = None if self._weights is None else self._weights[start : start + rows]
            total += sum_of_clipped(vectors(self._codes[start : start + rows]), weights)
        return self._desk.noisy(total, sigma)

    def poisson_batches(
        self, *, sample_rate: float, noise_multiplier: float, steps: int, purpose: str
    ) -> Iterator[Batch]:
        """Exactly `steps` batches, each person in each batch with probability `sample_rate`, independently, with all of that one's rows.

        A batch may be empty. The trainer must clip the sum of each person's gradients and add noise of `noise_multiplier` × clip to
        every sum, also to an empty one: that is what was charged. The noise is made of `step_noise`.

        Privacy:
            `steps` Poisson-subsampled Gaussians, charged before the first batch is dealt.

        Raises:
            PrivacyError: at once, if the budget does not cover it.
        """
        event = SubsampledGaussianEvent(
            stage="generator", purpose=purpose, noise_multiplier=noise_multiplier, sample_rate=sample_rate, steps=steps
        )
        self._desk.charge_batches(event)
        return self._deal(sample_rate, steps)

    @property
    def step_noise(self) -> CuratorNoise:
        """Standard Gaussians of the curator's noise source, for the noise of the steps that `poisson_batches` charged."""
        desk = self._desk
        return CuratorNoise(
            lambda size: standard_gaussians(desk.words(size)), desk.step_taken if desk.journal else None
        )

    def deal_to_teachers(self, teachers: int) -> TeacherPanel:
        """The rows dealt to disjoint teachers, whose noisy votes may then be asked for; nothing is charged yet."""
        return TeacherPanel(self._desk, self._codes, teachers, units=self._units)

    def is_above(self, tables: Sequence[WatchedTable], threshold: NoisyThreshold, *, stage: str, purpose: str) -> bool:
        """Whether the largest excess of the tables, with noise of its own, reaches a noisy threshold (`Curator.draw_threshold`).

        Privacy:
            A person of weight w ≤ U adds to n a vector of sum w: to Σ|n − q W| at most Σ|x − q w| ≤ 2w in size, and slope·w to what is
            taken off. So an excess, and with it the largest, moves by at most U × the largest reach, in parts of 2·SHARE_PARTS. Charged
            when the threshold was drawn; nothing may be asked after a True.

        Raises:
            PrivacyError: if the threshold was drawn for questions that move less.
        """
        reach = self._desk.unit.sensitivity * max(table.reach for table in tables)
        if reach > threshold.sensitivity:
            raise PrivacyError(f"{purpose}: the threshold was drawn for questions that one unit moves less")
        question = max(self._excess(table) for table in tables)
        return self._desk.compare(question, threshold, stage=stage, purpose=purpose)

    def _names(self, indices: Iterable[int]) -> tuple[str, ...]:
        """Names of columns that are asked about, each once."""
        return tuple(self.domain.names[index] for index in dict.fromkeys(indices))

    def _excess(self, table: WatchedTable) -> int:
        """Excess of a watched table, in parts of 2·SHARE_PARTS of a whole unit; exact."""
        counts = np.zeros(len(table.shares), dtype=np.int64)
        for start in range(0, len(self._codes), _CHUNK_ROWS):
            rows = self._codes[start : start + _CHUNK_ROWS]
            cells = table.labels[tuple(rows[:, column] for column in table.columns)]
            counts += weighed(cells, len(counts), self._weights_of(start))
        total = int(counts.sum())
        pairs = zip(counts.tolist(), table.shares, strict=True)
        distance = sum(abs(SHARE_PARTS * count - share * total) for count, share in pairs)
        return distance - table.slope * total - table.offset * self._desk.unit.weight

    def _deal(self, sample_rate: float, steps: int) -> Iterator[Batch]:
        units = self._units if self._desk.unit.max_rows > 1 else None
        people = len(self._codes) if units is None else int(units.max(initial=-1)) + 1
        for _ in range(steps):
            drawn = chosen(self._desk.words(people), sample_rate)
            if units is None:
                yield Batch(self._codes[drawn])
            else:
                rows = np.flatnonzero(drawn[units])
                yield Batch(self._codes[rows], (np.cumsum(drawn) - 1)[units[rows]])

    def _family_score(self, family: JointPartition, share: npt.NDArray[np.float64]) -> float:
        """The score of a family; kept, because a network search asks for the same ones again and again."""
        if family not in self._dependence:
            table = self._joint(family).reshape(family.shape[0], -1)
            gaps = np.abs(table - share[:, None] * table.sum(axis=0))
            self._dependence[family] = float(gaps.sum()) / 2
        return self._dependence[family]

    def _joint(self, partition: JointPartition) -> npt.NDArray[np.int64]:
        counts = np.zeros(partition.size, dtype=np.int64)
        for start in range(0, len(self._codes), _CHUNK_ROWS):
            rows = self._codes[start : start + _CHUNK_ROWS]
            cells = np.zeros(len(rows), dtype=np.int64)
            for column, groups, size in zip(partition.columns, partition.maps, partition.shape, strict=True):
                cells = cells * size + groups[rows[:, column]]
            counts += weighed(cells, partition.size, self._weights_of(start))
        return counts

    def _error(self, table: ExpectedTable) -> int:
        """True distance of a table from what is expected of it; kept, because a tree is chosen edge by edge from the same tables."""
        if table not in self._errors:
            expected = table.counts * self._desk.unit.weight
            self._errors[table] = int(np.abs(self._counts(table.partition) - expected).sum())
        return self._errors[table]

    def _weights_of(self, start: int) -> npt.NDArray[np.int64] | None:
        """Weights of the chunk of rows from `start` on."""
        return None if self._weights is None else self._weights[start : start + _CHUNK_ROWS]

    def _counts(self, partition: PairPartition) -> npt.NDArray[np.int64]:
        table = self._table(partition.first, partition.second)
        counts = np.zeros(partition.size, dtype=np.int64)
        np.add.at(counts, partition.labels.reshape(-1), table.reshape(-1))
        return counts

    def _table(self, first: int, second: int) -> npt.NDArray[np.int64]:
        """True joint weights of two columns, counted chunk by chunk and kept for the next question."""
        if (first, second) in self._tables:
            return self._tables[first, second]
        if (second, first) in self._tables:
            return self._tables[second, first].T
        shape = (self.domain.sizes[first], self.domain.sizes[second])
        counts = np.zeros(shape[0] * shape[1], dtype=np.int64)
        for start in range(0, len(self._codes), _CHUNK_ROWS):
            rows = self._codes[start : start + _CHUNK_ROWS]
            joint = rows[:, first].astype(np.int64) * shape[1] + rows[:, second]
            counts += weighed(joint, len(counts), self._weights_of(start))
        self._tables[first, second] = counts.reshape(shape)
        return self._tables[first, second]


def sum_of_clipped(
    vectors: npt.NDArray[np.floating], weights: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int64]:
    """Weighted sum of vectors clipped to norm 1, each cut towards zero to whole units of 1/VECTOR_UNITS before it is weighed.

    Shapes:
        (rows, size) → (size,).

    Example:
        >>> sum_of_clipped(np.array([[3.0, 4.0], [0.0, -0.5], [np.nan, 1.0]])).tolist()
        [2457, 1229]
    """
    finite = np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, 0.0).astype(np.float64)
    largest = np.abs(finite).max(axis=1, keepdims=True, initial=1.0)
    norms = largest * np.linalg.norm(finite / largest, axis=1, keepdims=True)
    whole = np.trunc(finite * (VECTOR_UNITS * (1 - 1e-12) / np.maximum(norms, 1.0)))
    if weights is not None:
        whole *= weights[:, None]  # exact: a product is below 2^32, a sum of 2^20 of them below 2^53
    return whole.sum(axis=0).astype(np.int64)
