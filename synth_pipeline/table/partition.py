"""Partitions: public maps from the native cells of one column to the cells of a histogram.

A row falls in at most one cell of a partition, so a histogram over it has sensitivity 1 a row whatever the partition is.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from synth_pipeline.table.grid import Cells, Grid

Ids = npt.NDArray[np.int64]


class Partition(Protocol):
    """A public map from native cells to histogram cells."""

    @property
    def size(self) -> int:
        """Number of histogram cells, without the null cell."""
        ...

    def assign(self, cells: Cells) -> Ids:
        """Histogram cell of each native cell; -1 for rows counted nowhere. Nulls (-1) are never passed in."""
        ...


@dataclass(frozen=True)
class Whole:
    """Every native cell is its own histogram cell."""

    cells: int

    @property
    def size(self) -> int:
        """Number of native cells."""
        return self.cells

    def assign(self, cells: Cells) -> Ids:
        """The cells themselves."""
        return cells


@dataclass(frozen=True, eq=False)
class Intervals:
    """Adjacent intervals of a working grid.

    Attributes:
        edges: increasing cells of `grid`, first 0 and last `grid.cells`.
        grid: the working grid (equal to or coarser than the native one).
        native: the native grid.
    """

    edges: Cells
    grid: Grid
    native: Grid

    @property
    def size(self) -> int:
        """Number of intervals."""
        return len(self.edges) - 1

    def assign(self, cells: Cells) -> Ids:
        """Interval of each native cell."""
        return np.searchsorted(self.edges, self.grid.from_native(cells, self.native), side="right") - 1


@dataclass(frozen=True, eq=False)
class Ranges:
    """Some disjoint ranges of a working grid; rows elsewhere are counted nowhere.

    Attributes:
        starts: first cell of each range, increasing.
        stops: first cell after each range; at most the next start.
        grid: the working grid.
        native: the native grid.
    """

    starts: Cells
    stops: Cells
    grid: Grid
    native: Grid

    @property
    def size(self) -> int:
        """Number of ranges."""
        return len(self.starts)

    def assign(self, cells: Cells) -> Ids:
        """Range of each native cell, or -1."""
        working = self.grid.from_native(cells, self.native)
        found = np.searchsorted(self.starts, working, side="right") - 1
        return np.where((found >= 0) & (working < self.stops[np.maximum(found, 0)]), found, -1)


@dataclass(frozen=True, eq=False)
class Points:
    """Single cells of a working grid; rows elsewhere are counted nowhere.

    Attributes:
        cells: increasing cells of `grid`.
        grid: the working grid.
        native: the native grid.
    """

    cells: Cells
    grid: Grid
    native: Grid

    @property
    def size(self) -> int:
        """Number of candidate cells."""
        return len(self.cells)

    def assign(self, cells: Cells) -> Ids:
        """Index of each native cell among the candidates, or -1."""
        working = self.grid.from_native(cells, self.native)
        found = np.minimum(np.searchsorted(self.cells, working), len(self.cells) - 1)
        return np.where(self.cells[found] == working, found, -1)


@dataclass(frozen=True)
class Roundness:
    """Classes of roundness of the tick: how many of the given radices divide it, one after another, and zero as a class of its own.

    With radices (10, 10, 10) class k holds the ticks with k trailing decimal zeros; with (60, 60, 24) and ticks of a second, class 1
    holds whole minutes, 2 whole hours, 3 midnights.

    Attributes:
        native: the native grid.
        radices: the factors between one class and the next.
    """

    native: Grid
    radices: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of classes: one a radix, one for ticks that the first does not divide, one for the value zero."""
        return len(self.radices) + 2

    def assign(self, cells: Cells) -> Ids:
        """Roundness class of each native cell."""
        return roundness(self.native.ticks(cells), self.radices)


def roundness(ticks: Cells, radices: tuple[int, ...]) -> Ids:
    """Roundness class of each tick (see `Roundness`).

    Example:
        >>> roundness(np.array([0, 7, 120, 1000]), (10, 10)).tolist()
        [3, 0, 1, 2]
    """
    classes = np.zeros(len(ticks), dtype=np.int64)
    rest, is_round = ticks.copy(), np.ones(len(ticks), dtype=bool)
    for radix in radices:
        is_round &= rest % radix == 0
        classes += is_round
        rest //= radix
    return np.where(ticks == 0, len(radices) + 1, classes)
