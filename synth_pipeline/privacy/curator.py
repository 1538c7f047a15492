"""The curator: the only holder of private rows, which answers noisy measurements and nothing else.

Every answer states its cost, is charged before it is computed, and leaves an event behind. The curator has no data in its repr and does
not pickle. Generators are handed a curator, never a table; training by DP-SGD asks it for Poisson batches, so sampling and accounting
cannot disagree.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import NoReturn, Protocol

import numpy as np

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import sigma_for_cost
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.noise import NoiseSource, SecureNoise
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.privacy.view import EncodedView
from synth_pipeline.table.encoded import Codes, Domain
from synth_pipeline.table.native import NULL, NativeTable
from synth_pipeline.table.partition import Partition

_CHUNK_ROWS = 1 << 20


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
        self._desk = Desk(
            unit=unit, budget=budget, spent=spent, noise=noise or SecureNoise(), before_first_answer=before_first_answer
        )

    @classmethod
    def at_desk(cls, table: NativeTable, desk: Desk) -> "Curator":
        """A curator whose answers are charged and noised at a given desk; an audit brings one that also watches."""
        curator = cls.__new__(cls)
        curator._table, curator._desk = table, desk  # noqa: SLF001  (its own class)
        return curator

    def __repr__(self) -> str:
        return f"Curator({len(self.events)} answers given, contents withheld)"

    def __reduce__(self) -> NoReturn:
        raise PrivacyError("a Curator holds private rows and cannot be pickled; pass the released generator instead")

    @property
    def unit(self) -> PrivacyUnit:
        """Whose privacy is protected."""
        return self._desk.unit

    @property
    def budget(self) -> Budget:
        """What may be spent here, earlier spending included."""
        return self._desk.budget

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything charged to the budget so far, earlier stages included."""
        return self._desk.events

    @property
    def spent_cost(self) -> float:
        """Gaussian cost μ² charged so far."""
        return self._desk.spent_cost

    @property
    def left_cost(self) -> float:
        """Gaussian cost μ² that is left."""
        return self._desk.left_cost

    @contextmanager
    def hold_back(self, cost: float) -> Generator[None]:
        """Keep μ² of the budget out of reach of everything asked inside the block, for a later stage of the same training."""
        before = self._desk.held_back
        self._desk.held_back = before + cost
        try:
            yield
        finally:
            self._desk.held_back = before

    def sigma_for(self, cost: float) -> float:
        """Noise scale that a histogram of this cost will have."""
        return sigma_for_cost(cost, self.unit.max_rows)

    def count_rows(self, *, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy number of rows.

        Privacy:
            Sensitivity max_rows; one discrete Gaussian.
        """
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose)
        return self._desk.noisy(np.array([self._table.rows], dtype=np.int64), sigma)

    def histogram(
        self, column: str, partition: Partition, *, with_null: bool, cost: float, stage: str, purpose: str
    ) -> Noisy:
        """Noisy rows of a column in each cell of a public partition, nulls as the last cell where asked for.

        Privacy:
            A row falls in at most one cell, so the L2 sensitivity is max_rows; one discrete Gaussian on every cell.
        """
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose)
        native = self._table.columns[column]
        counts = np.zeros(partition.size + int(with_null), dtype=np.int64)
        for start in range(0, len(native), _CHUNK_ROWS):
            cells = native[start : start + _CHUNK_ROWS].astype(np.int64)
            ids = partition.assign(cells[cells != NULL])
            counts[: partition.size] += np.bincount(ids[ids >= 0], minlength=partition.size)
            if with_null:
                counts[-1] += int((cells == NULL).sum())
        return self._desk.noisy(counts, sigma)

    def key_histogram(
        self, column: str, keys: Sequence[str], *, with_null: bool, cost: float, stage: str, purpose: str
    ) -> Noisy:
        """Noisy rows of a discovered column for each released key, then for all other values together, then for nulls if asked for.

        Privacy:
            A row falls in one cell, so the L2 sensitivity is max_rows; one discrete Gaussian on every cell.
        """
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose)
        places = {key: place for place, key in enumerate(keys)}
        lookup = np.array(
            [places.get(key, len(keys)) for key in self._table.vocabularies[column]] + [len(keys) + 1], dtype=np.int64
        )
        counts = np.bincount(lookup[self._table.columns[column]], minlength=len(keys) + 2)
        return self._desk.noisy(counts[: len(keys) + 1 + int(with_null)], sigma)

    def null_differences(self, pairs: Sequence[tuple[str, str]], *, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy rows in which exactly one of two columns is null, for each pair.

        Privacy:
            Adding a row moves each number by at most 1: sensitivity max_rows each, discrete Gaussian, one event of count C.
        """
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, count=len(pairs))
        is_null = {name: self._table.columns[name] == NULL for name in {name for pair in pairs for name in pair}}
        counts = [int((is_null[first] ^ is_null[second]).sum()) for first, second in pairs]
        return self._desk.noisy(np.array(counts, dtype=np.int64), sigma)

    def discover(self, column: str, *, cost: float, delta: float, stage: str, purpose: str) -> tuple[str, ...]:
        """Categories of a column that pass a noisy threshold.

        Privacy:
            Stability-based selection: a category held by few people is published with probability at most `delta` in all.
        """
        return self._desk.find_keys(lambda: self._present(column), cost=cost, delta=delta, stage=stage, purpose=purpose)

    def encoded(self, encoder: RowEncoder) -> "EncodedView":
        """The rows under a released encoder, to be asked for joint counts or batches; nothing is charged yet."""
        return EncodedView(self._desk, encoder.encode(self._table), encoder.domain)

    def _present(self, column: str) -> dict[str, int]:
        vocabulary, codes = self._table.vocabularies[column], self._table.columns[column]
        counts = np.bincount(codes[codes != NULL].astype(np.int64), minlength=len(vocabulary))
        return {key: int(count) for key, count in zip(vocabulary, counts, strict=True) if count > 0}
