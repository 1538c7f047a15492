"""A consistent noisy tree over a wide numeric column, on an axis that is half linear and half logarithmic.

Levels of 32, 256 and 2,048 nested intervals are measured with equal noise, made consistent bottom-up (inverse-variance means) and then
cut top-down: a node is split while its mass is well above the noise, its children are projected on the simplex of the node's mass and
shrunk towards an even spread as far as the evidence for structure is weak (James–Stein).

Source:
    Hay et al. 2010 (consistency of hierarchical histograms); James & Stein 1961 (shrinkage).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.profile.shrinkage import without_noise_tails
from synth_pipeline.table.grid import Cells, Grid
from synth_pipeline.table.profile import Floats, project_simplex

LEVELS = (32, 256, 2048)
_SPLIT_SIGMAS = 2.5
_FLAT_SPLIT_SIGMAS = 1.5
_LEAST_MAGNITUDE = 1e-9


@dataclass(frozen=True, eq=False)
class Axis:
    """Nested intervals of a grid.

    Attributes:
        levels: number of intervals of each level, each dividing the next.
        starts: first cell of each interval of the finest level, and the number of cells last; intervals may be empty.
    """

    levels: tuple[int, ...]
    starts: Cells

    def edges(self, level: int) -> Cells:
        """First cell of each interval of a level (empty ones repeat an edge), and the number of cells last."""
        return self.starts[:: self.levels[-1] // self.levels[level]]

    def occupied(self, level: int) -> npt.NDArray[np.bool_]:
        """Which intervals of a level hold at least one cell."""
        return np.diff(self.edges(level)) > 0


@dataclass(frozen=True, eq=False)
class Leaf:
    """A half-open cell range and its released mass in rows."""

    start: int
    stop: int
    mass: float


def make_axis(grid: Grid, levels: tuple[int, ...]) -> Axis:
    """The nested intervals of a grid, equally wide on the half linear, half logarithmic axis."""
    count = levels[-1]
    targets = np.arange(count + 1)
    low, high = np.zeros(count + 1, dtype=np.int64), np.full(count + 1, grid.cells, dtype=np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        reached = np.floor(np.minimum(_warp(middle, grid) * count, count - 0.5)) >= targets
        low, high = np.where(reached | (low >= high), low, middle + 1), np.where(reached & (low < high), middle, high)
    starts = high
    starts[0], starts[-1] = 0, grid.cells
    return Axis(levels, starts)


def consistent_leaves(axis: Axis, counts: list[Floats], sigma: float) -> tuple[list[Leaf], float]:
    """Leaves of the tree with their mass, and the released total.

    Args:
        axis: the intervals.
        counts: noisy counts of each level, over all its intervals (empty intervals: 0).
        sigma: standard deviation of the noise of every count.
    """
    means, variances = _upward_means(axis, counts, sigma)
    total = max(float(means[0].sum()), 1.0)
    roots = without_noise_tails(means[0], variances[0])
    roots = project_simplex(roots, total, np.where(roots == means[0], np.maximum(variances[0], 1e-9), 1e-9))
    cutter = _Cutter(axis, means, variances, sigma)
    for node in np.flatnonzero(axis.occupied(0)):
        cutter.cut(0, int(node), float(roots[node]))
    return cutter.leaves, float(means[0].sum())


def _warp(cells: Cells, grid: Grid) -> Floats:
    ends = np.array([grid.low, grid.low + grid.cells - 1], dtype=np.float64)
    scale = max(1.0, _LEAST_MAGNITUDE * float(np.abs(ends).max()))
    first, last = np.sign(ends) * np.log1p(np.abs(ends) / scale)
    values = (cells + grid.low).astype(np.float64)
    logs = np.sign(values) * np.log1p(np.abs(values) / scale)
    return 0.5 * (logs - first) / max(last - first, 1e-9) + 0.5 * cells / max(grid.cells - 1, 1)


def _upward_means(axis: Axis, counts: list[Floats], sigma: float) -> tuple[list[Floats], list[Floats]]:
    """Inverse-variance mean of each node's own count and the sum of its children, from the finest level up."""
    own = [np.where(axis.occupied(level), sigma**2, 0.0) for level in range(len(axis.levels))]
    means, variances = [counts[-1]], [own[-1]]
    for level in range(len(axis.levels) - 2, -1, -1):
        nodes = axis.levels[level]
        below, below_variance = means[0].reshape(nodes, -1).sum(1), variances[0].reshape(nodes, -1).sum(1)
        weight, below_weight = 1 / np.maximum(own[level], 1e-9), 1 / np.maximum(below_variance, 1e-9)
        means.insert(0, (counts[level] * weight + below * below_weight) / (weight + below_weight))
        variances.insert(0, np.where(own[level] > 0, 1 / (weight + below_weight), 0.0))
    return means, variances


@dataclass
class _Cutter:
    """Walks the tree from the top and keeps the leaves."""

    axis: Axis
    means: list[Floats]
    variances: list[Floats]
    sigma: float

    def __post_init__(self) -> None:
        self.leaves: list[Leaf] = []

    def cut(self, level: int, node: int, mass: float) -> None:
        edges = self.axis.edges(level)
        start, stop = int(edges[node]), int(edges[node + 1])
        if stop <= start:
            return
        is_last = level + 1 == len(self.axis.levels) or stop - start == 1
        masses = None if is_last or mass < _SPLIT_SIGMAS * self.sigma else self._children(level + 1, node, mass)
        if masses is None:
            self.leaves.append(Leaf(start, stop, mass))
            return
        for child, child_mass in enumerate(masses):
            self.cut(level + 1, node * len(masses) + child, float(child_mass))

    def _children(self, level: int, node: int, mass: float) -> Floats | None:
        """Masses of a node's children, or None where there is no sign of structure worth a split."""
        fan = self.axis.levels[level] // self.axis.levels[level - 1]
        part = slice(node * fan, (node + 1) * fan)
        variance = self.variances[level][part]
        occupied = variance > 0
        count = int(occupied.sum())
        raw = self.means[level][part] + variance * (mass - self.means[level][part].sum()) / max(variance.sum(), 1e-9)
        even = mass / count
        evidence = float((((raw - even)[occupied]) ** 2 / variance[occupied]).sum())
        has_structure = evidence >= count + math.sqrt(2 * count)
        if not has_structure and mass < _FLAT_SPLIT_SIGMAS * self.sigma * math.sqrt(count):
            return None
        keep = max(0.0, 1 - max(count - 1, 1) / max(evidence, 1e-9)) if has_structure else 0.0
        masses = np.zeros(fan)
        masses[occupied] = even + (project_simplex(raw[occupied], mass, variance[occupied]) - even) * keep
        return masses
