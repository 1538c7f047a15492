"""How a column of any pandas dtype is read: as numbers, as category keys, as shares of released codes.

pandas holds one declared kind in many dtypes (nullable integers as float64 or Int64, dates as objects, Arrow types, categoricals); the
expectations mean the values, not the dtype.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.table.column import category_key

Floats = npt.NDArray[np.float64]


def holds_kind(values: pd.Series, kind: str) -> bool:
    """Whether a column's dtype (or, for object columns, each value) can hold a declared kind."""
    is_boolean = pd.api.types.is_bool_dtype(values) or _all_are(values, bool)
    is_number = pd.api.types.is_numeric_dtype(values) and not is_boolean
    is_text = isinstance(values.dtype, (pd.StringDtype, pd.CategoricalDtype)) or _all_are(values, (str, int, float))
    if values.isna().all():
        return True
    if kind in ("integer", "float"):
        return is_number
    if kind == "datetime":
        return is_temporal(values)
    if kind == "boolean":
        return is_boolean or (is_number and bool(values.dropna().isin([0, 1]).all()))
    return is_text or is_number or is_boolean


def is_temporal(values: pd.Series) -> bool:
    """Whether a column holds dates or points in time."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return True
    if isinstance(values.dtype, pd.ArrowDtype):
        return values.dtype.type in (date, datetime)
    return _all_are(values, date)


def numbers(values: pd.Series) -> Floats:
    """The values as float64, NaN for null; dates and datetimes as seconds since 1970, time zones dropped."""
    if not is_temporal(values):
        plain = cast("pd.Series", pd.to_numeric(values, errors="coerce"))
        return plain.to_numpy(dtype=np.float64, na_value=np.nan)
    stamps = values if pd.api.types.is_datetime64_any_dtype(values) else pd.to_datetime(values, errors="coerce")
    if getattr(stamps.dtype, "tz", None) is not None:
        stamps = stamps.dt.tz_localize(None)
    moments = stamps.to_numpy(dtype="datetime64[us]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 1e6)


def category_keys(values: pd.Series, *, is_boolean: bool) -> npt.NDArray[np.object_]:
    """The key of each value (see `category_key`), None for null; 0 and 1 are false and true in a boolean column."""

    def key(value: object) -> str:
        return category_key(bool(value) if is_boolean and value in (0, 1) else value)

    codes, distinct = pd.factorize(values)
    keys = [key(value) for value in pd.Index(distinct).tolist()]
    return np.array([*keys, None], dtype=object)[codes]


def observed_shares(values: pd.Series, arguments: Mapping[str, Any]) -> Floats:
    """Shares of a column over released codes (bins or categories, then null where it is one), and last of values that fit no code."""
    codes, count = _category_codes(values, arguments) if "categories" in arguments else _bin_codes(values, arguments)
    codes = np.where(values.isna(), count if arguments["has_null"] else count + 1, codes)
    size = count + int(arguments["has_null"]) + 1
    found = np.bincount(np.minimum(codes, size - 1), minlength=size)
    return found / max(len(values), 1)


def _category_codes(values: pd.Series, arguments: Mapping[str, Any]) -> tuple[npt.NDArray[np.int64], int]:
    categories = arguments["categories"]
    index = {category: code for code, category in enumerate(categories)}
    keys = category_keys(values, is_boolean=categories == ["False", "True"])
    return np.array([index.get(key, len(categories) + 1) for key in keys], dtype=np.int64), len(categories)


def _bin_codes(values: pd.Series, arguments: Mapping[str, Any]) -> tuple[npt.NDArray[np.int64], int]:
    boundaries = np.array(arguments["boundaries"], dtype=np.float64)
    return np.searchsorted(boundaries, numbers(values), side="right"), len(boundaries) + 1


def _all_are(values: pd.Series, types: type | tuple[type, ...]) -> bool:
    """Whether an object column holds values of the given types only; nulls do not count, and there must be a value."""
    if values.dtype != object:
        return False
    present = values.dropna()
    return len(present) > 0 and all(isinstance(value, types) for value in present.unique())
