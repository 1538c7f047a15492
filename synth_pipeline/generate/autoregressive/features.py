"""Features of codes, made from the released profile: what a column tells the network, and how the network answers.

Noise in DP-SGD grows with the number of weights, so neighbouring codes of an ordered column should share them. A column's effect
f(code) is given the prior covariance

    k(a, b) = (1 − roughness)·exp(−|r_a − r_b| / smoothness) + roughness·[a = b],

where r is the position of a code in the released distribution. Its features are the leading eigenvectors under that distribution, each
scaled by the square root of its eigenvalue (Karhunen–Loève), so that a weight of one size means an effect of the size the prior expects.
Unordered codes have k(a, b) = [a = b]: one feature each.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from synth_pipeline.table.encoded import Domain
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, Profile

Floats = npt.NDArray[np.float32]


class FeatureConfig(Protocol):
    """Constants of the features."""

    @property
    def features(self) -> int:
        """Most features of an ordered column."""
        ...

    @property
    def categories(self) -> int:
        """Most categories of an unordered column with a feature of their own; the rarest others share one."""
        ...

    @property
    def smoothness(self) -> float:
        """How far along its released distribution an ordered column's effect stays alike (0 to 1)."""
        ...

    @property
    def roughness(self) -> float:
        """Share of an ordered column's effect that may jump from code to code."""
        ...


@dataclass(frozen=True, eq=False)
class Features:
    """Features of every column, side by side.

    Attributes:
        table: block-diagonal (all codes, all features).
        widths: number of features of each column.
    """

    table: Floats
    widths: tuple[int, ...]

    @property
    def columns(self) -> npt.NDArray[np.int64]:
        """Column of each feature."""
        return np.repeat(np.arange(len(self.widths)), self.widths)

    def part(self, column: int) -> slice:
        """The features of a column."""
        stops = np.cumsum(self.widths)
        return slice(int(stops[column]) - self.widths[column], int(stops[column]))

    def block(self, domain: Domain, column: int) -> Floats:
        """Features of each code of a column (codes, its features)."""
        return self.table[domain.slices()[column], self.part(column)]


def make_features(profile: Profile, config: FeatureConfig) -> Features:
    """Features of every column of a profile; post-processing of released facts."""
    blocks = [
        _ordered(column, profile.shares(index), config)
        if column.is_ordered
        else _unordered(profile.shares(index), config.categories)
        for index, column in enumerate(profile.columns)
    ]
    widths = tuple(block.shape[1] for block in blocks)
    table = np.zeros((sum(len(block) for block in blocks), sum(widths)), dtype=np.float32)
    row = column = 0
    for block in blocks:
        table[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return Features(table, widths)


def _ordered(column: ColumnProfile, shares: npt.NDArray[np.float64], config: FeatureConfig) -> Floats:
    """Leading eigenvectors of the prior; null stands apart from the order."""
    known = len(shares) - int(column.nullable) - int(isinstance(column, CategoryProfile) and column.has_rest)
    inside = shares[:known] / shares[:known].sum()
    place = np.cumsum(inside) - inside / 2
    prior = np.eye(len(shares))
    smooth = np.exp(-np.abs(place[:, None] - place[None]) / config.smoothness)
    prior[:known, :known] = (1 - config.roughness) * smooth + config.roughness * np.eye(known)
    weight = np.sqrt(shares)
    values, vectors = np.linalg.eigh(weight[:, None] * prior * weight[None])
    leading = np.argsort(-values)[: config.features]
    signs = np.where(vectors[:, leading].sum(axis=0) < 0, -1.0, 1.0)
    scaled = vectors[:, leading] * signs / weight[:, None] * np.sqrt(np.maximum(values[leading], 0.0))
    return scaled.astype(np.float32)


def _unordered(shares: npt.NDArray[np.float64], most: int) -> Floats:
    """One feature a code; of very many codes the rarest share one."""
    if len(shares) <= most:
        return np.eye(len(shares), dtype=np.float32)
    block = np.zeros((len(shares), most), dtype=np.float32)
    order = np.argsort(-shares, kind="stable")
    block[order[: most - 1], np.arange(most - 1)] = 1.0
    block[order[most - 1 :], most - 1] = 1.0
    return block
