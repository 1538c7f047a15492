"""Expectations and their outcomes, as plain frozen values.

An expectation names one of Great Expectations' own expectation types, or one of the four below that it has no equal for; its arguments
are JSON and complete, so that it is evaluated the same by `validate.evaluate` and by Great Expectations.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from synth_pipeline.errors import SpecError
from synth_pipeline.spec import Severity

JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON] | None"
Kind: TypeAlias = Literal["schema", "domain", "nulls", "constraints", "fidelity"]

MAX_NAME_CHARACTERS = 100

# Great Expectations' own.
COLUMNS = "expect_table_columns_to_match_ordered_list"
ROW_COUNT = "expect_table_row_count_to_equal"
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
NOT_NULL = "expect_column_values_to_not_be_null"
UNIQUE = "expect_column_values_to_be_unique"
NON_NULL_SHARE = "expect_column_proportion_of_non_null_values_to_be_between"
MEAN = "expect_column_mean_to_be_between"
# Ours: pandas extension types, decimal grids, SQL rules and released distributions have no equal there.
HOLDS_KIND = "expect_column_to_hold_kind"
ON_GRID = "expect_column_values_to_lie_on_grid"
RULE = "expect_rows_to_satisfy_rule"
SHARES = "expect_column_shares_to_follow_release"


@dataclass(frozen=True)
class Expectation:
    """One thing that a synthetic table must hold.

    Attributes:
        name: unique among the expectations of a suite; a valid name of a Dagster asset check.
        kind: what the expectation is about; the specification sets severities by kind.
        column: the column it is about, or None for the table as a whole.
        description: the expectation in plain words.
        severity: whether its failure stops the release (`block`) or is only shown (`warn`).
        gx_type: Great Expectations' name of the expectation type.
        arguments: arguments of that type, JSON only.
    """

    name: str
    kind: Kind
    column: str | None
    description: str
    severity: Severity
    gx_type: str
    arguments: Mapping[str, JSON] = field(default_factory=dict[str, JSON])

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_]{1,100}", self.name):
            raise SpecError(
                f"expectation {self.name!r}: a name has 1 to {MAX_NAME_CHARACTERS} letters, digits and underscores; rename it"
            )

    @property
    def is_blocking(self) -> bool:
        """Whether its failure stops the release."""
        return self.severity == "block"


@dataclass(frozen=True)
class Outcome:
    """What an expectation found in a synthetic table.

    Attributes:
        expectation: the expectation.
        passed: whether it holds.
        observed: numbers found, such as `{"violations": 0}`. They describe the synthetic table only, so they are released facts.
    """

    expectation: Expectation
    passed: bool
    observed: Mapping[str, float | int] = field(default_factory=dict[str, float | int])

    @property
    def is_blocking_failure(self) -> bool:
        """Whether this outcome stops the release."""
        return not self.passed and self.expectation.is_blocking

    def to_dict(self) -> dict[str, JSON]:
        """Plain data for certificates, checks and reports."""
        return {
            "name": self.expectation.name,
            "kind": self.expectation.kind,
            "column": self.expectation.column,
            "description": self.expectation.description,
            "severity": self.expectation.severity,
            "passed": self.passed,
            "observed": dict(self.observed),
        }


def check_name(check: str, column: str, *, taken: set[str]) -> str:
    """A valid, unused name for a check of a column (or of the table, for an empty column); it is added to `taken`.

    Example:
        >>> check_name("bounds", "capital-gain", taken=set())
        'bounds__capital_gain'
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "_", column).strip("_") or ("column" if column else "")
    stem = f"{check}__{plain}"[: MAX_NAME_CHARACTERS - 6] if plain else check
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}_{number}", number + 1
    taken.add(name)
    return name
