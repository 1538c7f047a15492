"""The people whom an audit plants behind a table's own, before an engine that trains by DP-SGD."""

from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import RowEncoder
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.privacy.view import EncodedView
from synth_pipeline.table.native import NativeTable


@dataclass(frozen=True, eq=False)
class PlantedCurator:
    """Stands in for a `Curator` before an engine that trains by DP-SGD: the table's rows, and the canaries' behind them.

    Attributes:
        desk: where the training is charged.
        table: rows of a table that needs no protection.
        planted: numbers (from 1) of the canaries who are in the table.
        rng: picks the rows that canaries look like.
    """

    desk: Desk
    table: NativeTable
    planted: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    rng: np.random.Generator = field(default_factory=np.random.default_rng)

    def __reduce__(self) -> NoReturn:
        raise PrivacyError("a PlantedCurator holds rows like a Curator and cannot be pickled")

    @property
    def unit(self) -> PrivacyUnit:
        """Whose privacy is protected."""
        return self.desk.unit

    @property
    def budget(self) -> Budget:
        """What may be spent."""
        return self.desk.budget

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything charged so far."""
        return self.desk.events

    def encoded(self, encoder: RowEncoder) -> EncodedView:
        """The rows, those of canary c with −c in the first column; each canary has as many rows as one person may."""
        codes = encoder.encode(self.table)
        if not len(self.planted):
            return EncodedView(self.desk, codes, encoder.domain, self.table.units)
        each = self.unit.max_rows
        numbers = np.repeat(self.planted, each)
        rows = codes[self.rng.integers(0, len(codes), len(numbers))]
        rows[:, 0] = -numbers
        units = None
        if self.table.units is not None:
            first = int(self.table.units.max(initial=-1)) + 1
            units = np.concatenate([self.table.units, np.repeat(first + np.arange(len(self.planted)), each)])
        return EncodedView(self.desk, np.concatenate([codes, rows]), encoder.domain, units)
