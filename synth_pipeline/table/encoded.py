"""Encoded tables: rows of small integer codes over a released domain, which is all that a generator sees or makes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Domain:
    """Names and sizes of the encoded columns; a released fact.

    Attributes:
        names: column names in table order.
        sizes: number of codes of each column (nulls included).
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of a column."""
        return self.names.index(name)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Start of each column in a one-hot row, and the total width as the last element."""
        starts = [0]
        for size in self.sizes:
            starts.append(starts[-1] + size)
        return tuple(starts)

    def slices(self) -> tuple[slice, ...]:
        """The slice of each column in a one-hot row."""
        return tuple(slice(start, stop) for start, stop in pairwise(self.offsets))


@dataclass(frozen=True)
class EncodedTable:
    """Encoded rows, with optional hints for the decoder.

    Attributes:
        codes: int32, rows × columns.
        domain: what the codes mean.
        regions: for some columns, the region of a condition that each row lies in (see `table.region`); decoding stays inside it.
        ranks: for some numeric columns, position in (0, 1) of each row inside its bin; without it positions are drawn.
    """

    codes: Codes
    domain: Domain
    regions: Mapping[int, npt.NDArray[np.int32]] = field(default_factory=dict)
    ranks: Mapping[int, npt.NDArray[np.float64]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.codes)

    def taken(self, places: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> "EncodedTable":
        """Some of the rows, with their regions and ranks, in the order that is asked for.

        Args:
            places: row numbers, or whether each row is taken.
        """
        regions = {index: labels[places] for index, labels in self.regions.items()}
        ranks = {index: positions[places] for index, positions in self.ranks.items()}
        return EncodedTable(self.codes[places], self.domain, regions, ranks)
