"""The tree's axis for datetimes: years, months and days in place of powers of eight, so that bins end where months do."""

from itertools import pairwise

import numpy as np

from synth_pipeline.profile.tree import Axis, Leaf
from synth_pipeline.table.calendar import cells_of_days, days_of_cells
from synth_pipeline.table.grid import Cells, Grid

MONTHS, DAYS = 12, 31
_MOST_CELLS = 100_000
_FEWEST_YEARS = 8
_FEWEST_MONTHS = 8
_MONTH_SHARE = 1 / 64


def calendar_levels(grid: Grid) -> tuple[int, ...]:
    """Numbers of intervals of the nested levels: years (where there are at least 8), months, days (31 a month; some are empty)."""
    first, last = _years(grid)
    years = last - first + 1
    levels = (years, years * MONTHS, years * MONTHS * DAYS)
    return tuple(
        level for level in levels[0 if years >= _FEWEST_YEARS else 1 :] if level <= _MOST_CELLS or level == years
    )


def calendar_axis(grid: Grid, levels: tuple[int, ...]) -> Axis:
    """The nested intervals of a datetime grid for some of its calendar levels, the coarsest first."""
    first, last = _years(grid)
    count = levels[-1]
    years = last - first + 1
    if count == years:
        starts = _first_days(np.arange(first, last + 1) * MONTHS)
    elif count == years * MONTHS:
        starts = _first_days(np.arange(first * MONTHS, (last + 1) * MONTHS))
    else:
        months = np.arange(first * MONTHS, (last + 1) * MONTHS)
        days = _first_days(months)[:, None] + np.arange(DAYS)
        starts = np.minimum(days, _first_days(months + 1)[:, None]).reshape(-1)
    cells = np.append(cells_of_days(starts, grid), grid.cells)
    cells[0] = 0
    return Axis(levels, cells)


def month_leaves(leaves: list[Leaf], grid: Grid, *, rows: float) -> list[Leaf]:
    """The leaves joined month by month, or as they are where fewer than 8 months hold a noticeable share of the rows.

    Bins made of whole months make year, month and season functions of the bin.
    """
    months = _months(np.array([leaf.start for leaf in leaves], dtype=np.int64), grid)
    joined: list[Leaf] = []
    for start, stop in _runs(months):
        joined.append(Leaf(leaves[start].start, leaves[stop - 1].stop, sum(leaf.mass for leaf in leaves[start:stop])))
    noticeable = sum(leaf.mass > _MONTH_SHARE * rows for leaf in joined)
    return joined if noticeable >= _FEWEST_MONTHS else leaves


def month_starts(grid: Grid) -> Cells:
    """First cell of each month of a grid, and the grid's two ends."""
    first, last = _years(grid)
    starts = cells_of_days(_first_days(np.arange(first * MONTHS, (last + 1) * MONTHS)), grid)
    return np.unique(np.clip(np.append(starts, [0, grid.cells - 1]), 0, grid.cells - 1))


def _runs(values: Cells) -> list[tuple[int, int]]:
    bounds = np.flatnonzero(np.diff(values)) + 1
    ends = [0, *bounds.tolist(), len(values)]
    return list(pairwise(ends))


def _years(grid: Grid) -> tuple[int, int]:
    """First and last year of a grid, counted from 1970."""
    ends = _months(np.array([0, grid.cells - 1], dtype=np.int64), grid) // MONTHS
    return int(ends[0]), int(ends[1])


def _months(cells: Cells, grid: Grid) -> Cells:
    return days_of_cells(cells, grid).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _first_days(months: Cells) -> Cells:
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
