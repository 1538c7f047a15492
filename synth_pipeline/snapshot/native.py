"""A checked data frame to native codes: the last step at which raw values are seen."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.errors import TableError
from synth_pipeline.snapshot.held import column_values, plain_dates
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoryColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    ModelledColumn,
    NumericColumn,
    category_key,
    declared_categories,
)
from synth_pipeline.table.grid import native_grid
from synth_pipeline.table.native import NULL, NativeTable
from synth_pipeline.table.predicate_operand import shortened
from synth_pipeline.table.predicate_values import category_codes

Codes: TypeAlias = npt.NDArray[np.integer]


@dataclass(frozen=True, repr=False)
class NativeColumn:
    """Native codes of one column, and what had to be done to get them; private.

    Attributes:
        codes: cells, category indices or vocabulary indices; -1 is null.
        outside: rows whose value is outside the declared domain (clipped, where the column says so).
        nulls: rows that are null in the table, before clipping.
        vocabulary: sorted keys of a discovered column; empty for others.
    """

    codes: Codes
    outside: int
    nulls: int
    vocabulary: tuple[str, ...] = ()


def to_native(frame: pd.DataFrame, spec: Spec, *, where: str = "data") -> tuple[NativeTable, dict[str, int]]:
    """Native codes of a table that passed `check_schema`, and the number of clipped rows of each column that had any.

    Privacy: both results are private; the errors name columns and declared domains, and count rows.

    Raises:
        TableError: one line with every fault: values outside a declared domain, nulls in a column that is not nullable, rows without
            a privacy unit.
    """
    columns: dict[str, Codes] = {}
    vocabularies: dict[str, tuple[str, ...]] = {}
    clipped: dict[str, int] = {}
    faults: list[str] = []
    for name, column in spec.modelled.items():
        made = native_column(column_values(frame, name), column)
        faults += _faults(name, column, made)
        columns[name] = made.codes
        if made.vocabulary or not _is_declared(column):
            vocabularies[name] = made.vocabulary
        if made.outside:
            clipped[name] = made.outside
    units = person_codes(frame, spec)
    if units is not None and (units < 0).any():
        unknown = int((units < 0).sum())
        faults.append(
            f"column {spec.privacy.unit.column!r} (privacy.unit.column): {unknown} rows are null; fill or drop them"
        )
    if faults:
        raise TableError(f"{where}: {'; '.join(faults)}")
    return NativeTable(columns, units, vocabularies), clipped


def native_column(values: pd.Series, column: ModelledColumn) -> NativeColumn:
    """Native codes of one column, with values outside the declared domain clipped and counted."""
    if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
        return _numeric(values, column)
    return _category(values, column)


def person_codes(frame: pd.DataFrame, spec: Spec) -> npt.NDArray[np.int64] | None:
    """Index of the person that each row belongs to (-1 where unknown), or None where each row is a person."""
    if spec.privacy.unit.column is None:
        return None
    return category_codes(column_values(frame, spec.privacy.unit.column))[0].astype(np.int64)


def _numeric(values: pd.Series, column: NumericColumn) -> NativeColumn:
    grid = native_grid(column)
    cells, null = grid.nearest(plain_dates(values) if isinstance(column, DatetimeColumn) else values)
    null = null | np.isnan(cells)
    outside = ~null & ((cells < 0) | (cells >= grid.cells))
    codes = np.where(null, NULL, np.clip(cells, 0, grid.cells - 1))
    return NativeColumn(codes.astype(_smallest(grid.cells)), int(outside.sum()), int(null.sum()))


def _category(values: pd.Series, column: CategoryColumn) -> NativeColumn:
    found, keys = category_codes(values, is_boolean=isinstance(column, BooleanColumn))
    listed = tuple(map(category_key, declared_categories(column))) or tuple(sorted(keys))
    places = {key: index for index, key in enumerate(listed)}
    codes = np.array([*(places.get(key, NULL) for key in keys), NULL], dtype=_smallest(len(listed)))[found]
    nulls = int((found == NULL).sum())
    return NativeColumn(codes, int((codes == NULL).sum()) - nulls, nulls, () if _is_declared(column) else listed)


def _is_declared(column: ModelledColumn) -> bool:
    return isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)) or bool(declared_categories(column))


def _smallest(cells: int) -> type[np.signedinteger]:
    return np.int16 if cells <= 2**15 else np.int32 if cells <= 2**31 else np.int64


def _faults(name: str, column: ModelledColumn, made: NativeColumn) -> list[str]:
    faults: list[str] = []
    if made.outside and column.on_outside == "refuse":
        domain, remedy = _domain(column)
        faults.append(f"column {name!r}: {made.outside} rows outside the declared {domain}; {remedy}")
    if made.nulls and not column.nullable:
        faults.append(
            f"column {name!r}: {made.nulls} rows are null and it is not declared as nullable; set nullable: true, or drop them"
        )
    return faults


def _domain(column: ModelledColumn) -> tuple[str, str]:
    """The declared domain in words, and what can be done about values outside it."""
    if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
        return f"range {column.min} to {column.max}", "widen min and max, or set on_outside: clip"
    categories = shortened([category_key(item) for item in declared_categories(column)])
    return f"categories {categories}", "declare the others too, or set nullable: true and on_outside: clip"
