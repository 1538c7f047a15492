"""Native codes: a table as one integer column per declared column, with no value of the raw table left in it.

A numeric column holds cells of its native grid, a declared category column indices into its public list, a discovered one indices
into a private vocabulary. Null is -1 everywhere. The arrays are private wherever they come from private rows; only a Curator keeps
them (see privacy).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

NULL = -1


@dataclass(frozen=True, repr=False, eq=False)
class NativeTable:
    """Native codes of a table, column by column.

    Attributes:
        columns: int32 or int64 array of length rows for each modelled column, in the table's order; -1 is null.
        units: for each row, the index of the person (privacy unit) that it belongs to, or None when each row is one person.
        vocabularies: for each discovered column, the private list of values that its codes index.
    """

    columns: Mapping[str, npt.NDArray[np.integer]]
    units: npt.NDArray[np.int64] | None = None
    vocabularies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    zone: ClassVar[str] = "private"

    def __repr__(self) -> str:
        return f"NativeTable({len(self.columns)} columns, contents withheld)"

    @property
    def rows(self) -> int:
        """Number of rows; private."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def take(self, rows: npt.NDArray[np.intp]) -> "NativeTable":
        """The given rows, in the given order."""
        units = None if self.units is None else self.units[rows]
        return NativeTable({name: codes[rows] for name, codes in self.columns.items()}, units, self.vocabularies)
