"""What a condition is evaluated over: the rows of a data frame, or the cells of a column's declared domain."""

from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.errors import PredicateError
from synth_pipeline.table.column import (
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    ModelledColumn,
    category_key,
    declared_categories,
)
from synth_pipeline.table.grid import Cells, native_grid
from synth_pipeline.table.predicate_tree import Bools, Numbers

_TRUTH_KEYS = {"1": "True", "0": "False"}


@dataclass(frozen=True, repr=False, eq=False)
class FrameValues:
    """The rows of a data frame, whatever its physical dtypes.

    Attributes:
        frame: the table.
        booleans: names of the columns declared as boolean, which may be stored as bools, objects or 0 and 1.
    """

    frame: pd.DataFrame
    booleans: frozenset[str] = frozenset()
    _numbers: dict[str, tuple[Numbers, Bools]] = field(default_factory=dict)
    _categories: dict[str, tuple[npt.NDArray[np.intp], tuple[str, ...]]] = field(default_factory=dict)

    def number(self, name: str) -> tuple[Numbers, Bools]:
        """Values of a numeric column (datetimes as microseconds since 1970), and which of them are null."""
        if name not in self._numbers:
            self._numbers[name] = _numbers(self._column(name))
        return self._numbers[name]

    def category(self, name: str) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
        """Index of each value of a category column among the category keys that occur; -1 is null."""
        if name not in self._categories:
            self._categories[name] = category_codes(self._column(name), is_boolean=name in self.booleans)
        return self._categories[name]

    def _column(self, name: str) -> pd.Series:
        if name not in self.frame.columns:
            raise PredicateError(
                f"the table has no column {name!r}, which a condition names; evaluate it over the whole table"
            )
        return cast(pd.Series, self.frame[name])


@dataclass(frozen=True, eq=False)
class CellValues:
    """Native cells (or category indices) of one column; -1 is null.

    Attributes:
        name: the column.
        column: its declaration, with the categories filled in where they were discovered.
        cells: int64 cells.
    """

    name: str
    column: ModelledColumn
    cells: Cells

    def number(self, name: str) -> tuple[Numbers, Bools]:
        """Values of the cells, and which are null."""
        if not isinstance(self.column, (IntegerColumn, FloatColumn, DatetimeColumn)):
            raise PredicateError(f"{name}: a condition takes this {self.column.kind} column for a number")
        null = self.cells < 0
        values = native_grid(self.column).values(np.where(null, 0, self.cells))
        return (values.astype(np.int64) if values.dtype.kind == "M" else values), null  # pyright: ignore[reportReturnType]

    def category(self, name: str) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
        """The category indices and the keys of the declared categories."""
        if isinstance(self.column, (IntegerColumn, FloatColumn, DatetimeColumn)):
            raise PredicateError(f"{name}: a condition takes this {self.column.kind} column for a category")
        return self.cells.astype(np.intp), tuple(map(category_key, declared_categories(self.column)))


def category_codes(values: pd.Series, *, is_boolean: bool = False) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
    """Index of each value among the category keys that occur, -1 for null, and those keys; booleans may be stored as 0 and 1.

    Example:
        >>> category_codes(pd.Series([2.0, None, 1.0]))
        (array([ 0, -1,  1]), ('2', '1'))
    """
    codes, found = pd.factorize(values, use_na_sentinel=True)
    keys = [category_key(item.item() if isinstance(item, np.generic) else item) for item in found]
    if is_boolean:
        keys = [_TRUTH_KEYS.get(key, key) for key in keys]
    if len(set(keys)) == len(keys):
        return np.asarray(codes, dtype=np.intp), tuple(keys)
    distinct = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    merged = np.array([*(distinct[key] for key in keys), -1], dtype=np.intp)
    return merged[codes], tuple(distinct)


def _numbers(values: pd.Series) -> tuple[Numbers, Bools]:
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) in ("date", "datetime", "datetime64"):
        values = pd.to_datetime(values)
    null = values.isna().to_numpy(dtype=bool)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            values = values.dt.tz_localize(None)
        return values.to_numpy(dtype="datetime64[us]").astype(np.int64), null
    if pd.api.types.is_integer_dtype(values.dtype) and str(values.dtype).lower() != "uint64":
        return values.to_numpy(dtype=np.int64, na_value=0) if null.any() else values.to_numpy(dtype=np.int64), null
    try:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise PredicateError(
            f"{values.name}: a condition needs numbers here, and the table holds something else"
        ) from None
    return numbers, null | np.isnan(numbers)
