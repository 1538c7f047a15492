"""The decoder: encoded rows → a table of values, inside each bin by the released leaves and the column's roundness.

A numeric code is a bin. Its rows are spread over the bin's *pieces* (released leaves and single-value atoms) in proportion to their
released mass by systematic draws, evenly inside a piece, and then rounded as often as the released roundness classes say. Under a
condition only the part of each piece that lies in the row's region is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.encode.rounding import round_values
from synth_pipeline.table.encoded import EncodedTable
from synth_pipeline.table.grid import Cells
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, Floats, NumericProfile, Profile
from synth_pipeline.table.region import Region

_EMPTY_MASS = 1e-9


@dataclass(frozen=True, eq=False)
class Pieces:
    """Parts of one bin with their released mass: half-open cell ranges of the working grid."""

    starts: Cells
    stops: Cells
    masses: Floats

    @property
    def total(self) -> float:
        """Mass of all pieces."""
        return float(self.masses.sum())

    def inside(self, ranges: tuple[tuple[int, int], ...]) -> "Pieces":
        """The parts that lie in the given ranges, with the mass that an even spread inside each piece gives them."""
        starts, stops, masses = [self.starts[:0]], [self.stops[:0]], [self.masses[:0]]
        for low, high in ranges:
            start, stop = np.maximum(self.starts, low), np.minimum(self.stops, high)
            keep = stop > start
            starts.append(start[keep])
            stops.append(stop[keep])
            masses.append((self.masses * (stop - start) / (self.stops - self.starts))[keep])
        return Pieces(np.concatenate(starts), np.concatenate(stops), np.concatenate(masses))


def decode(
    table: EncodedTable,
    profile: Profile,
    *,
    rng: np.random.Generator,
    regions: Mapping[int, tuple[Region, ...]] | None = None,
) -> pd.DataFrame:
    """A table of values for encoded rows; integers and floats as float64 where nulls occur, categories as their declared values.

    Args:
        table: encoded rows; its `ranks` order values inside a bin, its `regions` confine them.
        profile: the released profile that the codes follow.
        rng: randomness of post-processing.
        regions: for each column index in `table.regions`, the regions that its numbers mean.
    """
    decoded: dict[str, object] = {}
    for index, column in enumerate(profile.columns):
        codes = table.codes[:, index]
        if isinstance(column, CategoryProfile):
            decoded[column.name] = _categories(codes, column, profile.shares(index), rng)
            continue
        labels = table.regions.get(index)
        spread = _Spread(column, rng, table.ranks.get(index), (regions or {}).get(index))
        decoded[column.name] = _numbers(spread.cells(codes, labels), column)
    return pd.DataFrame(decoded)


def region_mass(column: ColumnProfile, region: Region) -> Floats:
    """Share of each code's released mass that lies in a region; the null code counts wholly or not at all."""
    mass = np.zeros(column.codes)
    if isinstance(column, CategoryProfile):
        for start, stop in region.ranges:
            mass[start : min(stop, len(column.categories))] = 1.0
    else:
        ranges = _working_ranges(region, column)
        for bin_ in range(len(column.edges) - 1):
            pieces = bin_pieces(column, bin_)
            mass[bin_] = pieces.inside(ranges).total / pieces.total
    if column.nullable:
        mass[-1] = float(region.has_null)
    return np.clip(mass, 0.0, 1.0)


def bin_pieces(column: NumericProfile, bin_: int) -> Pieces:
    """The pieces of one bin; the whole bin where no leaf was released inside it."""
    low, high = int(column.edges[bin_]), int(column.edges[bin_ + 1])
    if len(column.leaves):
        first, last = np.searchsorted(column.leaves[:, 0], [low, high])
        if last > first:
            starts, stops = column.leaves[first:last, 0], column.leaves[first:last, 1]
            return Pieces(starts, stops, column.masses[first:last] + _EMPTY_MASS * (stops - starts))
    return Pieces(np.array([low]), np.array([high]), np.array([1.0]))


class _Spread:
    """Spreads the rows of one numeric column over the cells of its working grid."""

    def __init__(
        self, column: NumericProfile, rng: np.random.Generator, ranks: Floats | None, regions: tuple[Region, ...] | None
    ) -> None:
        self.column = column
        self.rng = rng
        self.ranks = ranks
        self.regions = regions

    def cells(self, codes: npt.NDArray[np.int32], labels: npt.NDArray[np.int32] | None) -> Cells:
        """Working-grid cell of each row, -1 for null."""
        cells = np.full(len(codes), -1, dtype=np.int64)
        bins = len(self.column.edges) - 1
        keys = codes.astype(np.int64) if labels is None else codes + labels.astype(np.int64) * self.column.codes
        order = np.argsort(keys, kind="stable")
        bounds = np.flatnonzero(np.diff(keys[order])) + 1
        for rows in np.split(order, bounds):
            if len(rows) == 0 or codes[rows[0]] >= bins:
                continue
            self._fill(cells, rows, int(codes[rows[0]]), None if labels is None else int(labels[rows[0]]))
        return cells

    def _fill(self, cells: Cells, rows: npt.NDArray[np.intp], bin_: int, label: int | None) -> None:
        pieces = bin_pieces(self.column, bin_)
        if label is not None and self.regions is not None:
            pieces = pieces.inside(_working_ranges(self.regions[label], self.column))
        chosen = np.sort(systematic(pieces.masses, len(rows), self.rng))
        rows = rows[np.argsort(self.ranks[rows])] if self.ranks is not None else self.rng.permutation(rows)
        starts, stops = pieces.starts[chosen], pieces.stops[chosen]
        cells[rows] = starts + np.floor(self._positions(chosen) * (stops - starts)).astype(np.int64)
        loose = stops - starts > 1
        if self.column.roundness is not None and loose.any():
            cells[rows[loose]] = round_values(cells[rows[loose]], starts[loose], stops[loose], self.column, self.rng)

    def _positions(self, chosen: npt.NDArray[np.int64]) -> Floats:
        """Position in [0, 1) inside the chosen piece: stratified, so that the order of the rows is kept."""
        _, first, count = np.unique(chosen, return_index=True, return_counts=True)
        within = np.arange(len(chosen)) - np.repeat(first, count)
        return np.minimum((within + self.rng.random(len(chosen))) / np.repeat(count, count), 1 - 1e-12)


def systematic(masses: Floats, draws: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Systematic draws: each index as often as its share says, to within one, in increasing order."""
    cumulative = np.cumsum(masses)
    points = (np.arange(draws) + rng.random()) / draws * cumulative[-1]
    return np.minimum(np.searchsorted(cumulative, points, side="right"), len(masses) - 1)


def _working_ranges(region: Region, column: NumericProfile) -> tuple[tuple[int, int], ...]:
    """A region's native cell ranges on the working grid, whose cells stand for single native values."""
    grid, native = column.grid, column.native
    if grid.stride == 1:
        return region.ranges

    def working(cell: int) -> int:
        return -(-(cell + native.low) // grid.stride) - grid.low

    return tuple((working(start), working(stop)) for start, stop in region.ranges)


def _numbers(cells: Cells, column: NumericProfile) -> object:
    values = column.grid.values(np.maximum(cells, 0))
    if not column.nullable:
        return values
    null = cells < 0
    if column.grid.is_datetime:
        return np.where(null, np.datetime64("NaT"), values)
    return np.where(null, np.nan, values.astype(np.float64))


def _categories(
    codes: npt.NDArray[np.int32], column: CategoryProfile, shares: Floats, rng: np.random.Generator
) -> object:
    """Values of category codes; a row of the undiscovered rest gets a discovered category, drawn by released shares."""
    known = len(column.categories)
    drawn = codes.astype(np.int64)
    if column.has_rest and known:
        rest = drawn == known
        weights = shares[:known] / shares[:known].sum()
        drawn[rest] = rng.permutation(systematic(weights, int(rest.sum()), rng)) if rest.any() else 0
    if column.is_boolean and not column.nullable:
        return drawn == 1
    values = np.empty(column.codes, dtype=object)
    values[:known] = column.categories
    values[known:] = None
    if column.has_rest and not known:
        values[0] = "other"
    return pd.Series(values[drawn], dtype=object).infer_objects()
