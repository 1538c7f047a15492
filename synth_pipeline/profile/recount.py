"""A column counted again over codes that were released before: the same bins, categories and groups, on other rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.privacy.curator import Curator
from synth_pipeline.table.calendar import CalendarPart
from synth_pipeline.table.grid import Cells
from synth_pipeline.table.partition import Intervals, Partition
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, Floats, NumericProfile


@dataclass(frozen=True, eq=False)
class Counted:
    """Noisy counts of a column's codes.

    Attributes:
        values: noisy rows of each code (people, where they may have several rows).
        variance: of the noise of each.
    """

    values: Floats
    variance: Floats

    def combined(self, other: "Counted") -> "Counted":
        """The inverse-variance mean with other counts of the same codes."""
        own, others = 1 / self.variance, 1 / other.variance
        return Counted((self.values * own + other.values * others) / (own + others), 1 / (own + others))


@dataclass(frozen=True, eq=False)
class Groups:
    """Declared categories, several of which may share a code.

    Attributes:
        group: code of each category.
    """

    group: npt.NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of codes."""
        return int(self.group.max()) + 1

    def assign(self, cells: Cells) -> npt.NDArray[np.int64]:
        """Code of each category."""
        return self.group[cells]


def count_again(curator: Curator, column: ColumnProfile, parent: ColumnProfile | None, *, cost: float) -> Counted:
    """Count a column over the codes of its released profile.

    Args:
        curator: holder of the rows.
        column: the released profile of the column.
        parent: that of the datetime column that it is a calendar part of, if it is one.
        cost: μ² to spend.

    Privacy:
        One discrete-Gaussian histogram through the curator; the codes were released before and hang on none of its rows.
    """
    purpose = f"{column.name}: one-way over the codes of the release before"
    if isinstance(column, CategoryProfile) and column.has_rest:
        keys = [str(category) for category in column.categories]
        noisy = curator.key_histogram(
            column.name, keys, with_null=column.nullable, cost=cost, stage="profile", purpose=purpose
        )
        sizes = np.bincount(column.group_of, minlength=column.known)
        values = np.bincount(column.group_of, weights=noisy.values[: len(keys)], minlength=column.known)
        others = noisy.values[len(keys) :]
        variance = noisy.sigma**2 * np.append(sizes, np.ones(len(others)))
        return Counted(np.append(values, others).astype(np.float64), variance.astype(np.float64))
    name, partition = _partition(column, parent)
    noisy = curator.histogram(name, partition, with_null=column.nullable, cost=cost, stage="profile", purpose=purpose)
    return Counted(noisy.values, np.full(len(noisy.values), noisy.sigma**2))


def _partition(column: ColumnProfile, parent: ColumnProfile | None) -> tuple[str, Partition]:
    """Which column of the table is counted, and how."""
    if isinstance(column, NumericProfile):
        return column.name, Intervals(column.edges, column.grid, column.native)
    if column.part is not None and isinstance(parent, NumericProfile):
        return parent.name, CalendarPart(parent.native, column.part)
    return column.name, Groups(column.group_of)
