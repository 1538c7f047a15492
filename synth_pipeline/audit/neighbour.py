"""Neighbouring tables: a table, the same one without one person, and persons whose presence is easy to tell."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from synth_pipeline.errors import TableError
from synth_pipeline.snapshot.take import take_snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.table.native import NativeTable

_KEY = b"audits use no secret: the table stands for a private one"


@dataclass(frozen=True, repr=False, eq=False)
class Neighbours:
    """Native codes of two tables that differ by all rows of one person, who comes last; private.

    Attributes:
        larger: with the person.
        smaller: without.
    """

    larger: NativeTable
    smaller: NativeTable


def neighbours(spec: Spec, table: pd.DataFrame, without: int) -> Neighbours:
    """The table as the walk would train on it, and the same without the person of one row.

    Both are taken as snapshots of their own: bounds, vocabularies and clipping are those that each table would get by itself.

    Args:
        spec: the specification.
        table: the table.
        without: position of a row of the person who is left out in the second.

    Raises:
        TableError: if the table does not fit the specification, or has nobody else.
    """
    column = spec.privacy.unit.column
    rows = np.arange(len(table))
    is_person = rows == without if column is None else (table[column] == table[column].iloc[without]).to_numpy()
    others, person = table.loc[~is_person], table.loc[is_person]
    if others.empty:
        raise TableError("audit: the table holds one person; give one with more")
    whole = pd.concat([others, person], ignore_index=True)
    larger = take_snapshot(whole, spec, key=_KEY, holdout=False)
    smaller = take_snapshot(others.reset_index(drop=True), spec, key=_KEY, holdout=False)
    return Neighbours(_person_last(larger.native), _person_last(smaller.native))


def _person_last(table: NativeTable) -> NativeTable:
    """Persons numbered by their first row: the same numbers in both tables, the last one's person last."""
    if table.units is None:
        return table
    _, first, inverse = np.unique(table.units, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return replace(table, units=rank[inverse.reshape(-1)])


@dataclass(frozen=True, repr=False, eq=False)
class Candidate:
    """A table in which one person may be left out.

    Attributes:
        name: how the person was chosen.
        table: the table, the person's rows included.
        without: position of one of that person's rows.
    """

    name: str
    table: pd.DataFrame
    without: int


def candidates(spec: Spec, table: pd.DataFrame, *, rng: np.random.Generator) -> tuple[Candidate, ...]:
    """Persons to audit with: one at random, the one with the rarest values, and two strangers put in.

    The strangers have as many rows as a person may: one takes the rarest value of every column, the other values of a different row for
    each column, so that no pattern between columns fits.
    """
    rarity = sum((_rarity(_values(table, name)) for name in spec.modelled if name in table), start=np.zeros(len(table)))
    found = [
        Candidate("a person at random", table, int(rng.integers(len(table)))),
        Candidate("the person with the rarest values", table, int(np.argmax(rarity))),
    ]
    picks: dict[str, Callable[[pd.Series], int]] = {
        "a stranger with the rarest value of every column": lambda values: int(np.argmax(_rarity(values))),
        "a stranger out of every pattern": lambda values: int(rng.integers(len(values))),
    }
    for name, pick in picks.items():
        rows = _stranger(spec, table, pick)
        found.append(Candidate(name, pd.concat([table, rows], ignore_index=True), len(table)))
    return tuple(found)


def _stranger(spec: Spec, table: pd.DataFrame, pick: Callable[[pd.Series], int]) -> pd.DataFrame:
    """Rows of a new person, each column's value taken from the row that `pick` names."""
    unit = spec.privacy.unit
    row = {
        str(name): _values(table, str(name)).iloc[[pick(_values(table, str(name)))]].reset_index(drop=True)
        for name in table
    }
    if unit.column is not None:
        row[unit.column] = _new_name(_values(table, unit.column))
    rows = pd.concat([pd.DataFrame(row)] * unit.max_rows, ignore_index=True)
    return rows.astype(table.dtypes.to_dict())


def _values(table: pd.DataFrame, name: str) -> pd.Series:
    return pd.Series(table[name])


def _new_name(names: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(names):
        return pd.Series([names.max() + 1])
    return pd.Series([max(names.astype(str), key=len) + " the stranger"])


def _rarity(values: pd.Series) -> np.ndarray:
    """−log of the share of rows that hold the same value as each row."""
    counts = values.groupby(values, dropna=False).transform("size")
    return -np.log(counts.to_numpy(dtype=np.float64) / len(values))
