"""Atoms: single values that hold a significant share of a wide numeric column (0, 99999, round amounts)."""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from synth_pipeline.profile.tree import Leaf
from synth_pipeline.table.grid import Cells, Grid
from synth_pipeline.table.profile import Floats

_ALL_CELLS_UP_TO = 131_072
_MOST_ROUND_CELLS = 32_768
_MOST_DENSE_CELLS = 32_768
_FALSE_ATOMS = 0.2


def candidates(grid: Grid, leaves: list[Leaf], *, least_mass: float) -> Cells:
    """Cells that may be atoms: all of a moderate grid; of a larger one its ends, its round values, and where its leaves are densest.

    Args:
        grid: the working grid.
        leaves: released leaves of the tree; the densest are searched cell by cell, for an atom makes its leaf dense.
        least_mass: released mass below which a leaf is not searched.
    """
    if grid.cells <= _ALL_CELLS_UP_TO:
        return np.arange(grid.cells, dtype=np.int64)
    step = 10
    while grid.cells // step > _MOST_ROUND_CELLS:
        step *= 10
    first = -(-grid.low // step) * step - grid.low
    ends = np.array([0, grid.cells - 1], dtype=np.int64)
    parts = [np.arange(first, grid.cells, step, dtype=np.int64), ends]
    room = _MOST_DENSE_CELLS
    for leaf in sorted(leaves, key=lambda leaf: leaf.mass / (leaf.stop - leaf.start), reverse=True):
        if leaf.mass >= least_mass and leaf.stop - leaf.start <= room:
            parts.append(np.arange(leaf.start, leaf.stop, dtype=np.int64))
            room -= leaf.stop - leaf.start
    return np.unique(np.concatenate(parts))


def find_atoms(cells: Cells, counts: Floats, grid: Grid, sigma: float) -> npt.NDArray[np.intp]:
    """Which candidates are atoms: noisy count above a threshold that is lower for rounder values.

    Each class of roundness is given the same chance of a false atom, together a fifth of a false atom a column (Bonferroni).
    """
    factors = _round_factors(grid.cells)
    chance = _FALSE_ATOMS / (len(factors) + 1)
    ticks = cells + grid.low
    thresholds = np.full(len(cells), max(4.0, upper_quantile(chance / max(len(cells), 1))))
    for factor in factors:
        rounder = ticks % factor == 0
        if rounder.any():
            thresholds[rounder] = max(3.0, upper_quantile(chance / int(rounder.sum())))
    thresholds[ticks == 0] = 3.0
    return np.flatnonzero(counts > thresholds * sigma)


def split_leaves(leaves: list[Leaf], cells: Cells, masses: Floats) -> list[Leaf]:
    """The leaves with each atom cut out as a leaf of its own; a leaf's mass is kept, unless its atoms alone exceed it."""
    result: list[Leaf] = []
    for leaf in leaves:
        first, last = np.searchsorted(cells, [leaf.start, leaf.stop])
        if leaf.stop - leaf.start == 1 or first == last:
            result.append(leaf)
        else:
            result += _split(leaf, cells[first:last], masses[first:last])
    return result


def _split(leaf: Leaf, cells: Cells, masses: Floats) -> list[Leaf]:
    scale = min(1.0, leaf.mass / max(float(masses.sum()), 1e-12))
    masses = masses * scale
    rest = leaf.mass - float(masses.sum())
    density = rest / max(leaf.stop - leaf.start - len(cells), 1)
    parts: list[Leaf] = []
    position = leaf.start
    for cell, mass in zip(cells.tolist(), masses.tolist(), strict=True):
        if cell > position:
            parts.append(Leaf(position, cell, density * (cell - position)))
        parts.append(Leaf(cell, cell + 1, mass))
        position = cell + 1
    if position < leaf.stop:
        parts.append(Leaf(position, leaf.stop, density * (leaf.stop - position)))
    return parts


def _round_factors(cells: int) -> list[int]:
    factors: list[int] = []
    power = 10
    while power <= cells:
        factors += [power // 2, power]
        power *= 10
    return factors


def upper_quantile(probability: float) -> float:
    """The point that a standard normal variable exceeds with the given probability."""
    return -float(ndtri(probability))
