"""The decoder: encoded rows → a table of values, inside each bin by the released leaves and the column's roundness.

A numeric code is a bin. Its rows are spread over the bin's *pieces* (released leaves and single-value atoms) in proportion to their
released mass by systematic draws, evenly inside a piece, and then rounded as often as the released roundness classes say. Under a
condition only the part of each piece that lies in the row's region is used.
"""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.encode.moment import spread_moments
from synth_pipeline.encode.null_block import with_whole_blocks
from synth_pipeline.encode.pieces import bin_pieces, systematic
from synth_pipeline.encode.rounding import round_values
from synth_pipeline.table.arrays import UNDISCOVERED
from synth_pipeline.table.calendar import Part
from synth_pipeline.table.encoded import EncodedTable
from synth_pipeline.table.grid import Cells
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, Floats, NumericProfile, Profile
from synth_pipeline.table.region import Region

Confined: TypeAlias = tuple[npt.NDArray[np.int32] | None, tuple[Region, ...] | None]
"""The region of each row, and the regions that its number means; None where rows are not confined."""


def decode(
    table: EncodedTable,
    profile: Profile,
    *,
    rng: np.random.Generator,
    regions: Mapping[int, tuple[Region, ...]] | None = None,
) -> pd.DataFrame:
    """A table of values for encoded rows; integers and floats as float64 where nulls occur, categories as their declared values.

    Where people may have several rows, the column `PERSON_ROWS` says how many the row's person has.

    Args:
        table: encoded rows; its `ranks` order values inside a bin, its `regions` confine them.
        profile: the released profile that the codes follow.
        rng: randomness of post-processing.
        regions: for each column index in `table.regions`, the regions that its numbers mean.
    """
    decoded: dict[str, object] = {}
    whole = with_whole_blocks(table, profile, rng=rng)
    for index, column in enumerate(profile.decoded_columns):
        codes, labels, allowed = whole[:, index], table.regions.get(index), (regions or {}).get(index)
        if isinstance(column, CategoryProfile):
            places = _places(codes, column, (labels, allowed), rng)
            decoded[column.name] = _categories(places, column, rest_weights(profile, index), rng, (labels, allowed))
            continue
        parts: dict[Part, npt.NDArray[np.int64]] = {
            part: whole[:, place].astype(np.int64) for part, place in profile.parts(column.name).items()
        }
        spread = _Spread(column, rng, table.ranks.get(index), allowed, parts)
        decoded[column.name] = _numbers(spread.cells(codes, labels), column)
    return pd.DataFrame(decoded)


def region_mass(profile: Profile, index: int, region: Region) -> Floats:
    """Share of each code's released mass that lies in a region; the null code counts wholly or not at all.

    The undiscovered rest is decoded as a discovered category by released shares, so it lies where they lie.
    """
    column: ColumnProfile = profile.columns[index]
    mass = np.zeros(column.codes)
    if isinstance(column, CategoryProfile):
        groups, within, rest = column.group_of, column.within_groups(), rest_weights(profile, index)
        for start, stop in region.ranges:
            mass += np.bincount(groups[start:stop], weights=within[start:stop], minlength=column.codes)
            if column.has_rest:
                mass[column.known] += rest[start:stop].sum()
    else:
        ranges = _working_ranges(region, column)
        for bin_ in range(len(column.edges) - 1):
            pieces = bin_pieces(column, bin_)
            mass[bin_] = pieces.inside(ranges).total / pieces.total
    if column.nullable:
        mass[-1] = float(region.has_null)
    return np.clip(mass, 0.0, 1.0)


def rest_weights(profile: Profile, index: int) -> Floats:
    """Share of each discovered category among the rows of the undiscovered rest; of the one name "other", where nothing was discovered.

    Shapes:
        One weight a category, summing to 1.
    """
    column: ColumnProfile = profile.columns[index]
    if not isinstance(column, CategoryProfile) or not column.categories:
        return np.ones(1)
    weights = profile.shares(index)[column.group_of] * column.within_groups()
    return weights / weights.sum()


class _Spread:
    """Spreads the rows of one numeric column over the cells of its working grid."""

    def __init__(
        self,
        column: NumericProfile,
        rng: np.random.Generator,
        ranks: Floats | None,
        regions: tuple[Region, ...] | None,
        parts: Mapping[Part, npt.NDArray[np.int64]],
    ) -> None:
        self.column = column
        self.rng = rng
        self.ranks = ranks
        self.regions = regions
        self.parts = parts

    def cells(self, codes: npt.NDArray[np.int32], labels: npt.NDArray[np.int32] | None) -> Cells:
        """Working-grid cell of each row, -1 for null."""
        cells = np.full(len(codes), -1, dtype=np.int64)
        bins = len(self.column.edges) - 1
        keys = codes.astype(np.int64) if labels is None else codes + labels.astype(np.int64) * self.column.codes
        narrow = keys.astype(np.uint16) if keys.max(initial=0) < 65_536 else keys  # 16 bits are sorted by radix
        order = np.argsort(narrow, kind="stable")
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
        if self.parts:
            parts: dict[Part, npt.NDArray[np.int64]] = {part: codes[rows] for part, codes in self.parts.items()}
            cells[rows] = spread_moments(pieces, self.column, parts, rows=len(rows), rng=self.rng)
            return
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


def _places(
    codes: npt.NDArray[np.int32],
    column: CategoryProfile,
    confined: Confined,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Place of each row's category in the list; after its end come the undiscovered rest and null, as in the codes."""
    places = codes.astype(np.int64)
    if not column.groups:
        return places
    labels, regions = confined
    others = places - column.known + len(column.categories)
    groups, within = column.group_of, column.within_groups()
    keys = places if labels is None else places + labels.astype(np.int64) * column.codes
    result = np.where(places >= column.known, others, 0)
    for key in np.unique(keys[places < column.known]):
        rows = np.flatnonzero(keys == key)
        members = np.flatnonzero(groups == key % column.codes)
        if labels is not None and regions is not None:
            members = members[_inside(members, regions[int(labels[rows[0]])])]
        result[rows] = rng.permutation(members[systematic(within[members], len(rows), rng)])
    return result


def _draw_rest(
    drawn: npt.NDArray[np.int64],
    rows: npt.NDArray[np.intp],
    weights: Floats,
    rng: np.random.Generator,
    confined: Confined,
) -> None:
    """Put a discovered category in each of the rows, by weight; where rows are confined, one of their region."""
    labels, regions = confined
    if labels is None or regions is None:
        if len(rows):
            drawn[rows] = rng.permutation(systematic(weights, len(rows), rng))
        return
    for label in np.unique(labels[rows]):
        part = rows[labels[rows] == label]
        members = np.flatnonzero(_inside(np.arange(len(weights)), regions[int(label)]))
        drawn[part] = rng.permutation(members[systematic(weights[members], len(part), rng)])


def _inside(places: npt.NDArray[np.int64], region: Region) -> npt.NDArray[np.bool_]:
    return np.any([(places >= start) & (places < stop) for start, stop in region.ranges], axis=0)


def _categories(
    places: npt.NDArray[np.int64],
    column: CategoryProfile,
    rest: Floats,
    rng: np.random.Generator,
    confined: Confined,
) -> object:
    """Values of categories; a row of the undiscovered rest gets a discovered category of its region, drawn by released shares."""
    known = len(column.categories)
    drawn = places
    if column.has_rest and known:
        _draw_rest(drawn, np.flatnonzero(drawn == known), rest, rng, confined)
    if column.is_boolean and not column.nullable:
        return drawn == 1
    values = np.empty(known + int(column.has_rest) + int(column.nullable), dtype=object)
    values[:known] = column.categories
    values[known:] = None
    if column.has_rest and not known:
        values[0] = UNDISCOVERED
    inferred = pd.Series(values, dtype=object).infer_objects()
    if inferred.dtype == "str":
        return inferred.array.take(drawn)
    return pd.Series(values[drawn], dtype=object).infer_objects()
