"""Which checks a dataset will have, known from its specification alone: an orchestrator lists them before anything has run.

Belongs here: names, severities and plain words. Does not: bounds that come with the released profile (suite).
"""

from dataclasses import dataclass

import numpy as np

from synth_pipeline.spec import Severity, Spec
from synth_pipeline.table.column import (
    BooleanColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    ModelledColumn,
    OrdinalColumn,
    declared_categories,
)
from synth_pipeline.table.grid import native_grid
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, NumericProfile, Profile
from synth_pipeline.validate.expectation import Expectation, Kind
from synth_pipeline.validate.suite import build_suite

_FIDELITY = {
    "shares": "The shares of {column} are the released ones within noise.",
    "null_share": "The share of nulls of {column} is the released one within noise.",
    "mean": "The mean of {column} lies where the released bins imply, within noise.",
}


@dataclass(frozen=True)
class PlannedCheck:
    """A check as far as the specification tells.

    Attributes:
        name: the name that the expectation will have.
        kind: what it is about.
        column: the column it is about, or None for the table as a whole.
        severity: whether its failure stops the release.
        description: the check in plain words, without figures that come with the profile.
    """

    name: str
    kind: Kind
    column: str | None
    severity: Severity
    description: str

    @property
    def is_blocking(self) -> bool:
        """Whether its failure stops the release."""
        return self.severity == "block"


def planned_checks(spec: Spec) -> tuple[PlannedCheck, ...]:
    """Every check that `build_suite` will return for a specification, in its order, whatever the released profile is."""
    blank = Profile(1.0, 1.0, tuple(_blank(name, column) for name, column in spec.modelled.items()), 0.0)
    return tuple(_planned(spec, expectation) for expectation in build_suite(spec, blank, rows=1))


def _planned(spec: Spec, expectation: Expectation) -> PlannedCheck:
    column, words = expectation.column, expectation.description
    if expectation.kind == "fidelity":
        words = _FIDELITY[expectation.name.split("__")[0]].format(column=column)
    elif (
        column is not None
        and getattr(spec.columns[column], "discover", False)
        and expectation.name.startswith("categories")
    ):
        words = f"{column} is one of the categories discovered under differential privacy."
    elif expectation.name == "row_count":
        words = "The table has the rows that were asked for."
    return PlannedCheck(expectation.name, expectation.kind, column, expectation.severity, words)


def _blank(name: str, column: ModelledColumn) -> ColumnProfile:
    """A column's profile that says nothing: one bin, or equal shares."""
    if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
        grid = native_grid(column)
        ones = np.ones(1 + int(column.nullable))
        edges = np.array([0, grid.cells], dtype=np.int64)
        return NumericProfile(
            name, grid, grid, edges, ones, ones, column.nullable, np.empty((0, 2), dtype=np.int64), np.empty(0)
        )
    categories = declared_categories(column)
    has_rest = not categories
    ones = np.ones(len(categories) + int(has_rest) + int(column.nullable))
    is_boolean, is_ordered = isinstance(column, BooleanColumn), isinstance(column, OrdinalColumn)
    return CategoryProfile(name, categories, is_ordered, column.nullable, has_rest, ones, ones, is_boolean)
