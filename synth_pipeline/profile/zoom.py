"""Single values of very fine grids, found by zooming in: dense ranges are cut and counted again until single cells are left.

A float without declared precision may take few values at places that are not round (logarithms of small counts, converted units). None
of the other candidates meets them, so the dense leaves of the tree are searched: cut into up to 256 parts each, the parts that stand out
of the noise are cut again. Continuous values thin out after one cut, and the search ends.
"""

import math
from collections.abc import Callable

import numpy as np

from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.profile.atoms import upper_quantile
from synth_pipeline.profile.tree import Leaf
from synth_pipeline.table.grid import Cells, Grid
from synth_pipeline.table.profile import Floats

COST_SHARE = 0.7
FAN = 256
_MOST_RANGES = 48
_NARROW_CELLS = 1024
_FINE_CELLS = 131_072

Ask = Callable[[Cells, Cells, float], Noisy]
"""Noisy rows of disjoint ranges (starts, stops), for a share of the cost of the whole search."""


def too_wide(grid: Grid, leaves: list[Leaf], *, least_mass: float) -> list[Leaf]:
    """The dense leaves of a fine grid that are too wide to be searched cell by cell, densest first, at most 48."""
    if grid.cells <= _FINE_CELLS:
        return []
    wide = [leaf for leaf in leaves if leaf.stop - leaf.start > _NARROW_CELLS and leaf.mass >= least_mass]
    return sorted(wide, key=lambda leaf: leaf.mass / (leaf.stop - leaf.start), reverse=True)[:_MOST_RANGES]


def heavy_cells(leaves: list[Leaf], ask: Ask) -> tuple[Cells, Floats]:
    """The single cells inside some leaves that stand out, and their noisy rows.

    Args:
        leaves: where to search.
        ask: the measurement; called once a level, each time for an equal share of the cost.
    """
    starts = np.array(sorted(leaf.start for leaf in leaves), dtype=np.int64)
    stops = np.array(sorted(leaf.stop for leaf in leaves), dtype=np.int64)
    widest = int((stops - starts).max())
    levels = max(math.ceil(math.log(widest) / math.log(FAN) - 1e-9), 1)
    counts = np.zeros(0)
    for _ in range(levels):
        starts, stops = _cut(starts, stops)
        noisy = ask(starts, stops, 1 / levels)
        stands_out = noisy.values > max(4.0, upper_quantile(0.05 / len(starts))) * noisy.sigma
        kept = np.flatnonzero(stands_out)
        kept = np.sort(kept[np.argsort(-noisy.values[kept], kind="stable")][:_MOST_RANGES])
        starts, stops, counts = starts[kept], stops[kept], noisy.values[kept]
        if len(kept) == 0 or (stops - starts).max() == 1:
            break
    single = stops - starts == 1
    return starts[single], counts[single]


def joined(first: tuple[Cells, Floats], second: tuple[Cells, Floats]) -> tuple[Cells, Floats]:
    """Two sets of cells with masses as one, in order; a cell of both keeps the mass of the first."""
    cells, places = np.unique(np.concatenate([first[0], second[0]]), return_index=True)
    return cells, np.concatenate([first[1], second[1]])[places]


def _cut(starts: Cells, stops: Cells) -> tuple[Cells, Cells]:
    """Each range cut into up to 256 parts of about equal width."""
    parts = np.arange(FAN + 1, dtype=np.int64)
    edges = [
        np.unique(start + parts * (width // FAN) + parts * (width % FAN) // FAN)
        for start, width in zip(starts.tolist(), (stops - starts).tolist(), strict=True)
    ]
    return np.concatenate([part[:-1] for part in edges]), np.concatenate([part[1:] for part in edges])
