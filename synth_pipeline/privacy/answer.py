"""What a curator is asked about and what it answers: partitions of pairs and of several columns, and noisy numbers."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.errors import PrivacyError


@dataclass(frozen=True, eq=False)
class Noisy:
    """A released vector of noisy numbers.

    Attributes:
        values: float64 vector of numbers of people (whole ones, where each row is a person); may be negative.
        sigma: standard deviation of the noise of each, in people.
    """

    values: npt.NDArray[np.float64]
    sigma: float


@dataclass(frozen=True, eq=False)
class PairPartition:
    """A public partition of the joint codes of two columns.

    Attributes:
        first: index of one column of the domain.
        second: index of the other.
        labels: int array of shape (codes of first, codes of second): the cell of each combination.
        size: number of cells.
        name: what the partition is, for the record ("full", "12 × 12 groups", "144 rectangles").
    """

    first: int
    second: int
    labels: npt.NDArray[np.int64]
    size: int
    name: str


@dataclass(frozen=True, eq=False)
class ExpectedTable:
    """What is expected of a partition, to be compared with the truth; all of it public or released.

    Attributes:
        partition: the cells.
        counts: expected people of each cell (rows, where each row is a person), rounded.
        penalty: taken off the distance between truth and expectation, in people.
        weight: factor on what is left.
    """

    partition: PairPartition
    counts: npt.NDArray[np.int64]
    penalty: int = 0
    weight: int = 1


SHARE_PARTS = 1 << 20
"""Shares of a watched table are whole parts of this."""


@dataclass(frozen=True, eq=False)
class WatchedTable:
    """A table of one or two columns whose distance from released shares is watched; all of it public or released.

    With n the table's people, W their sum and q the shares, its excess is ½ Σ|n − q W| − slope·W − offset, in people.

    Attributes:
        columns: indices of its columns in the domain.
        labels: the cell of each code, or of each combination of codes.
        shares: share of each cell, in whole parts of `SHARE_PARTS`; they sum to it.
        slope: what is taken off for each person, in parts of 2·SHARE_PARTS.
        offset: what is taken off in all, in the same parts of a person.
        name: what the table is, for the record.

    Raises:
        PrivacyError: if shares are negative or do not sum to `SHARE_PARTS`, or the slope is negative: the sensitivity rests on that.
    """

    columns: tuple[int, ...]
    labels: npt.NDArray[np.int64]
    shares: tuple[int, ...]
    slope: int
    offset: int
    name: str

    def __post_init__(self) -> None:
        if min(self.shares, default=-1) < 0 or sum(self.shares) != SHARE_PARTS or self.slope < 0:
            raise PrivacyError(
                f"watched table {self.name}: shares must be at least 0 and sum to {SHARE_PARTS}, the slope at least 0"
            )
        if self.labels.ndim != len(self.columns) or not 0 <= self.labels.min() <= self.labels.max() < len(self.shares):
            raise PrivacyError(
                f"watched table {self.name}: the labels do not fit its {len(self.columns)} columns and its cells"
            )

    @property
    def reach(self) -> int:
        """Most that one person moves the excess, in parts of 2·SHARE_PARTS: at most one person of the distance, and the slope."""
        return 2 * SHARE_PARTS + self.slope


@dataclass(frozen=True, eq=False)
class JointPartition:
    """A public partition of the joint codes of several columns: the product of one map for each.

    Attributes:
        columns: indices of the columns in the domain.
        maps: for each, an int array that sends a code to its group; groups are numbered from 0.
        name: what the partition is, for the record.
    """

    columns: tuple[int, ...]
    maps: tuple[npt.NDArray[np.int64], ...]
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of groups of each column."""
        return tuple(int(groups.max()) + 1 for groups in self.maps)

    @property
    def size(self) -> int:
        """Number of cells; cells are numbered with the last column fastest."""
        return math.prod(self.shape)
