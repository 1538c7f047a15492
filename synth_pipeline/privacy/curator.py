"""The curator: the only holder of private rows, which answers noisy measurements and nothing else.

Every answer states its cost, is charged before it is computed, and leaves an event behind. The curator has no data in its repr and does
not pickle. Generators are handed a curator, never a table; training by DP-SGD asks it for Poisson batches, so sampling and accounting
cannot disagree.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import composed_epsilon, gdp_cost, sigma_for_cost
from synth_pipeline.privacy.answer import Noisy, PairPartition
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.events import DiscoveryEvent, DiscreteGaussianEvent, Event, SubsampledGaussianEvent
from synth_pipeline.privacy.mechanisms.discrete_gaussian import add_noise
from synth_pipeline.privacy.mechanisms.stability import discover_keys
from synth_pipeline.privacy.noise import NoiseSource, SecureNoise
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.table.encoded import Codes, Domain
from synth_pipeline.table.native import NULL, NativeTable
from synth_pipeline.table.partition import Partition

_CHUNK_ROWS = 1 << 20
_SLACK = 1 + 1e-9


class RowEncoder(Protocol):
    """A released row-by-row map from native codes to the codes of a domain."""

    @property
    def domain(self) -> Domain:
        """What the codes mean."""
        ...

    def encode(self, table: NativeTable) -> Codes:
        """Codes of each row, rows × columns; each row's depend on that row alone."""
        ...


class Curator:
    """Holds private rows and answers measurements, each charged to one budget.

    Privacy:
        Neighbours are tables that differ by all rows of one privacy unit (added or removed). Each method states its sensitivity in
        multiples of `unit.max_rows`, and its event. Gaussian answers are charged by exact Gaussian-DP cost μ² (valid when later
        questions depend on earlier answers); Poisson batches by the PLD of everything asked so far.

    Args:
        table: native codes of the training rows.
        unit: whose privacy is protected.
        budget: what may be spent here, earlier spending included.
        spent: events charged to the same budget before this curator existed (the profile's, for a generator).
        noise: source of exact discrete noise.
        before_first_answer: called once, before any row is read for an answer (the ledger marks the reservation as read).
    """

    def __init__(
        self,
        table: NativeTable,
        *,
        unit: PrivacyUnit,
        budget: Budget,
        spent: Sequence[Event] = (),
        noise: NoiseSource | None = None,
        before_first_answer: Callable[[], None] | None = None,
    ) -> None:
        self._table = table
        self._noise = noise or SecureNoise()
        self._before_first_answer = before_first_answer
        self.unit = unit
        self.budget = budget
        self._events: list[Event] = list(spent)

    def __repr__(self) -> str:
        return f"Curator({len(self._events)} answers given, contents withheld)"

    def __reduce__(self) -> NoReturn:
        raise PrivacyError("a Curator holds private rows and cannot be pickled; pass the released generator instead")

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything charged to the budget so far, earlier stages included."""
        return tuple(self._events)

    @property
    def spent_cost(self) -> float:
        """Gaussian cost μ² charged so far."""
        return sum(_cost(event) for event in self._events)

    @property
    def left_cost(self) -> float:
        """Gaussian cost μ² that is left."""
        return max(self.budget.cost - self.spent_cost, 0.0)

    def sigma_for(self, cost: float) -> float:
        """Noise scale that a histogram of this cost will have."""
        return sigma_for_cost(cost, self.unit.max_rows)

    def count_rows(self, *, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy number of rows.

        Privacy:
            Sensitivity max_rows; one discrete Gaussian.
        """
        sigma = self._charge_gaussian(cost, stage=stage, purpose=purpose)
        return self._noisy(np.array([self._table.rows], dtype=np.int64), sigma)

    def histogram(self, column: str, partition: Partition, *, with_null: bool, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy rows of a column in each cell of a public partition, nulls as the last cell where asked for.

        Privacy:
            A row falls in at most one cell, so the L2 sensitivity is max_rows; one discrete Gaussian on every cell.
        """
        sigma = self._charge_gaussian(cost, stage=stage, purpose=purpose)
        native = self._table.columns[column]
        counts = np.zeros(partition.size + int(with_null), dtype=np.int64)
        for start in range(0, len(native), _CHUNK_ROWS):
            cells = native[start : start + _CHUNK_ROWS].astype(np.int64)
            ids = partition.assign(cells[cells != NULL])
            counts[: partition.size] += np.bincount(ids[ids >= 0], minlength=partition.size)
            if with_null:
                counts[-1] += int((cells == NULL).sum())
        return self._noisy(counts, sigma)

    def key_histogram(self, column: str, keys: Sequence[str], *, with_null: bool, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy rows of a discovered column for each released key, then for all other values together, then for nulls if asked for.

        Privacy:
            A row falls in one cell, so the L2 sensitivity is max_rows; one discrete Gaussian on every cell.
        """
        sigma = self._charge_gaussian(cost, stage=stage, purpose=purpose)
        places = {key: place for place, key in enumerate(keys)}
        lookup = np.array([places.get(key, len(keys)) for key in self._table.vocabularies[column]] + [len(keys) + 1], dtype=np.int64)
        counts = np.bincount(lookup[self._table.columns[column]], minlength=len(keys) + 2)
        return self._noisy(counts[: len(keys) + 1 + int(with_null)], sigma)

    def discover(self, column: str, *, cost: float, delta: float, stage: str, purpose: str) -> tuple[str, ...]:
        """Categories of a column that pass a noisy threshold.

        Privacy:
            Stability-based selection: a category held by few people is published with probability at most `delta` in all.
        """
        sigma = sigma_for_cost(cost, self.unit.max_rows)
        vocabulary = self._table.vocabularies[column]
        self._require_left(cost, purpose)
        self._first_answer()
        codes = self._table.columns[column]
        counts = np.bincount(codes[codes != NULL].astype(np.int64), minlength=len(vocabulary))
        present = {key: int(count) for key, count in zip(vocabulary, counts, strict=True) if count > 0}
        found = discover_keys(present, sigma=sigma, delta=delta, unit_rows=self.unit.max_rows, noise=self._noise)
        self._events.append(replace(found.event, stage=stage, purpose=purpose))
        return found.keys

    def encoded(self, encoder: RowEncoder) -> "EncodedView":
        """The rows under a released encoder, to be asked for joint counts or batches; nothing is charged yet."""
        return EncodedView(self, encoder.encode(self._table), encoder.domain)

    def _charge_gaussian(self, cost: float, *, stage: str, purpose: str, count: int = 1) -> float:
        """Charge `cost` for a release of `count` coordinates, and return the noise scale that it buys."""
        self._require_left(cost, purpose)
        sigma = sigma_for_cost(cost, self.unit.max_rows, count)
        self._first_answer()
        self._events.append(DiscreteGaussianEvent(stage=stage, purpose=purpose, sigma=sigma, sensitivity=self.unit.max_rows, count=count))
        return sigma

    def _require_left(self, cost: float, purpose: str) -> None:
        if not cost > 0:
            raise PrivacyError(f"{purpose}: a cost of {cost:g} was offered; every answer needs a positive share of the budget")
        if self.spent_cost + cost > self.budget.cost * _SLACK:
            raise PrivacyError(f"{purpose}: costs μ² = {cost:.3g}, but only {self.left_cost:.3g} of {self.budget.cost:.3g} is left")

    def _charge_batches(self, event: SubsampledGaussianEvent) -> None:
        epsilon = composed_epsilon([*self._events, event], self.budget.delta)
        if epsilon > self.budget.epsilon * _SLACK:
            raise PrivacyError(f"{event.purpose}: would bring the walk to ε = {epsilon:.4g}, above its ε = {self.budget.epsilon:g}")
        self._first_answer()
        self._events.append(event)

    def _first_answer(self) -> None:
        if self._before_first_answer is not None:
            announce, self._before_first_answer = self._before_first_answer, None
            announce()

    def _noisy(self, counts: npt.NDArray[np.int64], sigma: float) -> Noisy:
        return Noisy(add_noise(counts, sigma, self._noise).astype(np.float64), sigma)


class EncodedView:
    """The private rows under a released encoder; answers joint counts and deals Poisson batches, all charged to the curator."""

    def __init__(self, curator: Curator, codes: Codes, domain: Domain) -> None:
        if codes.shape[1] != len(domain):
            raise PrivacyError(f"the encoder gave {codes.shape[1]} columns for a domain of {len(domain)}")
        self._curator = curator
        self._codes = codes
        self.domain = domain
        self._tables: dict[tuple[int, int], npt.NDArray[np.int64]] = {}

    def __repr__(self) -> str:
        return f"EncodedView({len(self.domain)} columns, contents withheld)"

    def __reduce__(self) -> NoReturn:
        raise PrivacyError("an EncodedView holds private rows and cannot be pickled")

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything charged to the curator's budget so far."""
        return self._curator.events

    @property
    def left_cost(self) -> float:
        """Gaussian cost μ² that is left."""
        return self._curator.left_cost

    def pair_counts(self, partition: PairPartition, *, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy rows in each cell of a partition of two columns' joint codes.

        Privacy:
            A row falls in one cell, so the L2 sensitivity is max_rows; one discrete Gaussian on every cell.
        """
        sigma = self._curator._charge_gaussian(cost, stage=stage, purpose=purpose)
        return self._curator._noisy(self._counts(partition), sigma)

    def pair_errors(
        self, partitions: Sequence[PairPartition], expected: Sequence[npt.NDArray[np.int64]], *, cost: float, stage: str, purpose: str
    ) -> Noisy:
        """Noisy L1 distances between true counts and the given expected counts, one a partition.

        Privacy:
            Adding a row moves one true count by 1, so each distance by at most 1 (the expected counts are released facts): a vector
            of C distances, each of sensitivity max_rows; discrete Gaussian, one event of count C.
        """
        sigma = self._curator._charge_gaussian(cost, stage=stage, purpose=purpose, count=len(partitions))
        distances = [np.abs(self._counts(part) - model).sum() for part, model in zip(partitions, expected, strict=True)]
        return self._curator._noisy(np.array(distances, dtype=np.int64), sigma)

    def dominance(self, pairs: Sequence[tuple[int, int]], *, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy Σ_a max_b n_ab for each ordered pair (a, b): how many rows the best function a → b gets right.

        Privacy:
            Adding a row moves one count by 1, so each number by at most 1; sensitivity max_rows each, one event of count C.
        """
        sigma = self._curator._charge_gaussian(cost, stage=stage, purpose=purpose, count=len(pairs))
        best = [self._table(a, b).max(axis=1).sum() for a, b in pairs]
        return self._curator._noisy(np.array(best, dtype=np.int64), sigma)

    def poisson_batches(self, *, sample_rate: float, noise_multiplier: float, steps: int, purpose: str) -> Iterator[Codes]:
        """Exactly `steps` batches, each row in each batch with probability `sample_rate`, independently.

        A batch may be empty. The trainer must clip each row's gradient and add noise of `noise_multiplier` × clip to every sum, also to
        an empty one: that is what was charged.

        Privacy:
            `steps` Poisson-subsampled Gaussians, charged before the first batch is dealt. Needs one row a person.

        Raises:
            PrivacyError: at once, if people may have several rows, or if the budget does not cover it.
        """
        if self._curator.unit.max_rows > 1:
            raise PrivacyError("training by DP-SGD with max_rows above 1 is not built yet; use generator maxent, or max_rows: 1")
        event = SubsampledGaussianEvent(
            stage="generator", purpose=purpose, noise_multiplier=noise_multiplier, sample_rate=sample_rate, steps=steps
        )
        self._curator._charge_batches(event)
        return self._deal(sample_rate, steps)

    def _deal(self, sample_rate: float, steps: int) -> Iterator[Codes]:
        generator = self._curator._noise.secure_generator()
        for _ in range(steps):
            yield self._codes[generator.random(len(self._codes)) < sample_rate]

    def _counts(self, partition: PairPartition) -> npt.NDArray[np.int64]:
        table = self._table(partition.first, partition.second)
        counts = np.zeros(partition.size, dtype=np.int64)
        np.add.at(counts, partition.labels.reshape(-1), table.reshape(-1))
        return counts

    def _table(self, first: int, second: int) -> npt.NDArray[np.int64]:
        """True joint counts of two columns, counted chunk by chunk and kept for the next question."""
        if (first, second) in self._tables:
            return self._tables[first, second]
        if (second, first) in self._tables:
            return self._tables[second, first].T
        shape = (self.domain.sizes[first], self.domain.sizes[second])
        counts = np.zeros(shape[0] * shape[1], dtype=np.int64)
        for start in range(0, len(self._codes), _CHUNK_ROWS):
            rows = self._codes[start : start + _CHUNK_ROWS]
            joint = rows[:, first].astype(np.int64) * shape[1] + rows[:, second]
            counts += np.bincount(joint, minlength=len(counts))
        self._tables[first, second] = counts.reshape(shape)
        return self._tables[first, second]


def _cost(event: Any) -> float:
    if isinstance(event, DiscreteGaussianEvent):
        return gdp_cost(event.sigma, event.sensitivity, event.count)
    if isinstance(event, DiscoveryEvent):
        return gdp_cost(event.sigma, event.sensitivity)
    return 0.0
