"""Roundness of decoded numbers: people report 1,200 rather than 1,187, and released roundness classes say how often."""

import numpy as np

from synth_pipeline.table.grid import Cells
from synth_pipeline.table.partition import roundness
from synth_pipeline.table.profile import Floats, NumericProfile


def round_values(cells: Cells, lows: Cells, highs: Cells, column: NumericProfile, rng: np.random.Generator) -> Cells:
    """Cells moved to values as round as the released classes say, each staying inside [low, high).

    Rows of single-value atoms are not passed in; the classes are first relieved of the atoms' released mass.

    Args:
        cells: working-grid cells (stride 1) to be rounded.
        lows: first allowed cell of each row.
        highs: first cell no longer allowed.
        column: released facts, with roundness classes.
        rng: randomness of post-processing.
    """
    shares = loose_roundness(column)
    if shares is None:
        return cells
    classes = rng.choice(len(shares), size=len(cells), p=shares)
    ticks, low, high = cells + column.grid.low, lows + column.grid.low, highs + column.grid.low - 1
    result, done = ticks.copy(), np.zeros(len(ticks), dtype=bool)
    factors = np.cumprod(column.radices)
    for class_ in range(len(column.radices), 0, -1):
        factor = int(factors[class_ - 1])
        nearest = np.round(ticks / factor).astype(np.int64) * factor
        nearest = np.where(nearest > high, nearest - factor, np.where(nearest < low, nearest + factor, nearest))
        fits = (classes >= class_) & ~done & (nearest >= low) & (nearest <= high)
        result = np.where(fits, nearest, result)
        done |= fits
    first = column.radices[0]
    too_round = (classes == 0) & (result % first == 0) & (high - low > first)
    moved = np.clip(result + rng.integers(1, first, len(result)), low, high)
    return np.where(too_round, moved, result) - column.grid.low


def loose_roundness(column: NumericProfile) -> Floats | None:
    """Released shares of the roundness classes among rows that are no atom; None where nothing is left."""
    if column.roundness is None:
        return None
    classes = column.roundness[:-1].copy()
    atoms = column.leaves[:, 1] - column.leaves[:, 0] == 1
    ticks = column.leaves[atoms, 0] + column.grid.low
    kind = roundness(ticks, column.radices)
    np.subtract.at(classes, kind[kind < len(classes)], column.masses[atoms][kind < len(classes)])
    classes = np.maximum(classes, 0.0)
    return classes / classes.sum() if classes.sum() > 0 else None
