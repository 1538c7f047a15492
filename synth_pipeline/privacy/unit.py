"""The privacy unit: whose presence or absence the guarantee hides, and how many rows that one may move.

Belongs here: the unit and its neighbouring relation. Does not: cutting a table down to the bound (see snapshot).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.errors import PrivacyError

WEIGHT_UNITS = 720_720
"""A person with several rows weighs so many whole units, shared out among the rows; divisible by every number up to 16."""


@dataclass(frozen=True, slots=True)
class PrivacyUnit:
    """Whom the guarantee protects.

    Two tables are neighbours when one is the other with every row of one unit added or removed.

    Attributes:
        column: the column that names the unit (a person's id), or None when each row is a unit of its own.
        max_rows: rows a unit may have in a table; the contribution bound.

    Raises:
        PrivacyError: for a bound below one row, or a bound above one row without a unit column.

    Where a unit may have several rows, people are weighed, not rows: each of a unit's k rows weighs ⌊U/k⌋ of U = `WEIGHT_UNITS`, so that
    all of them together weigh at most U, however many they are. Counts are kept in these whole units, noised in them, and divided by U
    when they are released: an answer is a number of people. (Multiplying the sensitivity of row counts by max_rows instead protects
    as well, at max_rows times the noise.)

    Example:
        >>> PrivacyUnit("person_id", 8).row_weights(np.array([0, 0, 1])).tolist()
        [360360, 360360, 720720]
    """

    column: str | None = None
    max_rows: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.max_rows, bool) or not isinstance(self.max_rows, int) or self.max_rows < 1:
            raise PrivacyError(f"privacy unit: max_rows is {self.max_rows!r}; it must be a whole number of at least 1")
        if self.column is None and self.max_rows != 1:
            raise PrivacyError(
                f"privacy unit: max_rows is {self.max_rows} but no unit column is named; "
                "name the column that identifies a unit, or leave max_rows at 1"
            )

    @property
    def weight(self) -> int:
        """Whole units that one person weighs at most; what an answer is divided by when it is released."""
        return 1 if self.max_rows == 1 else WEIGHT_UNITS

    @property
    def sensitivity(self) -> int:
        """The most that adding or removing one unit moves a histogram of weighted rows, in whole units (L1, hence also L2)."""
        return self.weight

    def row_weights(self, units: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64] | None:
        """Whole units that each row weighs, or None where every row weighs 1.

        Privacy:
            The rows of a unit weigh at most `sensitivity` together, where weights are given also if it had more than max_rows; each
            row's weight depends on its own unit's rows alone. With max_rows 1 each row weighs 1, and the bound is the table's own
            (`snapshot.unit.bound_contributions`).

        Args:
            units: the unit of each row, numbered from 0.

        Raises:
            PrivacyError: if units may have several rows and it is not said whose each row is.
        """
        if self.max_rows == 1:
            return None
        if units is None:
            raise PrivacyError(
                f"privacy unit: max_rows is {self.max_rows}, but the table does not say whose each row is; give the rows' units"
            )
        return self.weight // np.bincount(units)[units] if len(units) else np.zeros(0, dtype=np.int64)

    def describe(self) -> str:
        """Say in words what the guarantee protects."""
        if self.column is None:
            return "one row (neighbours: one row added or removed)"
        rows = "1 row" if self.max_rows == 1 else f"{self.max_rows} rows"
        return f"every row of one {self.column}, at most {rows} (neighbours: all of them added or removed)"
