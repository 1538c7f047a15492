"""CSV text to typed columns, by the specification: "007" stays a category, an empty field is null, dates are ISO dates."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from synth_pipeline.errors import TableError
from synth_pipeline.snapshot.held import column_values
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import (
    BooleanColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    ModelledColumn,
    declared_categories,
)

_TRUE_WORDS, _FALSE_WORDS = ("true", "yes", "1", "1.0", "t", "y"), ("false", "no", "0", "0.0", "f", "n")
_INTEGER, _NUMBER = r"[+-]?(0|[1-9]\d*)", r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_LARGEST_INT64 = 2.0**63 - 1024
_DATE = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?"


def convert_text(text: pd.DataFrame, spec: Spec, *, where: str) -> pd.DataFrame:
    """Columns of text as the declared kinds; columns that are not declared, and identifiers, stay text.

    Raises:
        TableError: names every column with fields that do not parse, and how many rows they are in; never the fields.
    """
    converted: dict[str, pd.Series] = {}
    faults: list[str] = []
    for name in text.columns:
        column = spec.modelled.get(name)
        values = _null_where_empty(column_values(text, name))
        if column is None:
            converted[name] = values
            continue
        converted[name], wrong, wanted = _converted(values, column)
        if wrong:
            faults.append(f"column {name!r}: {wrong} rows do not parse as {wanted}")
    if faults:
        raise TableError(f"{where}: {'; '.join(faults)}; correct them, or leave the field empty for null")
    return pd.DataFrame(converted)


def infer_text(text: pd.DataFrame) -> pd.DataFrame:
    """Columns of text as the narrowest kind that all their fields parse as: whole numbers, numbers, true/false, dates, else text.

    Numbers with leading zeros are text. This reads values, so it serves proposals of a specification only, never a released schema.
    """
    return pd.DataFrame({name: _inferred(_null_where_empty(column_values(text, name))) for name in text.columns})


def _null_where_empty(values: pd.Series) -> pd.Series:
    return values.astype("str").mask(values == "")


def _converted(values: pd.Series, column: ModelledColumn) -> tuple[pd.Series, int, str]:
    """The column, the number of rows that do not parse, and what they should be."""
    if isinstance(column, IntegerColumn):
        return (*_numbers(values, is_whole=True, nullable=column.nullable), "whole numbers")
    if isinstance(column, FloatColumn):
        return (*_numbers(values, is_whole=False, nullable=column.nullable), "numbers")
    if isinstance(column, DatetimeColumn):
        return (*_parsed(values, _dates), "ISO dates (2015-01-31 or 2015-01-31T13:45:00)")
    if isinstance(column, BooleanColumn):
        return (*_booleans(values, nullable=column.nullable), "true/false, yes/no or 1/0")
    declared = declared_categories(column)
    if declared and all(not isinstance(item, str) for item in declared):
        is_whole = all(isinstance(item, int) for item in declared)
        return (*_numbers(values, is_whole=is_whole, nullable=column.nullable), "numbers, as its categories are")
    return values, 0, "text"


def _numbers(values: pd.Series, *, is_whole: bool, nullable: bool) -> tuple[pd.Series, int]:
    parsed, wrong = _parsed(values, _to_numbers)
    if not is_whole:
        return parsed.astype("float64"), wrong
    filled = parsed.to_numpy(dtype=np.float64, na_value=0.0)
    fractional = int((filled != np.floor(filled)).sum())
    if wrong or fractional or nullable or parsed.isna().any():
        return parsed.astype("float64"), wrong + fractional
    if parsed.dtype == np.int64:
        return parsed, 0
    # Beyond what an int64 holds: the nearest it has, for the dtype may not tell that there is such a value.
    return pd.Series(np.clip(filled, -(2.0**63), _LARGEST_INT64).astype(np.int64), index=parsed.index), 0


def _to_numbers(given: pd.Series) -> pd.Series:
    return pd.Series(pd.to_numeric(given, errors="coerce"), index=given.index)


def _booleans(values: pd.Series, *, nullable: bool) -> tuple[pd.Series, int]:
    words = dict.fromkeys(_TRUE_WORDS, True) | dict.fromkeys(_FALSE_WORDS, False)
    parsed, wrong = _parsed(values, lambda given: given.str.strip().str.lower().map(words))
    if nullable or parsed.isna().any():
        return parsed.astype(object).where(parsed.notna(), None), wrong
    return parsed.astype("bool"), wrong


def _dates(given: pd.Series) -> pd.Series:
    plain = given.where(given.str.fullmatch(_DATE))
    return pd.to_datetime(plain, format="ISO8601", errors="coerce").astype("datetime64[us]")


def _parsed(values: pd.Series, parse: Callable[[pd.Series], pd.Series]) -> tuple[pd.Series, int]:
    """Parsed values with null where the text is null, and how many non-null rows became null."""
    given = values.dropna()
    parsed = parse(given)
    return parsed.reindex(values.index), int(np.count_nonzero(parsed.isna()))


def _inferred(values: pd.Series) -> pd.Series:
    given = values.dropna()
    if given.empty:
        return values
    has_nulls = len(given) < len(values)
    if given.str.fullmatch(_INTEGER).all():
        return _numbers(values, is_whole=True, nullable=has_nulls)[0]
    if given.str.fullmatch(_NUMBER).all() and not given.str.fullmatch(r"[+-]?0\d+").any():
        return _numbers(values, is_whole=False, nullable=has_nulls)[0]
    if given.str.lower().isin(["true", "false"]).all():
        return _booleans(values, nullable=has_nulls)[0]
    if given.str.fullmatch(_DATE).all() and not _dates(given).isna().any():
        return _parsed(values, _dates)[0]
    return values
