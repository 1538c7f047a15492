"""Coarse maps of single columns, and the partitions of pairs that follow: products of maps, and adaptive rectangles."""

import heapq
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.table.profile import ColumnProfile, Floats, Profile

Map = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Grouping:
    """The maps of every column, finest first.

    Attributes:
        maps: for each column, int arrays (codes → group); level 0 is the identity.
    """

    maps: tuple[tuple[Map, ...], ...]

    def product(self, first: int, second: int, level: int) -> PairPartition:
        """The partition of a pair into products of its columns' groups at a level."""
        rows, columns = self.maps[first][level], self.maps[second][level]
        width = int(columns.max()) + 1
        labels = rows[:, None] * width + columns[None, :]
        return PairPartition(first, second, labels, (int(rows.max()) + 1) * width, f"level {level}")

    def products(self, first: int, second: int) -> list[PairPartition]:
        """The distinct product partitions of a pair, finest first."""
        found: list[PairPartition] = []
        shapes: set[tuple[int, int]] = set()
        for level in range(len(self.maps[first])):
            shape = (int(self.maps[first][level].max()), int(self.maps[second][level].max()))
            if shape not in shapes:
                shapes.add(shape)
                found.append(self.product(first, second, level))
        return found


def group_columns(profile: Profile, groups: tuple[int, ...]) -> Grouping:
    """Coarse maps of every column from its released one-way."""
    return Grouping(
        tuple(_column_maps(column, profile.shares(index), groups) for index, column in enumerate(profile.columns))
    )


def _column_maps(column: ColumnProfile, shares: Floats, groups: tuple[int, ...]) -> tuple[Map, ...]:
    """Level 0: all codes. Then, for each size: neighbours of equal mass (ordered) or the most frequent and a rest (unordered)."""
    maps = [np.arange(column.codes, dtype=np.int64)]
    values = column.codes - int(column.nullable)
    for size in groups:
        if column.codes <= size + 1:
            keeps_coarser = len(maps) > 1 and int(maps[-1].max()) + 1 <= size + 1
            maps.append(maps[-1] if keeps_coarser else maps[0])
            continue
        part = shares[:values] / shares[:values].sum()
        if column.is_ordered:
            middle = np.cumsum(part) - part / 2
            grouped = np.unique(np.minimum((middle * size).astype(np.int64), size - 1), return_inverse=True)[1]
        else:
            grouped = np.full(values, min(size - 1, values - 1), dtype=np.int64)
            grouped[np.argsort(-part, kind="stable")[: size - 1]] = np.arange(min(size - 1, values))
        maps.append(np.append(grouped, grouped.max() + 1) if column.nullable else grouped)
    return tuple(maps)


@dataclass(order=True)
class _Rectangle:
    """A block of the reordered joint table, heaviest first in the heap."""

    priority: float
    number: int
    box: tuple[int, int, int, int] = field(compare=False)


def rectangle_partitions(
    joint: Floats, *, pair: tuple[int, int], orders: tuple[Map, Map], sizes: tuple[int, ...], smallest: float, name: str
) -> list[PairPartition]:
    """Partitions of a pair into rectangles of about equal mass under the model (a k-d tree), one a size.

    The heaviest rectangle is cut at half its mass, across its side of larger marginal mass, until there are `sizes` rectangles or the
    mass falls below `smallest`. Free of budget: it reads the model only.

    Args:
        joint: model's joint distribution, codes of first × codes of second.
        pair: column indices.
        orders: order of the codes along each axis.
        sizes: numbers of rectangles wanted, ascending.
        smallest: mass below which a rectangle is not cut.
        name: prefix of the partitions' names.
    """
    cutter = _RectangleCutter(joint[np.ix_(*orders)])
    found: list[PairPartition] = []
    for size in sizes:
        cutter.cut_until(size, smallest)
        labels = np.empty(joint.shape, dtype=np.int64)
        labels[np.ix_(*orders)] = cutter.labels()
        found.append(PairPartition(*pair, labels, int(labels.max()) + 1, f"{name}, {size} rectangles"))
    return found


class _RectangleCutter:
    """Cuts a joint table into rectangles, heaviest first."""

    def __init__(self, joint: Floats) -> None:
        self.shape = joint.shape
        self.mass = np.zeros((joint.shape[0] + 1, joint.shape[1] + 1))
        self.mass[1:, 1:] = joint.cumsum(0).cumsum(1)
        self.heap = [_Rectangle(-1.0, 0, (0, joint.shape[0], 0, joint.shape[1]))]
        self.final: list[_Rectangle] = []
        self.made = 1

    def cut_until(self, size: int, smallest: float) -> None:
        while self.heap and len(self.heap) + len(self.final) < size:
            rectangle = heapq.heappop(self.heap)
            top, bottom, left, right = rectangle.box
            if -rectangle.priority < smallest or (bottom - top == 1 and right - left == 1):
                self.final.append(rectangle)
                continue
            for box in self._halves(top, bottom, left, right):
                heapq.heappush(self.heap, _Rectangle(-self._mass(box), self.made, box))
                self.made += 1

    def labels(self) -> Map:
        labels = np.zeros(self.shape, dtype=np.int64)
        for number, rectangle in enumerate(sorted(self.heap + self.final, key=lambda item: item.number)):
            top, bottom, left, right = rectangle.box
            labels[top:bottom, left:right] = number
        return labels

    def _mass(self, box: tuple[int, int, int, int]) -> float:
        top, bottom, left, right = box
        return float(self.mass[bottom, right] - self.mass[top, right] - self.mass[bottom, left] + self.mass[top, left])

    def _halves(self, top: int, bottom: int, left: int, right: int) -> list[tuple[int, int, int, int]]:
        """The two halves of a rectangle, cut across the side whose codes hold more marginal mass."""
        height, width = self._mass((top, bottom, 0, self.shape[1])), self._mass((0, self.shape[0], left, right))
        if right - left == 1 or (bottom - top > 1 and height >= width):
            along = self.mass[top : bottom + 1, right] - self.mass[top : bottom + 1, left]
            cut = top + _half(along - along[0])
            return [(top, cut, left, right), (cut, bottom, left, right)]
        along = self.mass[bottom, left : right + 1] - self.mass[top, left : right + 1]
        cut = left + _half(along - along[0])
        return [(top, bottom, left, cut), (top, bottom, cut, right)]


def _half(cumulative: Floats) -> int:
    """Where a cumulative mass is closest to half, strictly inside."""
    return int(np.clip(np.argmin(np.abs(cumulative - cumulative[-1] / 2)), 1, len(cumulative) - 2))


def code_order(column: ColumnProfile, other: ColumnProfile, joint: Floats, other_shares: Floats) -> Map:
    """Order of a column's codes for rectangles: as they are where ordered, else by the mean rank of the other column under the model."""
    if column.is_ordered or column.codes <= 2:
        return np.arange(column.codes)
    if other.is_ordered:
        ranks = np.arange(other.codes, dtype=np.float64)
    else:
        ranks = np.argsort(np.argsort(-other_shares, kind="stable"), kind="stable").astype(np.float64)
    return np.argsort(joint @ ranks / np.maximum(joint.sum(1), 1e-12), kind="stable")
