"""The three tables of a scorecard, read once into arrays: numbers as floats, categories as codes into one shared vocabulary.

Private: the arrays hold real rows. They live only while a scorecard is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.spec import Spec
from synth_pipeline.table.arrays import Floats, Ints, Kind, as_codes, as_numbers, check_comparable, column_kind


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
    check_comparable(frames, kinds, remedy="a scorecard needs at least one row of each table")
    numbers: dict[str, dict[str, Floats]] = {what: {} for what in frames}
    codes: dict[str, dict[str, Ints]] = {what: {} for what in frames}
    sizes: dict[str, int] = {}
    for name, kind in kinds.items():
        if kind in ("numeric", "datetime"):
            for what, frame in frames.items():
                numbers[what][name] = as_numbers(pd.Series(frame[name]), what)
        else:
            columns, vocabulary = as_codes([pd.Series(frame[name]) for frame in frames.values()])
            sizes[name] = len(vocabulary)
            for what, column in zip(frames, columns, strict=True):
                codes[what][name] = column
    tables = {what: ScoredTable(len(frame), numbers[what], codes[what]) for what, frame in frames.items()}
    return ScoredTables(kinds, sizes, **tables)
