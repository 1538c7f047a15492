"""What a curator is asked about and what it answers: partitions of pairs of columns, and noisy numbers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Noisy:
    """A released vector of noisy numbers.

    Attributes:
        values: float64 vector of whole numbers; may be negative.
        sigma: standard deviation of the noise of each.
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
