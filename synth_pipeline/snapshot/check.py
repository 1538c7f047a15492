"""The schema check: whether a data frame has the declared columns, holding values of the declared kinds."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from synth_pipeline.errors import TableError
from synth_pipeline.snapshot.held import Held, column_values, held_values, is_readable
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import (
    BooleanColumn,
    Column,
    DatetimeColumn,
    FloatColumn,
    IdentifierColumn,
    IntegerColumn,
)
from synth_pipeline.table.predicate_operand import shortened

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
_IDENTIFIER_OR_DROP = "(kind: identifier, if it is never to be read) or drop it"
_UNREADABLE: dict[Held, str] = {
    "dates": "dates that cannot be put on one clock; store all of them in one time zone, or all without one",
    "whole numbers": "numbers beyond double precision; convert them, or declare it as identifier",
    "numbers": "numbers beyond double precision; convert them, or declare it as identifier",
}


def check_schema(frame: pd.DataFrame, spec: Spec, *, where: str = "data") -> None:
    """Checks that a table has exactly the declared columns, with values of the declared kinds.

    Identifier columns must be there, and are not looked at.

    Raises:
        TableError: one line with every fault: missing, undeclared and wrongly typed columns.

    Privacy:
        Names of columns are public, and told; not so where few of the declared ones are there, for then they may be the first row of a file
        without a header line.
    """
    names = [str(name) for name in frame.columns]
    refuse_same_names(names, spec, where=where)
    require_header(names, spec, where=where)
    faults = [
        f"column {name!r} is missing (declared as {spec.columns[name].kind})"
        for name in spec.columns
        if name not in names
    ]
    faults += _undeclared([name for name in names if name not in spec.columns])
    faults += [
        f"column {name!r} {fault}"
        for name in spec.columns
        if name in names
        for fault in _type_faults(column_values(frame, name), spec.columns[name])
    ]
    if faults:
        raise TableError(f"{where}: {'; '.join(faults)}")


def _undeclared(names: Sequence[str]) -> list[str]:
    """One fault for all columns that are not declared; none where there is no such column."""
    if len(names) > 1:
        listed = ", ".join(repr(name) for name in names)
        return [f"columns {listed} are not declared; declare each {_IDENTIFIER_OR_DROP}"]
    return [f"column {name!r} is not declared; declare it {_IDENTIFIER_OR_DROP}" for name in names]


def refuse_same_names(names: Sequence[str], spec: Spec | None, *, where: str) -> None:
    """Refuse a table of which two columns share a name.

    Args:
        names: the names.
        spec: where there is one, only names that it declares are told: others may be values of a file without a header line.
        where: the table in the user's words.

    Raises:
        TableError: if so.
    """
    twice = {name for name, count in Counter(names).items() if count > 1}
    if not twice:
        return
    told = sorted(twice if spec is None else twice & spec.columns.keys())
    others = [f"{len(twice) - len(told)} that are not declared"] if len(told) < len(twice) else []
    raise TableError(
        f"{where}: columns that share a name: {', '.join([*told, *others])}; give every column its own name, in a header line"
    )


def has_header(names: Iterable[str], spec: Spec) -> bool:
    """Whether at least half of the declared names are there, so that names are names and not a row of values, one of which is alike."""
    return 2 * len(spec.columns.keys() & set(names)) >= len(spec.columns)


def require_header(names: Iterable[str], spec: Spec, *, where: str) -> None:
    """Refuse a table that has fewer than half of the declared columns, without telling the names that are there.

    Raises:
        TableError: if so.
    """
    if not has_header(names, spec):
        raise TableError(
            f"{where}: has fewer than half of the declared columns ({shortened(list(spec.columns))}); a CSV file needs commas and a header"
            " line with these names. The names that are there are withheld, for they may be a row of values"
        )


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
    if not is_readable(values):
        return [f"holds {_UNREADABLE.get(held, held)}"]
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
