"""The profile of one numeric column: granularity, consistent tree, atoms, bins and a fresh one-way over them."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.profile import atoms, bins, tree, zoom
from synth_pipeline.profile.calendar_axis import calendar_axis, calendar_levels, month_leaves, month_starts
from synth_pipeline.profile.moment import time_radices
from synth_pipeline.profile.share import NARROW_CELLS
from synth_pipeline.profile.shrinkage import shrunk
from synth_pipeline.table.column import NumericColumn
from synth_pipeline.table.grid import Cells, Grid, native_grid
from synth_pipeline.table.partition import Intervals, Points, Ranges, Roundness
from synth_pipeline.table.profile import Floats, NumericProfile

_GRANULARITY_SHARE = 0.05
_TREE_SHARE, _ATOM_SHARE = 0.45, 0.15
_LEVEL_ROWS_PER_SIGMA = 0.03
_MOST_RADICES = 12
_ATOM_SIGMAS = 4.0
_ABSENT_SIGMAS, _ABSENT_SHARE = 2.5, 0.002
_DENSE_SHARE = 1 / 64


@dataclass(frozen=True)
class NumericQuestion:
    """What a numeric column is asked with.

    Attributes:
        name: column name.
        column: its declaration.
        cost: μ² that its profile may spend.
        rows: noisy row count.
    """

    name: str
    column: NumericColumn
    cost: float
    rows: float


def profile_numeric(curator: Curator, question: NumericQuestion) -> NumericProfile:
    """Measure one numeric column.

    A column of at most 128 possible values is counted on its native grid. A wider one is asked, in this order, for its granularity
    (5 % of the cost), a tree and the counts of possible atoms (57 %), and a fresh one-way over the bins that follow (38 %).

    Privacy:
        Everything is a discrete-Gaussian histogram through the curator; their costs sum to `question.cost`.
    """
    native = native_grid(question.column)
    if native.cells <= NARROW_CELLS:
        return _narrow(curator, question, native, native)
    radices = _radices(native)
    if not radices:
        return _wide(curator, question, native, native)
    roundness = _measure_roundness(curator, question, native, radices)
    question = replace(question, cost=question.cost * (1 - _GRANULARITY_SHARE))
    finer = _granularity(roundness.values, roundness.sigma, radices)
    stride = math.prod(radices[:finer])
    grid = native.coarsened(stride) if stride > 1 else native
    if grid.cells <= NARROW_CELLS:
        return _narrow(curator, question, native, grid)
    profile = _wide(curator, question, native, grid)
    if finer == len(radices):
        return profile
    classes = np.where(roundness.values < _ABSENT_SIGMAS * roundness.sigma, 0.0, roundness.values)
    classes = np.append(classes[: finer + 1].sum(), classes[finer + 1 :])
    return replace(profile, roundness=classes, radices=radices[finer:])


def _radices(native: Grid) -> tuple[int, ...]:
    if native.is_datetime:
        return time_radices(native)
    return (10,) * min(_MOST_RADICES, int(math.log10(native.cells)))


def _measure_roundness(curator: Curator, question: NumericQuestion, native: Grid, radices: tuple[int, ...]) -> Noisy:
    return curator.histogram(
        question.name,
        Roundness(native, radices),
        with_null=False,
        cost=_GRANULARITY_SHARE * question.cost,
        stage="profile",
        purpose=f"{question.name}: granularity",
    )


def _granularity(classes: Floats, sigma: float, radices: tuple[int, ...]) -> int:
    """How many of the radices practically all values are multiples of, one after another."""
    total = max(float(classes.sum()), 1.0)
    if total <= 10 * sigma:
        return 0
    finer = np.cumsum(classes[: len(radices)])
    noise = sigma * np.sqrt(np.arange(1, len(radices) + 1))
    is_finer = finer >= np.maximum(_ABSENT_SIGMAS * noise, _ABSENT_SHARE * total)
    return int(np.argmax(is_finer)) if is_finer.any() else len(radices)


def _narrow(curator: Curator, question: NumericQuestion, native: Grid, grid: Grid) -> NumericProfile:
    cells = Intervals(np.arange(grid.cells + 1, dtype=np.int64), grid, native)
    noisy = curator.histogram(
        question.name,
        cells,
        with_null=question.column.nullable,
        cost=question.cost,
        stage="profile",
        purpose=f"{question.name}: one-way on the native grid",
    )
    counts = noisy.values[: grid.cells]
    edges = bins.merge_cells(counts, rows=float(counts.sum()), sigma=noisy.sigma)
    widths = np.diff(edges)
    binned, sigma = np.add.reduceat(counts, edges[:-1]), noisy.sigma * np.sqrt(widths)
    if question.column.nullable:
        binned, sigma = np.append(binned, noisy.values[-1]), np.append(sigma, noisy.sigma)
    masses = np.concatenate([shrunk(counts[start:stop], noisy.sigma) for start, stop in pairwise(edges)])
    starts = np.arange(grid.cells, dtype=np.int64)
    leaves = np.stack([starts, starts + 1], axis=1)
    return NumericProfile(question.name, native, grid, edges, binned, sigma, question.column.nullable, leaves, masses)


def _wide(curator: Curator, question: NumericQuestion, native: Grid, grid: Grid) -> NumericProfile:
    before = curator.spent_cost
    leaves, total = _measure_tree(curator, question, native, grid)
    leaves = _measure_atoms(curator, question, native, grid, leaves)
    cost = question.cost - (curator.spent_cost - before)  # what is left: a search that ends early spends less
    merged = month_leaves(leaves, grid, rows=total) if grid.is_datetime else leaves
    edges = bins.merge_leaves(merged, grid.cells, rows=total, sigma=curator.sigma_for(cost))
    fresh = curator.histogram(
        question.name,
        Intervals(edges, grid, native),
        with_null=question.column.nullable,
        cost=cost,
        stage="profile",
        purpose=f"{question.name}: one-way over {len(edges) - 1} bins",
    )
    ranges = np.array([[leaf.start, leaf.stop] for leaf in leaves], dtype=np.int64)
    masses = np.array([leaf.mass for leaf in leaves])
    sigma = np.full(len(fresh.values), fresh.sigma)
    return NumericProfile(
        question.name, native, grid, edges, fresh.values, sigma, question.column.nullable, ranges, masses
    )


def _measure_tree(
    curator: Curator, question: NumericQuestion, native: Grid, grid: Grid
) -> tuple[list[tree.Leaf], float]:
    """Leaves of the tree over as many levels as the noise allows."""
    cost = _TREE_SHARE * question.cost
    possible = calendar_levels(grid) if grid.is_datetime else tree.LEVELS
    sigma = curator.sigma_for(cost / len(possible))
    levels = tuple(
        level
        for level in possible
        if level == possible[0] or (level < grid.cells / 1.5 and question.rows / level >= _LEVEL_ROWS_PER_SIGMA * sigma)
    )
    axis = calendar_axis(grid, levels) if grid.is_datetime else tree.make_axis(grid, levels)
    counts: list[Floats] = []
    for level in range(len(levels)):
        edges = axis.edges(level)
        occupied = np.diff(edges) > 0
        noisy = curator.histogram(
            question.name,
            Intervals(np.append(edges[:-1][occupied], edges[-1]), grid, native),
            with_null=False,
            cost=cost / len(levels),
            stage="profile",
            purpose=f"{question.name}: tree level of {levels[level]}",
        )
        spread = np.zeros(levels[level])
        spread[occupied] = noisy.values
        counts.append(spread)
    return tree.consistent_leaves(axis, counts, curator.sigma_for(cost / len(levels)))


def _measure_atoms(
    curator: Curator, question: NumericQuestion, native: Grid, grid: Grid, leaves: list[tree.Leaf]
) -> list[tree.Leaf]:
    """The leaves with the single values that stand out cut out of them."""
    cost = _ATOM_SHARE * question.cost
    least_mass = max(_ATOM_SIGMAS * curator.sigma_for(cost), _DENSE_SHARE * question.rows)
    wide = [] if grid.is_datetime else zoom.too_wide(grid, leaves, least_mass=least_mass)
    cells = month_starts(grid) if grid.is_datetime else atoms.candidates(grid, leaves, least_mass=least_mass)
    points_cost = cost * (1 - zoom.COST_SHARE) if wide else cost
    noisy = curator.histogram(
        question.name,
        Points(cells, grid, native),
        with_null=False,
        cost=points_cost,
        stage="profile",
        purpose=f"{question.name}: single values that stand out among {len(cells):,}",
    )
    found = atoms.find_atoms(cells, noisy.values, grid, noisy.sigma)
    cells, masses = cells[found], noisy.values[found]
    if wide:

        def ask(starts: Cells, stops: Cells, share: float) -> Noisy:
            return curator.histogram(
                question.name,
                Ranges(starts, stops, grid, native),
                with_null=False,
                cost=cost * zoom.COST_SHARE * share,
                stage="profile",
                purpose=f"{question.name}: single values that stand out, among {len(starts):,} ranges",
            )

        cells, masses = zoom.joined((cells, masses), zoom.heavy_cells(wide, ask))
    return atoms.split_leaves(leaves, cells, masses)
