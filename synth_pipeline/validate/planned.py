"""Which checks a specification implies, before anything is measured: names and severities are public and known in advance.

An orchestrator declares its checks from this; `validate.suite` fills in the limits once a profile is released.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from synth_pipeline.spec import Severity, Spec
from synth_pipeline.table.column import DatetimeColumn, FloatColumn, IdentifierColumn, IntegerColumn, ModelledColumn
from synth_pipeline.validate import expectation as types
from synth_pipeline.validate.expectation import Kind, check_name

_CHECKS: dict[str, tuple[str, Kind, str]] = {
    types.COLUMNS: ("columns", "schema", "The columns are those of the specification, in its order."),
    types.ROW_COUNT: ("row_count", "schema", "The table has the rows that were asked for."),
    types.HOLDS_KIND: ("type", "schema", "{0} holds values of its declared kind."),
    types.BETWEEN: ("bounds", "domain", "{0} lies between its declared bounds."),
    types.ON_GRID: ("precision", "domain", "{0} is no finer than its declared precision."),
    types.IN_SET: ("categories", "domain", "{0} is one of its declared or released categories."),
    types.UNIQUE: ("unique", "domain", "{0} differs from row to row."),
    types.NOT_NULL: ("not_null", "nulls", "{0} is never null."),
    types.RULE: ("rule", "constraints", "No row breaks the rule: {0}"),
    types.SHARES: ("shares", "fidelity", "The shares of {0} are the released ones within noise."),
    types.NON_NULL_SHARE: ("null_share", "fidelity", "The share of nulls of {0} is the released one within noise."),
    types.MEAN: ("mean", "fidelity", "The mean of {0} is what the released bins allow within noise."),
}


@dataclass(frozen=True)
class PlannedCheck:
    """A check that every synthetic table of a dataset will be put to.

    Attributes:
        name: valid as the name of a Dagster asset check; unique in the dataset.
        gx_type: type of the expectation (see `validate.expectation`).
        kind: what it is about.
        column: the column, or None for the table as a whole.
        severity: whether its failure stops the release.
        description: the check in plain words, without the limits that come with the profile.
        rule: the rule that it checks, or None.
    """

    name: str
    gx_type: str
    kind: Kind
    column: str | None
    severity: Severity
    description: str
    rule: str | None = None

    @property
    def is_blocking(self) -> bool:
        """Whether its failure stops the release."""
        return self.severity == "block"


def planned_checks(spec: Spec) -> tuple[PlannedCheck, ...]:
    """Every check of a dataset: of the table, of each column, of the rules, and of fidelity, in this order.

    Args:
        spec: the specification; `spec.validation` sets severities by kind (default: all block, but fidelity warns).
    """
    taken: set[str] = set()
    return tuple(_planned(spec, gx_type, column, rule, taken) for gx_type, column, rule in _items(spec))


def _planned(spec: Spec, gx_type: str, column: str | None, rule: str | None, taken: set[str]) -> PlannedCheck:
    check, kind, description = _CHECKS[gx_type]
    numbered = f"rule_{sum(name.startswith('rule_') for name in taken) + 1}" if rule else check
    return PlannedCheck(
        name=check_name(numbered, column or "", taken=taken),
        gx_type=gx_type,
        kind=kind,
        column=column,
        severity=spec.validation.severity.get(kind, "warn" if kind == "fidelity" else "block"),
        description=description.format(rule or column),
        rule=rule,
    )


def _items(spec: Spec) -> Iterator[tuple[str, str | None, str | None]]:
    """Type, column and rule of each check."""
    yield types.COLUMNS, None, None
    yield types.ROW_COUNT, None, None
    for name, column in spec.columns.items():
        of_column = (
            _identifier_types(spec, name, column) if isinstance(column, IdentifierColumn) else _column_types(column)
        )
        yield from ((gx_type, name, None) for gx_type in of_column)
    yield from ((types.RULE, None, rule) for rule in spec.rules)
    for name, column in spec.modelled.items():
        yield from ((gx_type, name, None) for gx_type in _fidelity_types(column))


def _identifier_types(spec: Spec, name: str, column: IdentifierColumn) -> Iterator[str]:
    yield types.NOT_NULL
    names_many_rows = spec.privacy.unit.column == name and spec.privacy.unit.max_rows > 1
    if column.faker == "uuid4" and not names_many_rows:
        yield types.UNIQUE


def _column_types(column: ModelledColumn) -> Iterator[str]:
    yield types.HOLDS_KIND
    if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
        yield types.BETWEEN
        yield types.ON_GRID
    else:
        yield types.IN_SET
    if not column.nullable:
        yield types.NOT_NULL


def _fidelity_types(column: ModelledColumn) -> Iterator[str]:
    yield types.SHARES
    if column.nullable:
        yield types.NON_NULL_SHARE
    if isinstance(column, (IntegerColumn, FloatColumn)):
        yield types.MEAN
