"""The three tables of a scorecard, read once into arrays: numbers as floats, categories as codes into one shared vocabulary.

Private: the arrays hold real rows. They live only while a scorecard is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import infer_dtype

from synth_pipeline.benchmark.interval import Floats
from synth_pipeline.errors import TableError
from synth_pipeline.spec import Spec
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


@dataclass(frozen=True, repr=False, eq=False)
class ScoredTable:
    """One table as arrays.

    Attributes:
        rows: number of rows.
        numbers: for each numeric and datetime column its values (datetimes in seconds); NaN is null.
        categories: for each category column the index of each value in the vocabulary that the tables share; -1 is null.
    """

    rows: int
    numbers: Mapping[str, Floats]
    categories: Mapping[str, Ints]

    def __repr__(self) -> str:
        return f"ScoredTable({len(self.numbers) + len(self.categories)} columns, contents withheld)"

    def take(self, rows: npt.NDArray[np.intp]) -> "ScoredTable":
        """The given rows, in the given order."""
        return ScoredTable(
            len(rows),
            {name: values[rows] for name, values in self.numbers.items()},
            {name: codes[rows] for name, codes in self.categories.items()},
        )


@dataclass(frozen=True, repr=False, eq=False)
class ScoredTables:
    """Train, holdout and synthetic table under one vocabulary.

    Attributes:
        kinds: kind of each scored column, in the order of the specification.
        vocabulary_sizes: number of distinct categories of each category column over the three tables.
        train: the rows that the generator saw.
        holdout: real rows that it did not see.
        synthetic: the rows that it made.
    """

    kinds: Mapping[str, Kind]
    vocabulary_sizes: Mapping[str, int]
    train: ScoredTable
    holdout: ScoredTable
    synthetic: ScoredTable

    def __repr__(self) -> str:
        return f"ScoredTables({len(self.kinds)} columns, contents withheld)"

    @property
    def names(self) -> tuple[str, ...]:
        """The scored columns."""
        return tuple(self.kinds)

    def is_number(self, name: str) -> bool:
        """Whether a column is numeric or datetime."""
        return self.kinds[name] in ("numeric", "datetime")


def read_tables(train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, spec: Spec) -> ScoredTables:
    """Check the three tables against the specification and each other, and read them into arrays.

    Raises:
        TableError: naming every column that is missing or holds values of another type, and the table it is in.
    """
    frames = {"train": train, "holdout": holdout, "synthetic": synthetic}
    kinds: dict[str, Kind] = {name: column_kind(column) for name, column in spec.modelled.items()}
    for what, frame in frames.items():
        _check_shape(frame, tuple(kinds), what)
    _check_families(frames, kinds)
    numbers: dict[str, dict[str, Floats]] = {what: {} for what in frames}
    codes: dict[str, dict[str, Ints]] = {what: {} for what in frames}
    sizes: dict[str, int] = {}
    for name, kind in kinds.items():
        if kind in ("numeric", "datetime"):
            for what, frame in frames.items():
                numbers[what][name] = _as_numbers(_column(frame, name), what)
        else:
            columns, sizes[name] = _as_codes([_column(frame, name) for frame in frames.values()])
            for what, column in zip(frames, columns, strict=True):
                codes[what][name] = column
    tables = {what: ScoredTable(len(frame), numbers[what], codes[what]) for what, frame in frames.items()}
    return ScoredTables(kinds, sizes, **tables)


def column_kind(column: ModelledColumn) -> Kind:
    """How a declared column is scored."""
    if isinstance(column, (IntegerColumn, FloatColumn)):
        return "numeric"
    if isinstance(column, DatetimeColumn):
        return "datetime"
    return "ordinal" if isinstance(column, OrdinalColumn) else "categorical"


def _check_shape(frame: pd.DataFrame, names: tuple[str, ...], what: str) -> None:
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
        raise TableError(f"{what}: has no rows; a scorecard needs at least one row of each table")


def _check_families(frames: Mapping[str, pd.DataFrame], kinds: Mapping[str, Kind]) -> None:
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
            elif reference not in ("nulls only", family):
                faults.append(f"{what}: column {name!r} holds {family}, an earlier table holds {reference}")
            elif kind == "numeric" and np.isinf(_as_numbers(_column(frame, name), what)).any():
                faults.append(f"{what}: column {name!r} holds infinite values, use null for unknown ones")
            reference = family if reference == "nulls only" else reference
    if faults:
        raise TableError("; ".join(faults) + "; convert the column(s) or correct the specification")


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    return pd.Series(frame[name])


def _family(values: pd.Series) -> Family:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = pd.Series(values.cat.categories)
    if values.isna().all():
        return "nulls only"
    return _FAMILIES.get(infer_dtype(values, skipna=True), "mixed values")


def _as_numbers(values: pd.Series, what: str) -> Floats:
    """Values as floats, points in time as seconds since 1970; null is NaN."""
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


def _as_codes(columns: list[pd.Series]) -> tuple[list[Ints], int]:
    """Codes of several columns into one sorted vocabulary, and its size; null is -1."""
    factors = [pd.factorize(column) for column in columns]
    keys = [[category_key(value) for value in pd.Index(uniques).tolist()] for _, uniques in factors]
    vocabulary = {key: code for code, key in enumerate(sorted({key for part in keys for key in part}))}
    coded: list[Ints] = []
    for (codes, _), part in zip(factors, keys, strict=True):
        lookup = np.array([*(vocabulary[key] for key in part), -1], dtype=np.int64)
        coded.append(lookup[codes])
    return coded, len(vocabulary)
