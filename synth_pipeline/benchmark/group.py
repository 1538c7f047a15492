"""Groups of holdout rows by the values of sensitive columns, and which of them are large enough for a score. Private like the rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.benchmark.scored_table import Ints, ScoredTable, ScoredTables
from synth_pipeline.spec import Fairness

LEAST_ROWS = 50
"""Rows that a group needs for any score."""

LEAST_CLASS_ROWS = 10
"""Rows of a class that it needs for a rate among them; AUC needs as many of both."""


@dataclass(frozen=True, repr=False, eq=False)
class Groups:
    """Groups of the holdout rows.

    Attributes:
        columns: the sensitive columns.
        values: for each group the text of each column's value or bin; None is null.
        codes: the group of each row.
        rows: rows of each group.
        positive_rows: those of the favourable class.
    """

    columns: tuple[str, ...]
    values: tuple[tuple[str | None, ...], ...]
    codes: Ints
    rows: Ints
    positive_rows: Ints

    def undefined(self, metric: str) -> npt.NDArray[np.bool_]:
        """Groups that are too small for a metric."""
        few, few_others = (count < LEAST_CLASS_ROWS for count in (self.positive_rows, self.rows - self.positive_rows))
        small = self.rows < LEAST_ROWS
        if metric.startswith("tpr"):
            return small | few
        if metric.startswith("fpr"):
            return small | few_others
        return small | few | few_others if metric == "auc" else small

    def reason(self, group: int) -> str | None:
        """Why scores of a group are missing."""
        if self.rows[group] < LEAST_ROWS:
            return f"too small: fewer than {LEAST_ROWS} holdout rows"
        if self.undefined("tpr")[group]:
            return f"too small for rates: fewer than {LEAST_CLASS_ROWS} holdout rows of the favourable class"
        if self.undefined("fpr")[group]:
            return f"too small for rates: fewer than {LEAST_CLASS_ROWS} holdout rows of other classes"
        return None


def groups_of(
    holdout: ScoredTable,
    tables: ScoredTables,
    names: tuple[str, ...],
    fairness: Fairness,
    is_positive: npt.NDArray[np.bool_],
) -> Groups:
    """Every group of some columns that occurs, the largest first."""
    coded = [_coded(holdout, tables, name, fairness) for name in names]
    cells, codes, counts = np.unique(
        np.stack([codes for codes, _ in coded], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    named = [texts for _, texts in coded]
    order = np.argsort(-counts, kind="stable")
    codes = np.argsort(order)[codes.reshape(-1)].astype(np.int64)
    values = tuple(
        tuple(None if code < 0 else texts[int(code)] for code, texts in zip(cells[place], named, strict=True))
        for place in order.tolist()
    )
    return Groups(names, values, codes, *_sizes(codes, is_positive))


def _coded(holdout: ScoredTable, tables: ScoredTables, name: str, fairness: Fairness) -> tuple[Ints, Sequence[str]]:
    """Code of each row's value or bin (-1 is null), and the text of each code."""
    if name in tables.vocabularies:
        return holdout.categories[name], [tables.shown(name, code) for code in range(tables.vocabulary_sizes[name])]
    values = holdout.numbers[name]
    codes = np.digitize(values, np.array(fairness.bins[name]))
    return np.where(np.isnan(values), -1, codes).astype(np.int64), fairness.bin_names(name)


def _sizes(codes: Ints, is_positive: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    size = int(codes.max()) + 1
    return np.bincount(codes, minlength=size), np.bincount(codes[is_positive], minlength=size)


def everyone(is_positive: npt.NDArray[np.bool_]) -> Groups:
    """All rows as one group."""
    codes = np.zeros(len(is_positive), dtype=np.int64)
    return Groups((), ((),), codes, *_sizes(codes, is_positive))
