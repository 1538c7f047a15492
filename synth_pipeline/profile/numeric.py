"""The profile of one numeric column: granularity, consistent tree, atoms, bins and a fresh one-way over them."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.profile import atoms, bins, tree
from synth_pipeline.profile.share import NARROW_CELLS
from synth_pipeline.table.column import NumericColumn
from synth_pipeline.table.grid import Grid, native_grid
from synth_pipeline.table.partition import Intervals, Points, Roundness
from synth_pipeline.table.profile import Floats, NumericProfile

_GRANULARITY_SHARE = 0.05
_TREE_SHARE, _ATOM_SHARE, _FRESH_SHARE = 0.45, 0.15, 0.40
_LEVEL_ROWS_PER_SIGMA = 0.03
_MOST_RADICES = 6
_ATOM_SIGMAS = 4.0
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
    roundness = _measure_roundness(curator, question, native, radices)
    question = replace(question, cost=question.cost * (1 - _GRANULARITY_SHARE))
    stride = _granularity(roundness.values, roundness.sigma, radices)
    grid = native.coarsened(stride) if stride > 1 else native
    if grid.cells <= NARROW_CELLS:
        return _narrow(curator, question, native, grid)
    profile = _wide(curator, question, native, grid)
    if stride > 1:
        return profile
    return replace(profile, roundness=roundness.values, radices=radices)


def _radices(native: Grid) -> tuple[int, ...]:
    if native.is_datetime:
        return {1: (60, 60, 24), 60: (60, 24), 3_600: (24,)}.get(native.seconds, (7,))
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
    """The coarsest step that practically all values are multiples of, in ticks."""
    total = max(float(classes.sum()), 1.0)
    stride, finer = 1, 0.0
    for position, radix in enumerate(radices):
        finer += float(classes[position])
        if total <= 10 * sigma or finer >= max(2.0 * sigma * math.sqrt(position + 1), 0.002 * total):
            break
        stride *= radix
    return stride


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
    masses = np.concatenate([_shrunk(counts[start:stop], noisy.sigma) for start, stop in pairwise(edges)])
    starts = np.arange(grid.cells, dtype=np.int64)
    leaves = np.stack([starts, starts + 1], axis=1)
    return NumericProfile(question.name, native, grid, edges, binned, sigma, question.column.nullable, leaves, masses)


def _shrunk(counts: Floats, sigma: float) -> Floats:
    """Noisy counts inside a bin, shrunk towards their mean as far as they are noise (James–Stein, positive part)."""
    mean = max(float(counts.mean()), 0.0)
    deviation = counts - counts.mean()
    evidence = float((deviation**2).sum()) / sigma**2
    size = len(counts)
    keep = max(0.0, 1 - size / evidence) if size > 1 and evidence > size + 2 * math.sqrt(2 * size) else 0.0
    return np.maximum(mean + keep * deviation, 0.0)


def _wide(curator: Curator, question: NumericQuestion, native: Grid, grid: Grid) -> NumericProfile:
    leaves, total = _measure_tree(curator, question, native, grid)
    leaves = _measure_atoms(curator, question, native, grid, leaves)
    cost = _FRESH_SHARE * question.cost
    edges = bins.merge_leaves(leaves, grid.cells, rows=total, sigma=curator.sigma_for(cost))
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
    sigma = curator.sigma_for(cost / len(tree.LEVELS))
    levels = tuple(
        level
        for level in tree.LEVELS
        if level < grid.cells / 1.5
        and (level == tree.LEVELS[0] or question.rows / level >= _LEVEL_ROWS_PER_SIGMA * sigma)
    )
    axis = tree.make_axis(grid, levels)
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
    cost = _ATOM_SHARE * question.cost
    cells = atoms.candidates(
        grid, leaves, least_mass=max(_ATOM_SIGMAS * curator.sigma_for(cost), _DENSE_SHARE * question.rows)
    )
    noisy = curator.histogram(
        question.name,
        Points(cells, grid, native),
        with_null=False,
        cost=cost,
        stage="profile",
        purpose=f"{question.name}: single values that stand out among {len(cells):,}",
    )
    found = atoms.find_atoms(cells, noisy.values, grid, noisy.sigma)
    return atoms.split_leaves(leaves, cells[found], noisy.values[found])
