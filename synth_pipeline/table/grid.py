"""The native grid of a numeric column: a public map between values and integer cells.

Every number is held as `tick = value × 10^decimals` (integers, floats) or as a count of seconds-steps since 1970 (datetimes), and a
*cell* is `tick - low`. The grid comes from the declaration alone, so it costs no privacy.
"""

import math
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.table.column import DatetimeColumn, FloatColumn, IntegerColumn, NumericColumn, as_datetime

Cells = npt.NDArray[np.int64]
_STEP_SECONDS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
_FLOAT_DIGITS = 15
_MOST_FLOAT_DECIMALS = 18


@dataclass(frozen=True)
class Grid:
    """Equally spaced possible values of a numeric column.

    Attributes:
        low: tick of the lowest cell, counted in steps of `stride`.
        cells: number of possible values.
        decimals: ticks a unit, as a power of ten (numbers only).
        stride: ticks a cell; more than 1 after a coarser granularity was released.
        seconds: seconds a tick (datetimes only), else 0.
    """

    low: int
    cells: int
    decimals: int = 0
    stride: int = 1
    seconds: int = 0

    @property
    def is_datetime(self) -> bool:
        """Whether the cells are points in time."""
        return self.seconds > 0

    def ticks(self, cells: Cells) -> Cells:
        """The ticks (of stride 1) of the given cells."""
        return (cells + self.low) * self.stride

    def coarsened(self, stride: int) -> "Grid":
        """The grid of multiples of `stride` ticks that covers this grid (which must have stride 1)."""
        low = -(-self.low // stride)
        high = (self.low + self.cells - 1) // stride
        return replace(self, low=low, cells=max(high - low + 1, 1), stride=stride)

    def from_native(self, cells: Cells, native: "Grid") -> Cells:
        """Cells of this (coarser or equal) grid for the given cells of the native grid; -1 (null) stays -1."""
        if self.stride == native.stride:
            return cells
        ticks = native.ticks(cells)
        rounded = np.floor_divide(ticks + self.stride // 2, self.stride) - self.low
        return np.where(cells < 0, -1, np.clip(rounded, 0, self.cells - 1))

    def values(self, cells: Cells) -> npt.NDArray[np.float64] | npt.NDArray[np.int64] | npt.NDArray[np.datetime64]:
        """The values of the given cells: int64 for whole numbers, float64, or datetime64[us]."""
        ticks = self.ticks(cells)
        if self.is_datetime:
            return (ticks * self.seconds * 1_000_000).astype("datetime64[us]")
        if self.decimals == 0:
            return ticks
        return np.round(ticks / 10.0**self.decimals, self.decimals)

    def nearest(self, values: pd.Series) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Unclipped cell of each value as float64 (NaN for null), and whether each value is null.

        Cells are exact below 2^53; infinities stay infinite, so that the caller sees them as outside the domain.
        """
        null = values.isna().to_numpy(dtype=bool)
        if self.is_datetime:
            ticks = np.floor(_seconds(values) / self.seconds + 1e-9)  # 13:00 at a step of a day is that day
        else:
            ticks = values.to_numpy(dtype=np.float64, na_value=np.nan) * 10.0**self.decimals
        with np.errstate(invalid="ignore"):
            return np.round(ticks / self.stride) - self.low, null


def native_grid(column: NumericColumn) -> Grid:
    """The native grid that a column's declaration implies.

    Example:
        >>> native_grid(IntegerColumn(min=17, max=90))
        Grid(low=17, cells=74, decimals=0, stride=1, seconds=0)
    """
    if isinstance(column, IntegerColumn):
        return Grid(low=column.min, cells=column.max - column.min + 1)
    if isinstance(column, FloatColumn):
        decimals = column.precision if column.precision is not None else _float_decimals(column)
        low, high = round(column.min * 10**decimals), round(column.max * 10**decimals)
        return Grid(low=low, cells=high - low + 1, decimals=decimals)
    seconds = _STEP_SECONDS[datetime_step(column)]
    low = math.floor(_timestamp(column.min) / seconds)
    return Grid(low=low, cells=math.floor(_timestamp(column.max) / seconds) - low + 1, seconds=seconds)


def datetime_step(column: DatetimeColumn) -> Literal["day", "hour", "minute", "second"]:
    """The step of a datetime column: declared, or one second (a coarser one is then released under DP with the profile)."""
    return column.precision or "second"


def _float_decimals(column: FloatColumn) -> int:
    """Decimals of a float column that declares none: 15 significant digits of its larger bound.

    So fine that values are hardly changed, and that a double still tells neighbouring cells apart. The step that the values really keep
    to (cents, thousandths) is released with the profile, at a charge.
    """
    largest = max(abs(column.min), abs(column.max))
    return min(max(_FLOAT_DIGITS - math.floor(math.log10(largest)) - 1, 0), _MOST_FLOAT_DECIMALS)


def _timestamp(value: datetime | date) -> float:
    return as_datetime(value).replace(tzinfo=UTC).timestamp()


def _seconds(values: pd.Series) -> npt.NDArray[np.float64]:
    if getattr(values.dtype, "tz", None) is not None:
        values = values.dt.tz_localize(None)
    stamps = values.to_numpy(dtype="datetime64[us]")
    seconds = stamps.astype(np.int64) / 1e6
    return np.where(np.isnat(stamps), np.nan, seconds)
