"""Regions: a condition over several columns as a table of which combinations of column regions are allowed.

A condition such as `age < 30 AND (sex = 'F' OR income IS NULL)` cuts each column it names into a few *regions* (sets of native cells),
and is then exactly a boolean array over those regions. Samplers condition on that array; they never need the SQL again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Region:
    """A set of native codes of one column.

    Attributes:
        ranges: half-open ranges `[start, stop)` of native cells (numeric) or category indices, sorted and disjoint.
        has_null: whether null belongs to the region.
    """

    ranges: tuple[tuple[int, int], ...]
    has_null: bool = False


@dataclass(frozen=True)
class RegionTable:
    """A condition as allowed combinations of regions.

    Attributes:
        columns: the columns that the condition names.
        regions: for each of them, regions that cover its whole domain (null included, where nullable) without overlap.
        allowed: boolean array with one axis a column; True where the combination satisfies the condition.
    """

    columns: tuple[str, ...]
    regions: tuple[tuple[Region, ...], ...]
    allowed: npt.NDArray[np.bool_]

    @property
    def is_empty(self) -> bool:
        """Whether no combination satisfies the condition."""
        return not bool(self.allowed.any())
