"""A snapshot from a table: checked, bounded, split and encoded, in that order. Private zone, all of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from synth_pipeline.privacy.gate import mark_private
from synth_pipeline.snapshot.check import check_schema
from synth_pipeline.snapshot.dtypes import physical_dtypes
from synth_pipeline.snapshot.fingerprint import fingerprint
from synth_pipeline.snapshot.held import column_values
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.snapshot.unit import bound_contributions, holdout_rows, refuse_empty_side
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import FloatColumn, IntegerColumn
from synth_pipeline.table.native import NULL, NativeTable
from synth_pipeline.table.person import PERSON_ROWS


@dataclass(frozen=True, repr=False)
class PrivateCounts:
    """Exact counts of a snapshot; private.

    Attributes:
        rows: rows of the table as it came.
        dropped_rows: rows beyond `privacy.unit.max_rows` of a person.
        train_rows: rows the generator is trained on.
        holdout_rows: rows kept for evaluation.
        clipped_rows: rows with a value outside the declared domain, by column.
    """

    rows: int
    dropped_rows: int
    train_rows: int
    holdout_rows: int
    clipped_rows: Mapping[str, int]

    zone: ClassVar[str] = "private"

    def __repr__(self) -> str:
        return "PrivateCounts(contents withheld)"


@dataclass(frozen=True, repr=False, eq=False)
class Snapshot:
    """A table as the walk uses it; private, but for the fingerprint and the dtypes.

    Attributes:
        train: rows to train on; infinite numbers are put at the end of the declared range.
        holdout: rows kept for evaluation, likewise, or None where none were asked for.
        native: native codes of `train`.
        fingerprint: keyed HMAC of the whole table as it came.
        dtypes: physical dtypes of the table, in table order.
        counts: exact counts.
    """

    train: pd.DataFrame
    holdout: pd.DataFrame | None
    native: NativeTable
    fingerprint: str
    dtypes: dict[str, str]
    counts: PrivateCounts

    zone: ClassVar[str] = "private"

    def __post_init__(self) -> None:
        for frame in (self.train, self.holdout):
            if frame is not None:
                mark_private(frame)

    def __repr__(self) -> str:
        return f"Snapshot({self.fingerprint[:12]}…, contents withheld)"


def take_snapshot(frame: pd.DataFrame, spec: Spec, *, key: bytes, holdout: bool, where: str = "data") -> Snapshot:
    """The snapshot that a table is.

    The whole table must fit the specification, also those rows that the contribution bound drops.

    Args:
        frame: the table; not changed.
        spec: its specification.
        key: the home folder's secret key.
        holdout: whether to keep the share `spec.holdout` of people for evaluation; without it every row is trained on.
        where: the table in the user's words, for errors.

    Raises:
        TableError: one line with every fault of the table.
    """
    check_schema(frame, spec, where=where)
    native, clipped = to_native(frame, spec, where=where)
    kept = bound_contributions(frame, spec, key=key)
    held = holdout_rows(frame, spec, key=key) & kept if holdout else np.zeros(len(frame), dtype=bool)
    if holdout:
        refuse_empty_side(held[kept])
    trained = kept & ~held
    counts = PrivateCounts(len(frame), int((~kept).sum()), int(trained.sum()), int(held.sum()), clipped)
    table = _finite(frame, spec)
    return Snapshot(
        train=table.loc[trained].reset_index(drop=True) if not trained.all() else table.reset_index(drop=True),
        holdout=table.loc[held].reset_index(drop=True) if holdout else None,
        native=with_person_rows(_only_seen(native.take(np.flatnonzero(trained))), spec.privacy.unit.max_rows),
        fingerprint=fingerprint(frame, spec, key=key),
        dtypes=physical_dtypes(frame),
        counts=counts,
    )


def with_person_rows(native: NativeTable, most_rows: int) -> NativeTable:
    """The same rows with the number of their person's rows as one more column, where people may have several.

    A row's number hangs on its own person's rows alone.
    """
    if native.units is None or most_rows == 1:
        return native
    numbers = np.minimum(np.bincount(native.units)[native.units], most_rows) if native.rows else native.units
    return replace(native, columns={**native.columns, PERSON_ROWS: (numbers - 1).astype(np.int16)})


def _finite(frame: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """The table with infinite numbers at that end of the declared range which they lie beyond.

    Where a column says `on_outside: clip` they are let in, and a benchmark would refuse the whole table for one of them: what became of a
    walk, after its charges, would tell that somebody has one.
    """
    bounded: dict[str, pd.Series] = {}
    for name, column in spec.modelled.items():
        if not isinstance(column, (IntegerColumn, FloatColumn)):
            continue
        values = column_values(frame, name)
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isinf(numbers).any():
            bounded[name] = values.mask(np.isposinf(numbers), column.max).mask(np.isneginf(numbers), column.min)
    return frame.assign(**bounded) if bounded else frame


def _only_seen(native: NativeTable) -> NativeTable:
    """The same rows with private vocabularies cut to the values that occur in them, and units numbered without gaps.

    A value that occurs in the holdout only must not be there to be discovered.
    """
    columns, vocabularies = dict(native.columns), dict(native.vocabularies)
    for name, vocabulary in vocabularies.items():
        codes = columns[name]
        seen = np.unique(codes[codes != NULL])
        columns[name] = np.where(codes == NULL, NULL, np.searchsorted(seen, codes)).astype(codes.dtype)
        vocabularies[name] = tuple(vocabulary[code] for code in seen)
    units = (
        None if native.units is None else np.unique(native.units, return_inverse=True)[1].reshape(-1).astype(np.int64)
    )
    return replace(native, columns=columns, units=units, vocabularies=vocabularies)
