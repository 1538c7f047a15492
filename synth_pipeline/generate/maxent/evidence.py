"""Evidence: a condition as seen by the field, with columns that left the field folded into the ones that they are drawn from.

Each active column that a condition names gets *parts*: its codes split by the regions of every axis that hangs on it (its own, and those
of columns drawn from it). Part p has weight P(code)·exp(log_share).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.encode.condition import Condition, SubDomain
from synth_pipeline.generate.maxent.dependency import Dependency
from synth_pipeline.generate.maxent.kernel import Clamp, Floats, Ints

_FARTHEST = 1e6


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of one active column.

    Attributes:
        parent: code of each part, ascending.
        axes: the condition's axes that hang on this column.
        regions: region of each part on each of those axes, (parts, axes).
        log_share: log of the share of the code that the part is.
    """

    parent: Ints
    axes: Ints
    regions: Ints
    log_share: Floats

    def draw(self, codes: Ints, points: Floats) -> Ints:
        """A part of each code, by share; points are uniform numbers in [0, 1)."""
        sums = np.concatenate([[0.0], np.cumsum(np.exp(self.log_share.astype(np.float64)))])
        first, stop = np.searchsorted(self.parent, codes, "left"), np.searchsorted(self.parent, codes, "right")
        found = np.searchsorted(sums, sums[first] + points * (sums[stop] - sums[first]), side="right") - 1
        return np.clip(found, first, np.maximum(stop - 1, first)).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Evidence:
    """A condition over the field.

    Attributes:
        columns: parts of each active position that the condition names, directly or through a drawn column.
        distance: for each combination of regions, how many axes would have to change to satisfy the condition; flattened.
        strides: to index `distance`.
    """

    columns: dict[int, Parts]
    distance: Floats
    strides: npt.NDArray[np.int64]

    def start(self, codes: npt.NDArray[np.integer], points: Floats) -> Ints:
        """Regions (M, axes) of rows, drawn by share where a code straddles regions.

        Args:
            codes: (M, d) codes of the active columns.
            points: (M, named columns) uniform numbers in [0, 1).
        """
        regions = np.zeros((len(codes), len(self.strides)), np.int32)
        for number, (column, parts) in enumerate(self.columns.items()):
            chosen = parts.draw(codes[:, column].astype(np.int32), points[:, number])
            regions[:, parts.axes] = parts.regions[chosen]
        return regions

    def distances(self, regions: Ints) -> Floats:
        """Distance of each row to the condition."""
        return self.distance[regions @ self.strides]

    def clamp(self, column: int, strength: float) -> Clamp:
        """The condition as the moves of a column see it, at a log-penalty of `strength` a unit of distance."""
        parts = self.columns[column]
        return Clamp(
            parts.parent, parts.log_share, parts.axes, parts.regions, self.strides, self.distance, float(strength)
        )


def make_evidence(condition: Condition, active: tuple[int, ...], drawn: tuple[Dependency, ...]) -> Evidence:
    """The evidence that a condition is, given which columns are in the field and which are drawn from them.

    Args:
        condition: over columns of the whole domain.
        active: domain indices of the field's columns.
        drawn: the columns drawn from them.
    """
    dependencies = {item.column: item for item in drawn}
    hanging: dict[int, list[tuple[int, SubDomain]]] = {}
    for axis, sub in enumerate(condition.subdomains):
        owner = dependencies[sub.column].parent if sub.column in dependencies else sub.column
        hanging.setdefault(active.index(owner), []).append((axis, sub))
    columns = {position: _parts(active[position], items, dependencies) for position, items in hanging.items()}
    shape = condition.allowed.shape
    strides = np.array([int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))])
    return Evidence(columns, distance_to(condition.allowed).reshape(-1).astype(np.float32), strides.astype(np.int64))


def distance_to(allowed: np.ndarray) -> np.ndarray:
    """For each combination, the fewest axes whose region must change to reach an allowed one.

    Example:
        >>> distance_to(np.array([[True, False], [False, False]])).tolist()
        [[0.0, 1.0], [1.0, 2.0]]
    """
    distance = np.where(allowed, 0.0, _FARTHEST)
    for axis in range(allowed.ndim):
        distance = np.minimum(distance, distance.min(axis=axis, keepdims=True) + 1)
    return distance


def draw_dependent(
    dependency: Dependency,
    parents: np.ndarray,
    sub: SubDomain | None,
    regions: np.ndarray | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """Codes of a drawn column given its parent's codes, inside the given region of each row where it is part of a condition."""
    table = dependency.conditional
    if sub is None or regions is None:
        return _draw_rows(table, parents, rng)
    codes = np.empty(len(parents), dtype=np.int64)
    for region in np.unique(regions):
        rows = np.flatnonzero(regions == region)
        codes[rows] = _draw_rows(table * _region_share(sub, int(region), table.shape[1]), parents[rows], rng)
    return codes


def _draw_rows(weights: np.ndarray, parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One index of its parent's weights a row; never one of weight zero."""
    sums = weights.cumsum(1)
    shares = np.divide(sums, sums[:, -1:], out=np.ones_like(sums), where=sums[:, -1:] > 0)
    stacked = (shares + np.arange(len(weights))[:, None]).reshape(-1)
    found = np.searchsorted(stacked, parents + rng.random(len(parents)), side="right") - parents * weights.shape[1]
    return np.minimum(found, weights.shape[1] - 1)


def _region_share(sub: SubDomain, region: int, codes: int) -> np.ndarray:
    share = np.zeros(codes)
    here = sub.region == region
    share[sub.parent[here]] = np.exp(sub.log_share[here])
    return share


def _parts(owner: int, items: list[tuple[int, SubDomain]], dependencies: dict[int, Dependency]) -> Parts:
    """Split the owner's codes by every axis that hangs on it, one after another."""
    parent, region, shares = _split(owner, items[0][1], dependencies)
    regions = region[:, None]
    for _, sub in items[1:]:
        codes, region, share = _split(owner, sub, dependencies)
        left, right = np.nonzero(parent[:, None] == codes[None, :])
        regions = np.concatenate([regions[left], region[right][:, None]], axis=1)
        parent, shares = parent[left], shares[left] + share[right]
    order = np.argsort(parent, kind="stable")
    return Parts(
        parent[order].astype(np.int32),
        np.array([axis for axis, _ in items], dtype=np.int32),
        np.ascontiguousarray(regions[order].astype(np.int32)),
        shares[order].astype(np.float32),
    )


def _split(
    owner: int, sub: SubDomain, dependencies: dict[int, Dependency]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(owner's code, region, log share) of each part that one axis makes of the owner."""
    if sub.column == owner:
        return sub.parent, sub.region, sub.log_share
    table = dependencies[sub.column].conditional
    codes: list[np.ndarray] = []
    regions: list[np.ndarray] = []
    shares: list[np.ndarray] = []
    for region in np.unique(sub.region):
        mass = table @ _region_share(sub, int(region), table.shape[1])
        met = np.flatnonzero(mass > 0)
        codes.append(met)
        regions.append(np.full(len(met), region))
        shares.append(np.log(mass[met]))
    return np.concatenate(codes), np.concatenate(regions), np.concatenate(shares)
