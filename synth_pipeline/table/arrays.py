"""Columns of data frames as arrays that can be compared between tables: numbers as floats, categories as codes.

Private where the frames are: the arrays hold their cells.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import infer_dtype

from synth_pipeline.errors import TableError
from synth_pipeline.table.column import (
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    ModelledColumn,
    OrdinalColumn,
    category_key,
)

Kind: TypeAlias = Literal["numeric", "datetime", "categorical", "ordinal"]
Family: TypeAlias = Literal["numbers", "times", "text", "booleans", "nulls only", "mixed values"]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

_FAMILIES: Mapping[str, Family] = {
    **dict.fromkeys(("integer", "integer-na", "floating", "mixed-integer-float", "decimal"), "numbers"),
    **dict.fromkeys(("datetime64", "datetime", "date"), "times"),
    "string": "text",
    "boolean": "booleans",
    "empty": "nulls only",
}
_ALLOWED: Mapping[Kind, tuple[Family, ...]] = {
    "numeric": ("numbers",),
    "datetime": ("times", "numbers"),
    "categorical": ("text", "numbers", "booleans"),
    "ordinal": ("text", "numbers", "booleans"),
}

UNDISCOVERED = "other"
"""The one category of a discovered column in which no category was found."""


def column_kind(column: ModelledColumn) -> Kind:
    """How a declared column is compared between tables; a boolean is a category."""
    if isinstance(column, (IntegerColumn, FloatColumn)):
        return "numeric"
    if isinstance(column, DatetimeColumn):
        return "datetime"
    return "ordinal" if isinstance(column, OrdinalColumn) else "categorical"


def check_comparable(frames: Mapping[str, pd.DataFrame], kinds: Mapping[str, Kind], *, remedy: str) -> None:
    """Refuse tables that are no frames, have no rows, or lack a column or hold values of another type than its kind takes.

    Args:
        frames: the tables by what the user calls them.
        kinds: kind of each column that is compared.
        remedy: what to do about a table without rows.

    Raises:
        TableError: naming every column that is missing or holds values of another type, and the table it is in.
    """
    for what, frame in frames.items():
        _check_shape(frame, tuple(kinds), what, remedy=remedy)
    faults: list[str] = []
    for name, kind in kinds.items():
        reference: Family = "nulls only"
        for what, frame in frames.items():
            family = _family(_column(frame, name))
            if family == "nulls only":
                continue
            if family not in _ALLOWED[kind]:
                allowed = " or ".join(_ALLOWED[kind])
                faults.append(f"{what}: column {name!r} holds {family}, a {kind} column takes {allowed}")
            elif kind == "categorical" and nothing_discovered(_column(frame, name)):
                continue
            elif reference not in ("nulls only", family):
                faults.append(f"{what}: column {name!r} holds {family}, an earlier table holds {reference}")
            elif kind == "numeric" and np.isinf(as_numbers(_column(frame, name), what)).any():
                faults.append(f"{what}: column {name!r} holds infinite values, use null for unknown ones")
            reference = family if reference == "nulls only" else reference
    if faults:
        raise TableError("; ".join(faults) + "; convert the column(s) or correct the specification")


def nothing_discovered(values: pd.Series) -> bool:
    """Whether all that a column holds is the name that stands for every category of a column in which none was discovered.

    Such a synthetic column is text, also where the real one holds numbers.
    """
    given = values.dropna()
    return given.dtype.kind in "OSUT" and len(given) > 0 and bool((given == UNDISCOVERED).all())


def as_numbers(values: pd.Series, what: str) -> Floats:
    """Values as floats, points in time as seconds since 1970; null is NaN.

    Args:
        values: a numeric or datetime column.
        what: its table in the user's words, for errors.

    Raises:
        TableError: if the points in time are of different time zones.
    """
    if values.isna().all():
        return np.full(len(values), np.nan)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if _family(values) != "times":
        return values.to_numpy(dtype=np.float64, na_value=np.nan).copy()
    try:
        times = pd.to_datetime(values)
    except (ValueError, OverflowError):
        raise TableError(
            f"{what}: column {values.name!r} mixes points in time of different kinds; use one time zone or none"
        ) from None
    if times.dt.tz is not None:
        times = times.dt.tz_localize(None)
    seconds = times.astype("datetime64[us]").astype("int64").to_numpy().astype(np.float64) / 1e6
    seconds[times.isna().to_numpy()] = np.nan
    return seconds


def as_codes(columns: list[pd.Series]) -> tuple[list[Ints], tuple[str, ...]]:
    """Codes of several columns into one sorted vocabulary of category keys, and that vocabulary; null is -1."""
    factors = [pd.factorize(column) for column in columns]
    keys = [[category_key(value) for value in pd.Index(uniques).tolist()] for _, uniques in factors]
    vocabulary = {key: code for code, key in enumerate(sorted({key for part in keys for key in part}))}
    coded: list[Ints] = []
    for (codes, _), part in zip(factors, keys, strict=True):
        lookup = np.array([*(vocabulary[key] for key in part), -1], dtype=np.int64)
        coded.append(lookup[codes])
    return coded, tuple(vocabulary)


def _check_shape(frame: pd.DataFrame, names: tuple[str, ...], what: str, *, remedy: str) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise TableError(f"{what}: not a DataFrame but {type(frame).__name__}; read the file into a DataFrame first")
    if frame.columns.has_duplicates:
        twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise TableError(f"{what}: more than one column named {', '.join(twice)}; column names must be unique")
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise TableError(
            f"{what}: missing column(s) {', '.join(missing)}; the specification declares them, add them or change it"
        )
    if len(frame) == 0:
        raise TableError(f"{what}: has no rows; {remedy}")


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    return pd.Series(frame[name])


def _family(values: pd.Series) -> Family:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = pd.Series(values.cat.categories)
    if values.isna().all():
        return "nulls only"
    return _FAMILIES.get(infer_dtype(values, skipna=True), "mixed values")
