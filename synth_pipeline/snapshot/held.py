"""What a column of a data frame holds, in words that a person uses; read from dtypes, and from values only where the dtype is object."""

from typing import Literal, TypeAlias, cast

import numpy as np
import pandas as pd

Held: TypeAlias = Literal[
    "whole numbers",
    "numbers",
    "text",
    "true/false values",
    "dates",
    "nothing but nulls",
    "durations",
    "raw bytes",
    "mixed values",
]
_INFERRED: dict[str, Held] = {
    "string": "text",
    "boolean": "true/false values",
    "integer": "whole numbers",
    "floating": "numbers",
    "mixed-integer-float": "numbers",
    "decimal": "numbers",
    "date": "dates",
    "datetime": "dates",
    "datetime64": "dates",
    "empty": "nothing but nulls",
    "timedelta": "durations",
    "timedelta64": "durations",
    "bytes": "raw bytes",
}


def column_values(frame: pd.DataFrame, name: str) -> pd.Series:
    """One column of a table whose columns have distinct names."""
    return cast(pd.Series, frame[name])


def held_values(values: pd.Series) -> Held:
    """What a column holds.

    Example:
        >>> held_values(pd.Series([1, 2])), held_values(pd.Series(["a", None], dtype=object))
        ('whole numbers', 'text')
    """
    dtype, types = values.dtype, pd.api.types
    is_object = types.is_object_dtype(dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        return held_values(pd.Series(dtype.categories))
    if not is_object and types.is_bool_dtype(dtype):
        return "true/false values"
    if types.is_integer_dtype(dtype):
        return "whole numbers"
    if types.is_float_dtype(dtype):
        return "numbers"
    if types.is_datetime64_any_dtype(dtype):
        return "dates"
    if not is_object and types.is_string_dtype(dtype):
        return "text"
    if not is_object and types.is_timedelta64_dtype(dtype):
        return "durations"
    return _INFERRED.get(str(types.infer_dtype(values, skipna=True)), "mixed values")


def is_readable(values: pd.Series) -> bool:
    """Whether objects that are dates or numbers can be read as such, all of them together; other columns can.

    Example:
        >>> is_readable(pd.Series([1, 10**400], dtype=object))
        False
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        return is_readable(pd.Series(values.dtype.categories))
    held = held_values(values)
    if values.dtype != object or held not in ("dates", "whole numbers", "numbers"):
        return True
    try:
        values.isna()
        if held == "dates":
            plain_dates(values).to_numpy(dtype="datetime64[us]")
        else:
            values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError, ArithmeticError):
        return False
    return True


def plain_dates(values: pd.Series) -> pd.Series:
    """A column of dates as datetime64 without a time zone (local time), whatever it was stored as."""
    if values.dtype == object:
        values = pd.to_datetime(values)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_localize(None)
    return values
