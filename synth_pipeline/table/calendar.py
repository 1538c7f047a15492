"""Calendar parts of a datetime column: the hour, the day of the week and the month that each moment falls in.

A bin of a datetime column is a stretch of days or months, so daily and weekly rhythm would be lost inside it. Its parts are therefore
encoded beside it as columns of their own, and the decoder puts a moment together from all of them. Everything here is a public map.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from synth_pipeline.table.grid import Cells, Grid
from synth_pipeline.table.partition import Ids

Part: TypeAlias = Literal["month", "weekday", "hour"]

PART_SIZES: Mapping[Part, int] = {"month": 12, "weekday": 7, "hour": 24}
PART_LABELS: Mapping[Part, tuple[str, ...]] = {
    "month": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "weekday": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "hour": tuple(f"{hour:02d} h" for hour in range(24)),
}
DAY_SECONDS, HOUR_SECONDS = 86_400, 3_600
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


@dataclass(frozen=True)
class CalendarPart:
    """The partition of a datetime grid by one calendar part.

    Attributes:
        grid: grid of the cells that are passed in.
        part: which part.
    """

    grid: Grid
    part: Part

    @property
    def size(self) -> int:
        """Number of values of the part."""
        return PART_SIZES[self.part]

    def assign(self, cells: Cells) -> Ids:
        """Month (0 = January), day of the week (0 = Monday) or hour of each cell."""
        return part_of(self.grid.ticks(cells) * self.grid.seconds, self.part)


def part_of(seconds: Cells, part: Part) -> Ids:
    """The calendar part of moments given in seconds since 1970.

    Example:
        >>> [int(part_of(np.array([90_000]), part)[0]) for part in ("month", "weekday", "hour")]
        [0, 4, 1]
    """
    if part == "hour":
        return seconds // HOUR_SECONDS % 24
    days = seconds // DAY_SECONDS
    if part == "weekday":
        return (days + _EPOCH_WEEKDAY) % 7
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12


def cells_of_days(days: Cells, grid: Grid) -> Cells:
    """First cell at or after the midnight of each day (counted from 1970-01-01), within the grid's ends."""
    step = grid.seconds * grid.stride
    return np.clip(-(-days * DAY_SECONDS // step) - grid.low, 0, grid.cells)


def days_of_cells(cells: Cells, grid: Grid) -> Cells:
    """The day (counted from 1970-01-01) that each cell lies in."""
    return grid.ticks(cells) * grid.seconds // DAY_SECONDS
