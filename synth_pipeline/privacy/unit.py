"""The privacy unit: whose presence or absence the guarantee hides, and how many rows that one may move.

Belongs here: the unit and its neighbouring relation. Does not: cutting a table down to the bound (see snapshot).
"""

from dataclasses import dataclass

from synth_pipeline.errors import PrivacyError


@dataclass(frozen=True, slots=True)
class PrivacyUnit:
    """Whom the guarantee protects.

    Two tables are neighbours when one is the other with every row of one unit added or removed.

    Attributes:
        column: the column that names the unit (a person's id), or None when each row is a unit of its own.
        max_rows: rows a unit may have in a table; the contribution bound.

    Raises:
        PrivacyError: for a bound below one row, or a bound above one row without a unit column.

    Example:
        >>> PrivacyUnit("person_id", 8).sensitivity
        8
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
    def sensitivity(self) -> int:
        """The most that adding or removing one unit moves a histogram of rows, in rows (L1, hence also L2)."""
        return self.max_rows

    def describe(self) -> str:
        """Say in words what the guarantee protects."""
        if self.column is None:
            return "one row (neighbours: one row added or removed)"
        rows = "1 row" if self.max_rows == 1 else f"{self.max_rows} rows"
        return f"every row of one {self.column}, at most {rows} (neighbours: all of them added or removed)"
