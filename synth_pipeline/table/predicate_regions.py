"""Conditions to a table of regions (see `table.region`): exact, from the declared domains alone, so it costs no privacy.

Each column's native domain is cut where the truth of some comparison with it changes; the cells between two cuts behave alike in every
comparison, so one cell stands for all of them. The whole condition is then evaluated once for each combination.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce

import numpy as np
import numpy.typing as npt

from synth_pipeline.table.column import DatetimeColumn, FloatColumn, IntegerColumn, ModelledColumn, declared_categories
from synth_pipeline.table.grid import native_grid
from synth_pipeline.table.predicate_tree import (
    Bools,
    Comparison,
    IsNull,
    Leaf,
    NumberColumn,
    Tree,
    Truths,
    direction,
    evaluate,
    leaves,
)
from synth_pipeline.table.predicate_values import CellValues
from synth_pipeline.table.region import Region, RegionTable

Cells = npt.NDArray[np.int64]
MAX_ENUMERATED_CELLS = 1_000_000
_PROBES = 64


def compile_regions(
    conditions: Sequence[tuple[Tree, int]], columns: Mapping[str, ModelledColumn], *, max_combinations: int
) -> RegionTable | None:
    """The conditions together as one table of regions.

    Args:
        conditions: trees, each with the lowest truth that satisfies it (2: must be true; 1: unknown is enough).
        columns: declarations by name, with the categories filled in where they were discovered.
        max_combinations: bound on the combinations of regions that are evaluated.

    Returns:
        The table, or None where a comparison involves two columns, a domain cannot be cut, or the combinations pass the bound.
    """
    tested = list(dict.fromkeys(leaf for tree, _ in conditions for leaf in leaves(tree)))
    if any(len(leaf.columns) > 1 for leaf in tested):
        return None
    named = {name for leaf in tested for name in leaf.columns}
    names = tuple(name for name in columns if name in named)
    cuts = [
        _cut(name, columns[name], [leaf for leaf in tested if name in leaf.columns], max_combinations) for name in names
    ]
    found = [cut for cut in cuts if cut is not None]
    if len(found) < len(cuts) or np.prod([len(regions) for regions, _ in found], dtype=np.float64) > max_combinations:
        return None
    shape = tuple(len(regions) for regions, _ in found)
    truths = _axes(found, len(names))
    truths |= {leaf: _constant(leaf) for leaf in tested if not leaf.columns}
    allowed = [evaluate(tree, truths.__getitem__) >= lowest for tree, lowest in conditions]
    together = np.broadcast_to(reduce(np.logical_and, allowed, np.asarray(a=True)), shape)
    return _merged(names, [regions for regions, _ in found], np.ascontiguousarray(together))


_Cut = tuple[tuple[Region, ...], dict[Leaf, Truths]]


def _axes(cuts: Sequence[_Cut], dimensions: int) -> dict[Leaf, Truths]:
    shaped: dict[Leaf, Truths] = {}
    for axis, (_, truths) in enumerate(cuts):
        shape = [1] * dimensions
        shape[axis] = -1
        shaped |= {leaf: truth.reshape(shape) for leaf, truth in truths.items()}
    return shaped


def _constant(leaf: Leaf) -> Truths:
    return leaf.evaluate(CellValues("", IntegerColumn(min=0, max=1), np.zeros(1, dtype=np.int64))).reshape(())


def _cut(name: str, column: ModelledColumn, tested: Sequence[Leaf], max_regions: int) -> _Cut | None:
    """Regions of one column, and the truth of each leaf in each region; None where the domain cannot be cut."""
    cells = _domain_cells(column)
    is_numeric = isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn))
    breaks = (
        [_breaks(name, column, leaf, cells) for leaf in tested] if is_numeric else [np.arange(cells, dtype=np.int64)]
    )
    known = [cuts for cuts in breaks if cuts is not None]
    if cells == 0 or len(known) < len(breaks):
        return None
    starts = np.unique(np.concatenate([np.zeros(1, dtype=np.int64), *known]))
    if is_numeric and len(starts) * max(len(tested), 1) > 50 * max_regions:
        return None
    signatures = np.array([leaf.evaluate(CellValues(name, column, starts)) for leaf in tested], dtype=np.int8)
    distinct, first, inverse = np.unique(signatures, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first)
    stops = np.append(starts[1:], cells)
    members = [np.flatnonzero(inverse.reshape(-1) == group) for group in order]
    regions = [Region(_joined(starts[runs], stops[runs])) for runs in members]
    truths = distinct[:, order]
    if column.nullable:
        null = CellValues(name, column, np.full(1, -1, dtype=np.int64))
        regions.append(Region((), has_null=True))
        truths = np.concatenate([truths, np.array([leaf.evaluate(null) for leaf in tested], dtype=np.int8)], axis=1)
    return tuple(regions), dict(zip(tested, truths, strict=True))


def _domain_cells(column: ModelledColumn) -> int:
    if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
        return native_grid(column).cells
    return len(declared_categories(column))


def _breaks(name: str, column: ModelledColumn, leaf: Leaf, cells: int) -> Cells | None:
    """Cells at which the truth of a leaf may differ from that of the cell before."""
    if isinstance(leaf, IsNull) and isinstance(leaf.operand, (str, NumberColumn)):
        return np.zeros(0, dtype=np.int64)
    if isinstance(leaf, Comparison):
        left, right = direction(leaf.left), direction(leaf.right)
        if left is not None and right is not None and not (left and right):
            return _sign_changes(leaf, CellValues(name, column, np.arange(0)), left - right, cells)
    if cells > MAX_ENUMERATED_CELLS:
        return None
    truth = leaf.evaluate(CellValues(name, column, np.arange(cells, dtype=np.int64)))
    return np.flatnonzero(np.diff(truth)).astype(np.int64) + 1


def _sign_changes(leaf: Comparison, values: CellValues, slope: int, cells: int) -> Cells:
    """Where a comparison that only rises (slope 1) or only falls (-1) along the cells goes through equality."""

    def reaches(level: int, probes: Cells) -> Bools:
        return slope * leaf.sign(replace(values, cells=probes))[0] >= level

    found = (_first(partial(reaches, level), cells) for level in (0, 1))
    return np.array([cell for cell in found if cell < cells], dtype=np.int64)


def _first(holds: Callable[[Cells], Bools], cells: int) -> int:
    """The first cell at which a monotone condition holds, or `cells`."""
    low, high = 0, cells
    while low < high:
        probes = np.array(
            sorted({low + (high - 1 - low) * step // (_PROBES - 1) for step in range(_PROBES)}), dtype=np.int64
        )
        place = int(np.searchsorted(holds(probes), 1))
        if place < len(probes):
            high = int(probes[place])
        if place > 0:
            low = int(probes[place - 1]) + 1
    return low


def _joined(starts: Cells, stops: Cells) -> tuple[tuple[int, int], ...]:
    """The ranges, with those that touch made one."""
    is_new = np.concatenate([[True], starts[1:] != stops[:-1]])
    firsts = np.flatnonzero(is_new)
    lasts = np.append(firsts[1:] - 1, len(starts) - 1)
    return tuple((int(starts[first]), int(stops[last])) for first, last in zip(firsts, lasts, strict=True))


def _merged(names: tuple[str, ...], regions: Sequence[tuple[Region, ...]], allowed: Bools) -> RegionTable:
    """The same table with those regions of a column joined that allow the same combinations; null stays by itself."""
    kept: list[tuple[Region, ...]] = []
    for axis, listed in enumerate(regions):
        slices = np.moveaxis(allowed, axis, 0).reshape(len(listed), -1)
        groups: dict[tuple[bytes, bool], list[int]] = {}
        for index, region in enumerate(listed):
            groups.setdefault((np.packbits(slices[index]).tobytes(), region.has_null), []).append(index)
        kept.append(tuple(_union([listed[index] for index in group]) for group in groups.values()))
        allowed = np.take(allowed, [group[0] for group in groups.values()], axis=axis)
    return RegionTable(names, tuple(kept), allowed)


def _union(regions: Sequence[Region]) -> Region:
    ranges = np.array(sorted(span for region in regions for span in region.ranges), dtype=np.int64).reshape(-1, 2)
    if not len(ranges):
        return regions[0]
    return Region(_joined(ranges[:, 0], ranges[:, 1]), has_null=regions[0].has_null)
