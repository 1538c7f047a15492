"""Pieces of a bin: its released leaves and single values with their mass, and draws among them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.table.grid import Cells
from synth_pipeline.table.profile import Floats, NumericProfile

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


def bin_pieces(column: NumericProfile, bin_: int) -> Pieces:
    """The pieces of one bin; the whole bin where no leaf was released inside it."""
    low, high = int(column.edges[bin_]), int(column.edges[bin_ + 1])
    if len(column.leaves):
        first, last = np.searchsorted(column.leaves[:, 0], [low, high])
        if last > first:
            starts, stops = column.leaves[first:last, 0], column.leaves[first:last, 1]
            return Pieces(starts, stops, column.masses[first:last] + _EMPTY_MASS * (stops - starts) / (high - low))
    return Pieces(np.array([low]), np.array([high]), np.array([1.0]))


def systematic(masses: Floats, draws: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Systematic draws: each index as often as its share says, to within one, in increasing order."""
    cumulative = np.cumsum(masses)
    points = (np.arange(draws) + rng.random()) / draws * cumulative[-1]
    return np.minimum(np.searchsorted(cumulative, points, side="right"), len(masses) - 1)
