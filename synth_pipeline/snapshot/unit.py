"""Persons: how many rows of each are kept, and on which side of the train/holdout split each falls.

Both are decided by keyed hashes of the person (or of the row, where each row is a person): without the key nobody can tell or steer
them, and the same person falls on the same side in every snapshot. What happens to one person's rows depends on that person's rows
alone, which is what the guarantee needs.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.errors import TableError
from synth_pipeline.snapshot.held import column_values
from synth_pipeline.snapshot.keyed import hashed, numbered, person_words, purpose_key, row_digests
from synth_pipeline.spec import Spec
from synth_pipeline.table.predicate_values import category_codes

Mask = npt.NDArray[np.bool_]


def bound_contributions(frame: pd.DataFrame, spec: Spec, *, key: bytes) -> Mask:
    """Rows that are kept so that each person has at most `privacy.unit.max_rows`, chosen by keyed hash; all, where rows are persons.

    Privacy: adding or removing a person changes which of their own rows are kept, and nobody else's.
    """
    unit = spec.privacy.unit
    if unit.column is None:
        return np.ones(len(frame), dtype=bool)
    persons = category_codes(column_values(frame, unit.column))[0].astype(np.int64)
    secret = purpose_key(key, "contributions")
    lot = hashed(numbered(row_digests(frame, spec, secret), persons), secret)
    order = np.lexsort((lot, persons))
    is_first = np.append([True], np.diff(persons[order]) != 0)[: len(order)]
    place = np.arange(len(order)) - np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    kept = np.empty(len(order), dtype=bool)
    kept[order] = place < unit.max_rows
    return kept


def holdout_rows(frame: pd.DataFrame, spec: Spec, *, key: bytes) -> Mask:
    """Rows kept for evaluation: a keyed hash of the person, below `holdout` as a share of all hashes.

    Where each row is a person, the hash is of the row's content and of its number among equal rows, so that it is stable across
    snapshots and one row more moves no other row's content to the other side.
    """
    secret = purpose_key(key, "holdout")
    unit = spec.privacy.unit.column
    by_row = unit is None
    words = numbered(row_digests(frame, spec, secret)) if by_row else person_words(column_values(frame, unit), secret)
    return hashed(words, secret) < np.uint64(spec.holdout * 2.0**64)


def split_holdout(frame: pd.DataFrame, spec: Spec, *, key: bytes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The training rows and the holdout rows of a table (see `holdout_rows`).

    Raises:
        TableError: if a side is empty.
    """
    held = holdout_rows(frame, spec, key=key)
    refuse_empty_side(held)
    return frame.loc[~held].reset_index(drop=True), frame.loc[held].reset_index(drop=True)


def refuse_empty_side(held: Mask) -> None:
    """Refuses a split with nobody on one side.

    Raises:
        TableError: if all rows, or none, are held out.
    """
    if held.all() or not held.any():
        side = "training" if held.all() else "evaluation"
        raise TableError(
            f"data: the split by person leaves no rows for {side}; too few people for the spec's `holdout` share"
        )
