"""Evidence: a condition as seen by the field, with columns that left the field folded into the ones that they are drawn from.

Each active column that a condition names gets *parts*: its codes split by the regions of every axis that hangs on it (its own, and those
of columns drawn from it). Part p has weight P(code)·exp(log_share).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth_pipeline.encode.condition import Condition, SubDomain
from synth_pipeline.generate.maxent.dependency import Dependency
from synth_pipeline.generate.maxent.field import Field, draw

_FARTHEST = 1e6


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of one active column.

    Attributes:
        parent: code of each part.
        axes: the condition's axes that hang on this column.
        regions: region of each part on each of those axes, (parts, axes).
        log_share: log of the share of the code that the part is.
    """

    parent: Tensor
    axes: Tensor
    regions: Tensor
    log_share: Tensor


@dataclass(frozen=True, eq=False)
class Evidence:
    """A condition over the field.

    Attributes:
        columns: parts of each active position that the condition names, directly or through a drawn column.
        distance: for each combination of regions, how many axes would have to change to satisfy the condition.
        strides: to index `distance` flattened.
    """

    columns: dict[int, Parts]
    distance: Tensor
    strides: Tensor

    def start(self, field: Field, generator: torch.Generator) -> Tensor:
        """Regions (M, axes) of the field's chains, drawn by share where a code straddles regions."""
        regions = torch.zeros(field.chains, len(self.strides), dtype=torch.int64, device=field.bias.device)
        for column, parts in self.columns.items():
            codes = field.states[:, column] - field.offsets[column]
            fits = parts.parent[None, :] == codes[:, None]
            _, chosen = draw(torch.where(fits, parts.log_share[None, :], -torch.inf), generator)
            regions[:, parts.axes] = parts.regions[chosen]
        return regions

    def distances(self, regions: Tensor) -> Tensor:
        """Distance of each row to the condition."""
        return self.distance[(regions * self.strides).sum(1)]

    def penalties(self, regions: Tensor, parts: Parts, strength: float) -> Tensor:
        """Log of the condition's factor for each row and each part of a column, (M, parts)."""
        rest = (regions * self.strides).sum(1) - (regions[:, parts.axes] * self.strides[parts.axes]).sum(1)
        distance = self.distance[rest[:, None] + (parts.regions * self.strides[parts.axes]).sum(1)[None, :]]
        if np.isinf(strength):
            return torch.where(distance > 0, -torch.inf, 0.0)
        return -strength * distance


def make_evidence(
    condition: Condition, active: tuple[int, ...], drawn: tuple[Dependency, ...], device: str
) -> Evidence:
    """The evidence that a condition is, given which columns are in the field and which are drawn from them."""
    dependencies = {item.column: item for item in drawn}
    hanging: dict[int, list[tuple[int, SubDomain]]] = {}
    for axis, sub in enumerate(condition.subdomains):
        owner = dependencies[sub.column].parent if sub.column in dependencies else sub.column
        hanging.setdefault(active.index(owner), []).append((axis, sub))
    columns = {position: _parts(active[position], items, dependencies, device) for position, items in hanging.items()}
    shape = condition.allowed.shape
    strides = np.array([int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))])
    distance = torch.tensor(distance_to(condition.allowed).reshape(-1), dtype=torch.float32, device=device)
    return Evidence(columns, distance, torch.tensor(strides, device=device))


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
        return _draw_rows(table[parents], rng)
    codes = np.empty(len(parents), dtype=np.int64)
    for region in np.unique(regions):
        rows = np.flatnonzero(regions == region)
        codes[rows] = _draw_rows((table * _region_share(sub, int(region), table.shape[1]))[parents[rows]], rng)
    return codes


def _draw_rows(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    cumulative = weights.cumsum(1)
    points = rng.random((len(weights), 1)) * cumulative[:, -1:]
    return np.minimum((cumulative <= points).sum(1), weights.shape[1] - 1)


def _region_share(sub: SubDomain, region: int, codes: int) -> np.ndarray:
    share = np.zeros(codes)
    here = sub.region == region
    share[sub.parent[here]] = np.exp(sub.log_share[here])
    return share


def _parts(owner: int, items: list[tuple[int, SubDomain]], dependencies: dict[int, Dependency], device: str) -> Parts:
    """Split the owner's codes by every axis that hangs on it, one after another."""
    parent, region, shares = _split(owner, items[0][1], dependencies)
    regions = region[:, None]
    for _, sub in items[1:]:
        codes, region, share = _split(owner, sub, dependencies)
        left, right = np.nonzero(parent[:, None] == codes[None, :])
        regions = np.concatenate([regions[left], region[right][:, None]], axis=1)
        parent, shares = parent[left], shares[left] + share[right]
    axes = torch.tensor([axis for axis, _ in items], device=device)
    return Parts(
        torch.tensor(parent, device=device),
        axes,
        torch.tensor(regions, device=device),
        torch.tensor(shares, dtype=torch.float32, device=device),
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
