"""Physical dtypes of the real table, written down as text, and given to a synthetic table.

Privacy: dtypes are taken as part of the public schema. The readers of this package choose them from the file's schema and the
specification only; a caller who hands over a data frame of their own vouches that its dtypes are no secret. The values of a pandas
category dtype are never kept: they come from the specification, or from what was discovered under DP.
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import pandas as pd

from synth_pipeline.errors import TableError
from synth_pipeline.snapshot.held import column_values
from synth_pipeline.table.arrays import nothing_discovered
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoricalColumn,
    Column,
    DatetimeColumn,
    IdentifierColumn,
    OrdinalColumn,
    category_key,
    declared_categories,
)

_DATE_OBJECTS = "object: dates"
_CATEGORY = "category of "


def physical_dtypes(frame: pd.DataFrame) -> dict[str, str]:
    """The dtype of each column as text, in table order.

    Example:
        >>> physical_dtypes(pd.DataFrame({"a": [1], "b": ["x"]}))
        {'a': 'int64', 'b': 'str'}
    """
    return {str(name): _described(column_values(frame, name)) for name in frame.columns}


def restore_dtypes(frame: pd.DataFrame, dtypes: Mapping[str, str], columns: Mapping[str, Column]) -> pd.DataFrame:
    """The same values in the columns, order and dtypes of the real table.

    Where a dtype cannot hold the values (a null among plain integers, a number past the dtype's range, invented identifiers that are
    no numbers), the column gets the dtype that pandas would give it (float64, int64, str).

    Args:
        frame: a synthetic table.
        dtypes: what `physical_dtypes` said of the real one.
        columns: the declared columns, for the categories of category dtypes.

    Raises:
        TableError: if a column is missing.
    """
    missing = [name for name in dtypes if name not in frame.columns]
    if missing:
        raise TableError(f"synthetic table: no columns {', '.join(missing)}; it must have every column of the real one")
    return pd.DataFrame(
        {name: _restored(column_values(frame, name), dtype, columns.get(name)) for name, dtype in dtypes.items()}
    )


def _described(values: pd.Series) -> str:
    if isinstance(values.dtype, pd.CategoricalDtype):
        ordered = "ordered " if values.dtype.ordered else ""
        return f"{_CATEGORY}{ordered}{values.dtype.categories.dtype}"
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) == "date":
        return _DATE_OBJECTS
    return str(values.dtype)


def _restored(values: pd.Series, dtype: str, column: Column | None) -> pd.Series:
    if isinstance(column, IdentifierColumn):
        return _identifier(values, dtype)
    if dtype.startswith(_CATEGORY):
        return _categorical(values, dtype.removeprefix(_CATEGORY), column)
    if isinstance(column, DatetimeColumn):
        return _datetime(values, dtype)
    if dtype == "object":
        return _null_as_none(values)
    if dtype in ("str", "string") or dtype.startswith(("string[", "large_string[")):
        return _as_text(values).astype(dtype)
    return _number(values, dtype)


def _identifier(values: pd.Series, dtype: str) -> pd.Series:
    try:
        return values.astype(dtype)
    except (TypeError, ValueError, OverflowError):
        return values


def _categorical(values: pd.Series, description: str, column: Column | None) -> pd.Series:
    kind = description.removeprefix("ordered ")
    declared = (
        declared_categories(column) if isinstance(column, (CategoricalColumn, OrdinalColumn, BooleanColumn)) else ()
    )
    listed = pd.Series(list(declared) or sorted(values.dropna().unique(), key=category_key), dtype=object)
    categories = pd.Index(_restored(listed, kind, None))
    found = _restored(values.astype(object), kind, None)
    return pd.Series(pd.Categorical(found, categories=categories, ordered=description != kind), index=values.index)


def _datetime(values: pd.Series, dtype: str) -> pd.Series:
    moments = pd.to_datetime(values)
    if dtype == _DATE_OBJECTS:
        return moments.dt.date.astype(object).where(moments.notna(), None)
    if dtype == "object":
        return _null_as_none(moments)
    target = pd.api.types.pandas_dtype(dtype)
    if isinstance(target, pd.DatetimeTZDtype):
        local = moments.dt.tz_localize(
            target.tz, ambiguous=np.ones(len(moments), dtype=bool), nonexistent="shift_forward"
        )
        return local.astype(target)
    return moments.astype(target)


def _null_as_none(values: pd.Series) -> pd.Series:
    plain = values.astype(object)
    return plain.where(values.notna(), None)


def _as_text(values: pd.Series) -> pd.Series:
    if pd.api.types.is_string_dtype(values.dtype) and values.dtype != object:
        return values
    return values.map(category_key, na_action="ignore")


def _number(values: pd.Series, dtype: str) -> pd.Series:
    """Numbers and booleans; categories that were discovered come as text, and stay so where none was and the one name is "other"."""
    if nothing_discovered(values):
        return values.astype("str")
    target = pd.api.types.pandas_dtype(dtype)
    if pd.api.types.is_bool_dtype(target):
        truths = values.map({"True": True, "False": False, True: True, False: False}, na_action="ignore")
        has_nulls = bool(truths.isna().any())
        return _null_as_none(truths) if has_nulls and target == bool else truths.astype(target)  # noqa: E721
    truths_as_numbers = values.replace({"True": 1, "False": 0}) if values.dtype == object else values
    numbers = cast(pd.Series, pd.to_numeric(truths_as_numbers.astype(object).where(values.notna(), None)))
    is_masked = pd.api.types.is_extension_array_dtype(target)
    if pd.api.types.is_integer_dtype(target):
        if numbers.isna().any() and not is_masked:
            return numbers.astype("float64")
        if _overflows(numbers, target):
            return numbers.astype("Int64" if is_masked else "int64")
    return numbers.astype(target)


def _overflows(numbers: pd.Series, target: object) -> bool:
    limits = np.iinfo(str(target).lower().split("[")[0])
    given = numbers.dropna()
    return bool(len(given)) and (float(given.min()) < limits.min or float(given.max()) > limits.max)
