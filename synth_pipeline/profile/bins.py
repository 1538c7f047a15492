"""Bins: leaves or cells merged greedily into parts of about equal mass, heavy single values kept alone."""

import numpy as np

from synth_pipeline.profile.tree import Leaf
from synth_pipeline.table.grid import Cells
from synth_pipeline.table.profile import Floats

MOST_BINS = 32
_FEWEST_BINS = 4
_ROWS_PER_SIGMA = 12.0
_MOST_FINE_BINS = 400
_REST_BINS = 16


def bin_count(rows: float, sigma: float) -> float:
    """How many bins the noise allows: an even bin holds at least 12 σ rows, within 4 to 32 bins."""
    return float(np.clip(max(rows, 1.0) / (_ROWS_PER_SIGMA * sigma), _FEWEST_BINS, MOST_BINS))


def merge_cells(counts: Floats, *, rows: float, sigma: float) -> Cells:
    """Edges over the cells of a narrow grid; few cells stay single, a cell of over 0.6 bins' mass stays alone."""
    bins = bin_count(rows, sigma)
    if len(counts) <= 1.3 * bins:
        return np.arange(len(counts) + 1, dtype=np.int64)
    target = max(rows, 1.0) / bins
    edges, mass = [0], 0.0
    for cell, count in enumerate(np.maximum(counts, 0.0)):
        is_heavy = count > 0.6 * target
        if is_heavy and mass > 0 and edges[-1] != cell:
            edges.append(cell)
            mass = 0.0
        mass += count
        if mass >= 0.85 * target or is_heavy:
            edges.append(cell + 1)
            mass = 0.0
    if edges[-1] != len(counts):
        edges.append(len(counts))
    return np.array(edges, dtype=np.int64)


def merge_leaves(leaves: list[Leaf], cells: int, *, rows: float, sigma: float) -> Cells:
    """Edges over a wide grid: heavy atoms alone, the other leaves merged to equal mass.

    Where atoms hold most rows (capital gains are zero for nine people in ten) the rest still gets about 16 bins, as far as the noise
    allows.
    """
    bins = bin_count(rows, sigma)
    target = max(rows, 1.0) / bins
    heavy = sum(leaf.mass for leaf in leaves if leaf.mass > 0.6 * target and leaf.stop - leaf.start == 1)
    rest = max(sum(leaf.mass for leaf in leaves) - heavy, 0.0)
    fine = min(target, max(rest / _REST_BINS, 2.0 * sigma, max(rows, 1.0) / _MOST_FINE_BINS))
    edges, mass = [0], 0.0
    for leaf in leaves:
        is_atom = leaf.stop - leaf.start == 1 and (leaf.mass > 0.6 * target or leaf.mass > 0.9 * fine)
        if is_atom and mass > 0 and leaf.start > edges[-1]:
            edges.append(leaf.start)
            mass = 0.0
        mass += leaf.mass
        if mass >= 0.85 * fine or is_atom:
            edges.append(leaf.stop)
            mass = 0.0
    if edges[-1] < cells:
        edges.append(cells)
    return np.array(edges, dtype=np.int64)
