"""Given rows: a caller's table with missing cells, checked against the declared domain and encoded for an imputer.

A cell that is empty, or whose column is absent, is *unknown*: it is to be drawn. A null that is *known* is written as the null mark that
the caller chose. Everything else is known and comes back unchanged.

Privacy: given rows are the caller's own. Nothing is charged for them, because no private table is read, and nothing of them is kept.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import TableError
from synth_pipeline.generate.protocol import UNKNOWN
from synth_pipeline.snapshot.check import check_schema
from synth_pipeline.snapshot.csv_text import convert_text
from synth_pipeline.snapshot.held import column_values, plain_dates
from synth_pipeline.snapshot.native import native_column
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoricalColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    ModelledColumn,
    category_key,
    declared_categories,
)
from synth_pipeline.table.encoded import Codes
from synth_pipeline.table.grid import native_grid
from synth_pipeline.table.native import NULL, NativeTable
from synth_pipeline.table.person import PERSON_ROWS
from synth_pipeline.table.profile import CategoryProfile, Profile

Bools = npt.NDArray[np.bool_]
WHERE = "--given"


@dataclass(frozen=True, eq=False, repr=False)
class GivenColumn:
    """One column of the given rows.

    Attributes:
        values: its values by position; meaningful where `known` and not `is_null`.
        known: cells that come back unchanged.
        is_null: known nulls.
    """

    values: pd.Series
    known: Bools
    is_null: Bools

    def put_into(self, drawn: pd.Series, rows: npt.NDArray[np.int64]) -> pd.Series:
        """The drawn column with the known cells in place of its own.

        Args:
            drawn: drawn values.
            rows: number of the given row that each of them completes.
        """
        known, is_null = self.known[rows], self.is_null[rows]
        if not known.any():
            return drawn
        result = drawn.astype(object)
        held = known & ~is_null
        result[held] = self.values.astype(object).to_numpy()[rows[held]]
        result[is_null] = None
        return result.infer_objects()


@dataclass(frozen=True, eq=False, repr=False)
class GivenRows:
    """Given rows, checked and encoded.

    Attributes:
        columns: the modelled columns that were given.
        identifiers: the identifier columns that were given, as they are.
        codes: (rows, encoded columns); -1 is unknown.
    """

    columns: dict[str, GivenColumn]
    identifiers: dict[str, pd.Series]
    codes: Codes

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.codes)


def take_given(frame: pd.DataFrame, spec: Spec, profile: Profile, *, null_token: str | None = None) -> GivenRows:
    """Check and encode given rows.

    Args:
        frame: some or all declared columns, cells missing or not.
        spec: declares them.
        profile: the released profile, whose encoder is used.
        null_token: text that marks a known null; None: there are none.

    Raises:
        TableError: one line: no rows, an undeclared column, values of another kind or outside the declared domain, a known null in a
            column that is not nullable. It may name a row by number, never a value.
    """
    frame = frame.reset_index(drop=True)
    _check_names(frame, spec)
    columns = {
        name: _given_column(name, column_values(frame, name), spec, null_token)
        for name in spec.modelled
        if name in frame.columns
    }
    codes = _encode(columns, len(frame), spec, profile)
    identifiers = {
        name: (values := column_values(frame, name).astype(object)).where(values != "", None)
        for name in spec.identifiers
        if name in frame.columns
    }
    return GivenRows(columns, identifiers, codes)


def _check_names(frame: pd.DataFrame, spec: Spec) -> None:
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(f"{WHERE}: columns that share a name: {', '.join(twice)}; give every column its own name")
    undeclared = [name for name in names if name not in spec.columns]
    if undeclared:
        raise TableError(
            f"{WHERE}: column {undeclared[0]!r} is not declared ({len(undeclared)} such); the model has "
            f"{', '.join(spec.columns)}; drop the others"
        )
    if len(frame) == 0:
        raise TableError(f"{WHERE}: the table has no rows; give at least one")


def _given_column(name: str, values: pd.Series, spec: Spec, null_token: str | None) -> GivenColumn:
    objects = values.astype(object)
    is_text = np.array([isinstance(value, str) for value in objects], dtype=bool)
    known = ~values.isna().to_numpy(dtype=bool) & ~(is_text & (objects == "").to_numpy(dtype=bool))
    is_null = is_text & (objects == null_token).to_numpy(dtype=bool)
    held = known & ~is_null
    if is_null.any() and not spec.modelled[name].nullable:
        raise TableError(
            f"{WHERE}: row {_first(is_null)}: column {name!r} holds the null mark and is not declared as nullable; leave the cell empty "
            "to have it drawn"
        )
    if (is_text & held).any():
        kept = _parsed(name, objects.where(held, ""), spec)
    else:
        kept = values.where(held) if not is_null.any() else objects.where(held, None).infer_objects()
    return GivenColumn(_canonical(kept, held, name, spec), known, is_null)


def _parsed(name: str, text: pd.Series, spec: Spec) -> pd.Series:
    try:
        return column_values(convert_text(pd.DataFrame({name: text}), spec, where=WHERE), name)
    except TableError as refusal:
        fault = str(refusal).split("; correct them")[0]
        raise TableError(f"{fault}; correct them, or leave the cells empty to have them drawn") from None


def _canonical(values: pd.Series, held: Bools, name: str, spec: Spec) -> pd.Series:
    """The held values as the decoder writes them: declared categories as declared, dates without a time zone."""
    column = spec.modelled[name]
    if not held.any():
        return pd.Series(np.full(len(values), None, dtype=object))
    narrowed = spec.model_copy(update={"columns": {name: column}})
    check_schema(pd.DataFrame({name: values.loc[held].infer_objects()}), narrowed, where=WHERE)
    if isinstance(column, DatetimeColumn):
        return plain_dates(values)
    if isinstance(column, (IntegerColumn, FloatColumn)):
        return values
    if isinstance(column, BooleanColumn):
        return values.map(_as_boolean, na_action="ignore").astype(object)
    declared: dict[str, Any] = {category_key(item): item for item in declared_categories(column)}
    keys = values.map(lambda value: category_key(_plain(value)), na_action="ignore")
    return keys.map(lambda key: declared.get(key, key), na_action="ignore").astype(object)


def _as_boolean(value: object) -> object:
    return bool(value) if value in (0, 1) else value


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _encode(columns: dict[str, GivenColumn], rows: int, spec: Spec, profile: Profile) -> Codes:
    """Codes of the rows; unknown cells, and the calendar parts of unknown moments, are -1."""
    native: dict[str, npt.NDArray[np.integer]] = {}
    vocabularies: dict[str, tuple[str, ...]] = {}
    for name, column in spec.modelled.items():
        if name not in columns:
            native[name] = np.full(rows, 0, dtype=np.int64)
            continue
        given = columns[name]
        held = given.known & ~given.is_null
        if not held.any():
            native[name] = np.where(given.is_null, NULL, 0).astype(np.int64)
            continue
        made = native_column(given.values, column)
        _refuse_outside(name, column, given, made.codes)
        native[name] = np.where(held, made.codes, np.where(given.is_null, NULL, 0)).astype(np.int64)
        if isinstance(column, CategoricalColumn) and column.discover:
            vocabularies[name] = made.vocabulary
    native[PERSON_ROWS] = np.zeros(rows, dtype=np.int64)
    codes = Encoder(profile).encode(NativeTable(native, None, vocabularies))
    for index, released in enumerate(profile.columns):
        source = released.part_of if isinstance(released, CategoryProfile) and released.part_of else released.name
        known = columns[source].known if source in columns else np.zeros(rows, dtype=bool)
        codes[~known, index] = UNKNOWN
    return codes


def _refuse_outside(name: str, column: ModelledColumn, given: GivenColumn, codes: npt.NDArray[np.integer]) -> None:
    here = given.known & ~given.is_null
    if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
        grid = native_grid(column)
        cells, _ = grid.nearest(given.values)
        with np.errstate(invalid="ignore"):
            outside = here & ~((cells >= 0) & (cells < grid.cells))
        allowed = f"range {column.min} to {column.max}"
    else:
        outside = here & (codes == NULL)
        allowed = "categories"
    if outside.any():
        raise TableError(
            f"{WHERE}: row {_first(outside)}: column {name!r} is outside the declared {allowed} ({int(outside.sum())} such rows); correct "
            "it, or leave the cell empty to have it drawn"
        )


def _first(mask: Bools) -> int:
    """Number of the first row of a mask, counted from 1."""
    return int(np.flatnonzero(mask)[0]) + 1
