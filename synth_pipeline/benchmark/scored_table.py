"""The tables of a scorecard, read once into arrays: numbers as floats, categories as codes into one shared vocabulary.

Private: the arrays hold real rows. They live only while a scorecard is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.spec import Spec
from synth_pipeline.table.arrays import Floats, Ints, Kind, as_codes, as_numbers, check_comparable, column_kind
from synth_pipeline.table.column import ModelledColumn, NumericColumn, category_key, declared_categories


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
    """Train, holdout and synthetic table, and a rebalanced one where there is one, under one vocabulary.

    Attributes:
        kinds: kind of each scored column, in the order of the specification.
        vocabulary_sizes: number of distinct categories of each category column over the three tables.
        train: the rows that the generator saw.
        holdout: real rows that it did not see.
        synthetic: the rows that it made.
        rebalanced: rows that it made with equal shares of groups and classes, or None.
        vocabularies: the categories of each category column, by code; private where they were not declared.
        declared: the categories of each column that the specification lists: public.
    """

    kinds: Mapping[str, Kind]
    vocabulary_sizes: Mapping[str, int]
    train: ScoredTable
    holdout: ScoredTable
    synthetic: ScoredTable
    rebalanced: ScoredTable | None = None
    vocabularies: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    declared: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    def __repr__(self) -> str:
        return f"ScoredTables({len(self.kinds)} columns, contents withheld)"

    @property
    def names(self) -> tuple[str, ...]:
        """The scored columns."""
        return tuple(self.kinds)

    def shown(self, name: str, code: int) -> str:
        """A category for people: its text where it is public, else its number."""
        text = self.vocabularies[name][code]
        return text if text in self.declared.get(name, ()) else f"category {code + 1}"

    def is_number(self, name: str) -> bool:
        """Whether a column is numeric or datetime."""
        return self.kinds[name] in ("numeric", "datetime")


def read_tables(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    spec: Spec,
    *,
    rebalanced: pd.DataFrame | None = None,
) -> ScoredTables:
    """Check the tables against the specification and each other, and read them into arrays.

    Raises:
        TableError: naming every column that is missing or holds values of another type, and the table it is in.
    """
    frames = {"train": train, "holdout": holdout, "synthetic": synthetic}
    frames |= {} if rebalanced is None else {"rebalanced": rebalanced}
    kinds: dict[str, Kind] = {name: column_kind(column) for name, column in spec.modelled.items()}
    check_comparable(frames, kinds, remedy="a scorecard needs at least one row of each table")
    numbers: dict[str, dict[str, Floats]] = {what: {} for what in frames}
    codes: dict[str, dict[str, Ints]] = {what: {} for what in frames}
    vocabularies: dict[str, tuple[str, ...]] = {}
    for name, kind in kinds.items():
        if kind in ("numeric", "datetime"):
            for what, frame in frames.items():
                numbers[what][name] = as_numbers(pd.Series(frame[name]), what)
        else:
            columns, vocabularies[name] = as_codes([pd.Series(frame[name]) for frame in frames.values()])
            for what, column in zip(frames, columns, strict=True):
                codes[what][name] = column
    tables = {what: ScoredTable(len(frame), numbers[what], codes[what]) for what, frame in frames.items()}
    sizes = {name: len(vocabulary) for name, vocabulary in vocabularies.items()}
    declared = {name: frozenset(map(category_key, _listed(spec.modelled[name]))) for name in vocabularies}
    return ScoredTables(kinds, sizes, **tables, vocabularies=vocabularies, declared=declared)


def _listed(column: ModelledColumn) -> tuple[object, ...]:
    """The public categories of a column."""
    return () if isinstance(column, NumericColumn) else declared_categories(column)
