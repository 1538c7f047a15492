"""The schema check: whether a data frame has the declared columns, holding values of the declared kinds."""

import numpy as np
import pandas as pd

from synth_pipeline.errors import TableError
from synth_pipeline.snapshot.held import Held, column_values, held_values
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import (
    BooleanColumn,
    Column,
    DatetimeColumn,
    FloatColumn,
    IdentifierColumn,
    IntegerColumn,
)

_NUMERIC: tuple[Held, ...] = ("whole numbers", "numbers")
_REMEDY: dict[Held, str] = {
    "whole numbers": "declare it as integer or float, or as categorical with these categories",
    "numbers": "declare it as float, or as categorical with these categories",
    "text": "convert it, or declare it as categorical",
    "true/false values": "declare it as boolean",
    "dates": "declare it as datetime",
    "nothing but nulls": "drop the column",
    "durations": "convert it to a number of seconds or days",
    "raw bytes": "convert it to text, or declare it as identifier",
    "mixed values": "store values of one kind",
}


def check_schema(frame: pd.DataFrame, spec: Spec, *, where: str = "data") -> None:
    """Checks that a table has exactly the declared columns, with values of the declared kinds.

    Identifier columns must be there, and are not looked at.

    Raises:
        TableError: one line with every fault: missing, undeclared and wrongly typed columns.
    """
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(f"{where}: columns that share a name: {', '.join(twice)}; give every column its own name")
    faults = [
        f"column {name!r} is missing (declared as {spec.columns[name].kind})"
        for name in spec.columns
        if name not in names
    ]
    faults += [
        f"column {name!r} is not declared; declare it (kind: identifier, if it is never to be read) or drop it"
        for name in names
        if name not in spec.columns
    ]
    faults += [
        f"column {name!r} {fault}"
        for name in spec.columns
        if name in names
        for fault in _type_faults(column_values(frame, name), spec.columns[name])
    ]
    if faults:
        raise TableError(f"{where}: {'; '.join(faults)}")


def type_fault(values: pd.Series, column: Column) -> str | None:
    """What is wrong with the type of a column, from its dtype (of its values' types, where that is object); None where nothing is."""
    if isinstance(column, IdentifierColumn):
        return None
    held = held_values(values)
    if held in (*_allowed(column), "nothing but nulls"):
        return None
    return f"holds {held} and is declared as {column.kind}; {_REMEDY[held]}"


def _type_faults(values: pd.Series, column: Column) -> list[str]:
    if isinstance(column, IdentifierColumn):
        return []
    fault = type_fault(values, column)
    if fault is not None:
        return [fault]
    held = held_values(values)
    if isinstance(column, IntegerColumn) and held == "numbers":
        return _counted(
            _fractional(values), "rows that are not whole numbers and is declared as integer; declare it as float"
        )
    if isinstance(column, BooleanColumn) and held in _NUMERIC:
        return _counted(
            _not_binary(values), "rows that are neither 0 nor 1 and is declared as boolean; declare it as categorical"
        )
    return []


def _allowed(column: Column) -> tuple[Held, ...]:
    if isinstance(column, (IntegerColumn, FloatColumn)):
        return _NUMERIC
    if isinstance(column, DatetimeColumn):
        return ("dates",)
    if isinstance(column, BooleanColumn):
        return ("true/false values", *_NUMERIC)
    return ("text", "true/false values", *_NUMERIC)


def _fractional(values: pd.Series) -> int:
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    finite = numbers[np.isfinite(numbers)]
    return int((finite != np.floor(finite)).sum())


def _not_binary(values: pd.Series) -> int:
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return int((~np.isin(numbers[~np.isnan(numbers)], (0.0, 1.0))).sum())


def _counted(rows: int, fault: str) -> list[str]:
    return [f"holds {rows} {fault}"] if rows else []
