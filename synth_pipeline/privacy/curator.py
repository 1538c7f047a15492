"""The curator: the only holder of private rows, which answers noisy measurements and nothing else.

Every answer states its cost, is charged before it is computed, and leaves an event behind. The curator has no data in its repr and does
not pickle. Generators are handed a curator, never a table; training by DP-SGD asks it for Poisson batches, so sampling and accounting
cannot disagree.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import ClassVar, NoReturn, Protocol

import numpy as np

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import sigma_for_cost
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import AboveThresholdEvent, Event
from synth_pipeline.privacy.mechanisms.above_threshold import NoisyThreshold
from synth_pipeline.privacy.noise import NoiseSource, SecureNoise
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.privacy.view import EncodedView
from synth_pipeline.privacy.weighing import people_who_repeat, people_who_vary, weighed
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
        Neighbours are tables that differ by all rows of one privacy unit (added or removed). Where a unit may have several rows, each
        of its k rows weighs ⌊U/k⌋ whole units (see `PrivacyUnit`) and every count is a sum of weights: one unit's rows weigh at most U
        together, and no other row's weight hangs on them. U is 1 where rows are units. Each method states how far that moves its answer,
        and its event; answers are released in people (weights / U). Gaussian answers are charged by exact Gaussian-DP cost μ² (valid
        when later questions depend on earlier answers); Poisson batches by the PLD of everything asked so far.

    Args:
        table: native codes of the training rows.
        unit: whose privacy is protected.
        budget: what may be spent here, earlier spending included.
        spent: events charged to the same budget before this curator existed (the profile's, for a generator).
        noise: source of exact discrete noise.
        before_first_answer: called once, before any row is read for an answer (the ledger marks the reservation as read).
    """

    zone: ClassVar[str] = "private"

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
        self._desk = Desk(
            unit=unit,
            budget=budget,
            spent=spent,
            noise=noise or SecureNoise(),
            before_first_answer=before_first_answer,
        )
        self._hold(table)

    @classmethod
    def at_desk(cls, table: NativeTable, desk: Desk) -> "Curator":
        """A curator whose answers are charged and noised at a given desk; a walk brings one with a journal, an audit one that watches."""
        curator = cls.__new__(cls)
        curator._desk = desk  # noqa: SLF001  (its own class)
        curator._hold(table)  # noqa: SLF001
        return curator

    def _hold(self, table: NativeTable) -> None:
        self._table = table
        self._weights = self._desk.unit.row_weights(table.units)

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
        """Noise scale that a histogram of this cost will have, in people."""
        return sigma_for_cost(cost, self.unit.sensitivity) / self.unit.weight

    def count_rows(self, *, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy number of people, which is that of rows where each row is a person.

        Privacy:
            The sum of all weights, which one unit moves by at most U; one discrete Gaussian.
        """
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose)
        total = self._table.rows if self._weights is None else int(self._weights.sum())
        return self._desk.noisy(np.array([total], dtype=np.int64), sigma)

    def histogram(
        self, column: str, partition: Partition, *, with_null: bool, cost: float, stage: str, purpose: str
    ) -> Noisy:
        """Noisy weight of a column in each cell of a public partition, nulls as the last cell where asked for; in people.

        Privacy:
            A row adds its weight to at most one cell, so one unit moves the cells by at most U in L1, hence in L2; one discrete
            Gaussian on every cell.
        """
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, columns=[column])
        native = self._table.columns[column]
        counts = np.zeros(partition.size + int(with_null), dtype=np.int64)
        for start in range(0, len(native), _CHUNK_ROWS):
            cells = native[start : start + _CHUNK_ROWS].astype(np.int64)
            weights = None if self._weights is None else self._weights[start : start + _CHUNK_ROWS]
            known = cells != NULL
            ids = partition.assign(cells[known])
            inside = None if weights is None else weights[known][ids >= 0]
            counts[: partition.size] += weighed(ids[ids >= 0], partition.size, inside)
            if with_null:
                counts[-1] += int((~known).sum() if weights is None else weights[~known].sum())
        return self._desk.noisy(counts, sigma)

    def key_histogram(
        self, column: str, keys: Sequence[str], *, with_null: bool, cost: float, stage: str, purpose: str
    ) -> Noisy:
        """Noisy weight of each released key of a discovered column, then of all other values together, then of nulls if asked for.

        Privacy:
            A row adds its weight to one cell, so one unit moves the cells by at most U in L1, hence in L2; one discrete Gaussian on
            every cell.
        """
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, columns=[column])
        places = {key: place for place, key in enumerate(keys)}
        lookup = np.array(
            [places.get(key, len(keys)) for key in self._table.vocabularies[column]] + [len(keys) + 1], dtype=np.int64
        )
        counts = weighed(lookup[self._table.columns[column]], len(keys) + 2, self._weights)
        return self._desk.noisy(counts[: len(keys) + 1 + int(with_null)], sigma)

    def null_differences(self, pairs: Sequence[tuple[str, str]], *, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy weight of the rows in which exactly one of two columns is null, for each pair.

        Privacy:
            A row adds its weight or nothing to each number, so one unit moves each of the C numbers by at most U: discrete Gaussian,
            one event of count C.
        """
        names = dict.fromkeys(name for pair in pairs for name in pair)
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, columns=names, count=len(pairs))
        is_null = {name: self._table.columns[name] == NULL for name in names}
        differing = (is_null[first] ^ is_null[second] for first, second in pairs)
        counts = [int(rows.sum() if self._weights is None else self._weights[rows].sum()) for rows in differing]
        return self._desk.noisy(np.array(counts, dtype=np.int64), sigma)

    def within_people(
        self, varying: Sequence[str], repeating: Sequence[str], *, cost: float, stage: str, purpose: str
    ) -> Noisy:
        """Noisy numbers of people with several rows, of those in whom each column varies, and of those in whom it repeats a value.

        Args:
            varying: columns of which it is asked whether a person's rows differ in them.
            repeating: columns of which it is asked whether two rows of a person agree in them; nulls repeat one another.
            cost: μ² to spend.
            stage: where in the walk it is asked.
            purpose: what it is for.

        Privacy:
            A person is counted once or not at all in each of the 1 + V + R numbers, whatever the number of rows: counted as U whole
            units, so each number moves by at most U; discrete Gaussian, one event of count 1 + V + R.

        Raises:
            PrivacyError: if the table does not say whose each row is.
        """
        units = self._table.units
        if units is None:
            raise PrivacyError(f"{purpose}: the table does not say whose each row is")
        names, count = dict.fromkeys([*varying, *repeating]), 1 + len(varying) + len(repeating)
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, columns=names, count=count)
        counts = [
            int((np.bincount(units) > 1).sum()),
            *(people_who_vary(self._table.columns[name], units) for name in varying),
            *(people_who_repeat(self._table.columns[name], units) for name in repeating),
        ]
        return self._desk.noisy(np.array(counts, dtype=np.int64) * self.unit.weight, sigma)

    def discover(self, column: str, *, cost: float, delta: float, stage: str, purpose: str) -> tuple[str, ...]:
        """Categories of a column that pass a noisy threshold.

        Privacy:
            Stability-based selection on the weights of the keys: a category held by few people is published with probability at most
            `delta` in all (proof in `privacy.mechanisms.stability`, for every way to spread a person's rows over keys).
        """
        return self._desk.find_keys(
            lambda: self._present(column), cost=cost, delta=delta, stage=stage, purpose=purpose, columns=[column]
        )

    def draw_threshold(self, event: AboveThresholdEvent, *, threshold: int, sensitivity: int) -> NoisyThreshold:
        """A noisy threshold, charged once for every question that will be compared with it (`EncodedView.is_above`); secret.

        Privacy:
            ε-DP for all answers up to the first "above" together, where one unit moves each question by at most `sensitivity`.
        """
        return self._desk.draw_threshold(event, threshold=threshold, sensitivity=sensitivity)

    def encoded(self, encoder: RowEncoder) -> "EncodedView":
        """The rows under a released encoder, to be asked for joint counts or batches; nothing is charged yet."""
        return EncodedView(self._desk, encoder.encode(self._table), encoder.domain, self._table.units)

    def _present(self, column: str) -> dict[str, int]:
        vocabulary, codes = self._table.vocabularies[column], self._table.columns[column]
        held = codes != NULL
        weights = None if self._weights is None else self._weights[held]
        counts = weighed(codes[held].astype(np.int64), len(vocabulary), weights)
        return {key: int(count) for key, count in zip(vocabulary, counts, strict=True) if count > 0}
