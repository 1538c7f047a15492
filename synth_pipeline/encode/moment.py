"""Moments put together from a bin and its calendar parts: a day of the bin that falls in the month and on the weekday, then the hour.

The parts of a row may contradict its bin (no Tuesday in a bin of one day), or the region of a condition. Then the bin and the region are
kept and the parts give way: first the hour, then the weekday, then the month.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.encode.pieces import Pieces, systematic
from synth_pipeline.encode.rounding import round_values
from synth_pipeline.table.calendar import HOUR_SECONDS, PART_SIZES, Part, cells_of_days, days_of_cells, part_of
from synth_pipeline.table.grid import Cells
from synth_pipeline.table.profile import Floats, NumericProfile

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Slots:
    """The days of some pieces, each with the cells of it that are allowed.

    Attributes:
        starts: first allowed cell.
        stops: first cell no longer allowed.
        masses: released mass.
        days: day, counted from 1970-01-01.
    """

    starts: Cells
    stops: Cells
    masses: Floats
    days: Cells


def day_slots(pieces: Pieces, column: NumericProfile) -> Slots:
    """Pieces cut at midnights; mass is even inside a piece."""
    first, last = days_of_cells(pieces.starts, column.grid), days_of_cells(pieces.stops - 1, column.grid)
    counts = last - first + 1
    piece = np.repeat(np.arange(len(counts)), counts)
    days = first[piece] + np.arange(len(piece)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.maximum(cells_of_days(days, column.grid), pieces.starts[piece])
    stops = np.minimum(cells_of_days(days + 1, column.grid), pieces.stops[piece])
    widths = (pieces.stops - pieces.starts)[piece]
    kept = stops > starts
    masses = pieces.masses[piece] * (stops - starts) / widths
    return Slots(starts[kept], stops[kept], masses[kept], days[kept])


def spread_moments(
    pieces: Pieces, column: NumericProfile, parts: Mapping[Part, Codes], *, rows: int, rng: np.random.Generator
) -> Cells:
    """Cells for rows of one bin (and region).

    Args:
        pieces: the pieces of the bin that are allowed.
        column: the datetime column.
        parts: for each part, the code of each row; a code past its last value (null) wishes nothing.
        rows: number of rows.
        rng: randomness of post-processing.
    """
    slots = day_slots(pieces, column)
    chosen = _choose_days(slots, parts, rows, rng)
    lows, highs = slots.starts[chosen], slots.stops[chosen]
    if "hour" in parts:
        lows, highs = _narrowed(lows, highs, slots.days[chosen], parts["hour"], column)
    cells = lows + np.floor(rng.random(rows) * (highs - lows)).astype(np.int64)
    loose = highs - lows > 1
    if column.roundness is not None and loose.any():
        cells[loose] = round_values(cells[loose], lows[loose], highs[loose], column, rng)
    return cells


def _choose_days(slots: Slots, parts: Mapping[Part, Codes], rows: int, rng: np.random.Generator) -> Codes:
    """A slot for each row: by mass among those in its month and on its weekday, or in its month, or any."""
    seconds = slots.days * 86_400
    months, weekdays = part_of(seconds, "month"), part_of(seconds, "weekday")
    nothing = np.full(rows, -1, dtype=np.int64)
    wanted_month = _wishes(parts.get("month", nothing), "month")
    wanted_weekday = _wishes(parts.get("weekday", nothing), "weekday")
    chosen = np.empty(rows, dtype=np.int64)
    keys = (wanted_month + 1) * 8 + wanted_weekday + 1
    for key in np.unique(keys):
        members = np.flatnonzero(keys == key)
        month, weekday = int(key) // 8 - 1, int(key) % 8 - 1
        in_month = (months == month) | (month < 0)
        on_weekday = (weekdays == weekday) | (weekday < 0)
        fitting = next(found for found in (in_month & on_weekday, in_month, months >= 0) if found.any())
        candidates = np.flatnonzero(fitting)
        chosen[members] = rng.permutation(candidates[systematic(slots.masses[candidates], len(members), rng)])
    return chosen


def _wishes(codes: Codes, part: Part) -> Codes:
    return np.where(codes < PART_SIZES[part], codes, -1)


def _narrowed(lows: Cells, highs: Cells, days: Cells, hours: Codes, column: NumericProfile) -> tuple[Cells, Cells]:
    """The allowed cells of each row cut down to its hour, where any of them lies in it."""
    grid = column.grid
    step = grid.seconds * grid.stride
    begin = days * 24 + hours
    starts = -(-begin * HOUR_SECONDS // step) - grid.low
    stops = -(-(begin + 1) * HOUR_SECONDS // step) - grid.low
    starts, stops = np.maximum(starts, lows), np.minimum(stops, highs)
    fits = (stops > starts) & (hours < PART_SIZES["hour"])
    return np.where(fits, starts, lows), np.where(fits, stops, highs)
