"""The suite of a dataset: every expectation that its specification and released profile imply.

Schema, domain, nulls and constraints come from the specification (discovered categories from the profile); they hold exactly, or the
table is wrong. Fidelity comes from the released profile; it holds within noise.
"""

from collections.abc import Iterator

import numpy as np

from synth_pipeline.spec import Severity, Spec
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoryColumn,
    DatetimeColumn,
    FloatColumn,
    IdentifierColumn,
    IntegerColumn,
    ModelledColumn,
    NumericColumn,
    category_key,
    declared_categories,
)
from synth_pipeline.table.grid import datetime_step, native_grid
from synth_pipeline.table.predicate import parse_predicate
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, NumericProfile, Profile
from synth_pipeline.validate import expectation as types
from synth_pipeline.validate.expectation import JSON, Expectation, Kind, check_name
from synth_pipeline.validate.fidelity import (
    Released,
    mean_range,
    null_share_range,
    released,
    shares_arguments,
)

_CHECKS: dict[str, tuple[str, Kind]] = {
    types.COLUMNS: ("columns", "schema"),
    types.ROW_COUNT: ("row_count", "schema"),
    types.HOLDS_KIND: ("type", "schema"),
    types.BETWEEN: ("bounds", "domain"),
    types.ON_GRID: ("precision", "domain"),
    types.IN_SET: ("categories", "domain"),
    types.UNIQUE: ("unique", "domain"),
    types.NOT_NULL: ("not_null", "nulls"),
    types.RULE: ("rule", "constraints"),
    types.SHARES: ("shares", "fidelity"),
    types.NON_NULL_SHARE: ("null_share", "fidelity"),
    types.MEAN: ("mean", "fidelity"),
}
_PLAIN_KINDS = {
    "integer": "whole numbers",
    "float": "numbers",
    "datetime": "points in time",
    "categorical": "categories: text, numbers or categoricals",
    "ordinal": "ordered categories: text, numbers or categoricals",
    "boolean": "true or false",
}
_LISTED_CATEGORIES = 12


def build_suite(spec: Spec, profile: Profile, *, rows: int) -> tuple[Expectation, ...]:
    """Every expectation of a synthetic table: of the table, of each column, of the rules, and of fidelity, in this order.

    Args:
        spec: the specification; `spec.validation` sets severities by kind (default: all block, but fidelity warns).
        profile: the released profile.
        rows: rows that the synthetic table must have.

    Privacy:
        Built from public and released facts alone, so the suite itself may be shown to anyone.
    """
    return tuple(_SuiteBuilder(spec, profile, rows).expectations())


class _SuiteBuilder:
    """Builds the expectations of one suite, giving each an unused name and the severity of its kind."""

    def __init__(self, spec: Spec, profile: Profile, rows: int) -> None:
        self.spec = spec
        self.profile = profile
        self.rows = rows
        self.taken: set[str] = set()

    def expectations(self) -> Iterator[Expectation]:
        """Every expectation, in order."""
        names: list[JSON] = list(self.spec.columns)
        said = f"The columns are the {len(names)} of the specification, in its order."
        yield self._make(types.COLUMNS, said, column_list=names)
        yield self._make(types.ROW_COUNT, f"The table has {self.rows:,} rows.", value=self.rows)
        for name, column in self.spec.columns.items():
            if isinstance(column, IdentifierColumn):
                yield from self._identifier(name, column)
            else:
                yield from self._modelled(name, column)
        for rule in self.spec.rules:
            yield self._rule(rule)
        for index, column in enumerate(self.profile.columns):
            yield from self._fidelity(column, released(self.profile, index, rows=self.rows))

    def _identifier(self, name: str, column: IdentifierColumn) -> Iterator[Expectation]:
        said = f"{name} is never null: every row has an invented value."
        yield self._make(types.NOT_NULL, said, column=name)
        unit = self.spec.privacy.unit
        names_many_rows = unit.column == name and unit.max_rows > 1
        if column.faker == "uuid4" and not names_many_rows:
            yield self._make(types.UNIQUE, f"{name} differs from row to row.", column=name)

    def _modelled(self, name: str, column: ModelledColumn) -> Iterator[Expectation]:
        said = f"{name} holds {_PLAIN_KINDS[column.kind]}."
        yield self._make(types.HOLDS_KIND, said, column=name, column_kind=column.kind)
        if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
            yield from self._numeric(name, column)
        else:
            yield self._categories(name, column)
        if not column.nullable:
            yield self._make(types.NOT_NULL, f"{name} is never null (declared).", column=name)

    def _numeric(self, name: str, column: NumericColumn) -> Iterator[Expectation]:
        grid = native_grid(column)
        low, high = grid.values(np.array([0, grid.cells - 1], dtype=np.int64)).tolist()
        if isinstance(column, DatetimeColumn):
            said = f"{name} lies from {low.isoformat(' ')} to {high.isoformat(' ')} (declared)."
            low, high = low.isoformat(), high.isoformat()
            grain, step = f"{name} is given to the {datetime_step(column)}.", {"seconds": grid.seconds}
        else:
            unit = f" {column.unit}" if column.unit else ""
            said = f"{name} lies between {low:,} and {high:,}{unit} (declared)."
            grain = f"{name} is whole." if grid.decimals == 0 else f"{name} has at most {grid.decimals} decimals."
            step = {"decimals": grid.decimals}
        yield self._make(types.BETWEEN, said, column=name, min_value=low, max_value=high)
        yield self._make(types.ON_GRID, grain, column=name, **step)

    def _categories(self, name: str, column: CategoryColumn) -> Expectation:
        categories, origin = declared_categories(column), "declared"
        if not categories:
            found = self.profile.column(name)
            origin = "discovered under differential privacy"
            categories = found.categories if isinstance(found, CategoryProfile) else ()
        values: list[JSON] = list(categories) or ["other"]
        shown = [category_key(value) for value in values[:_LISTED_CATEGORIES]]
        listed = ", ".join(shown + ["…"] * (len(values) > _LISTED_CATEGORIES))
        what = "true or false" if isinstance(column, BooleanColumn) else f"one of {len(values)}: {listed}"
        return self._make(types.IN_SET, f"{name} is {what} ({origin}).", column=name, value_set=values)

    def _rule(self, rule: str) -> Expectation:
        columns = self.spec.modelled
        named = parse_predicate(rule, columns, where="constraints").columns
        declarations: dict[str, JSON] = {name: columns[name].model_dump(mode="json") for name in named}
        return self._make(types.RULE, f"No row breaks the rule: {rule}", rule=rule, declarations=declarations)

    def _fidelity(self, column: ColumnProfile, facts: Released) -> Iterator[Expectation]:
        name = column.name
        said = f"{name}: the shares are the released ones within noise (distance at most {facts.tolerance:.3f})."
        yield self._make(types.SHARES, said, **shares_arguments(column, facts))
        if facts.has_null:
            low, high = null_share_range(facts)
            said = f"{name}: between {low:.1%} and {high:.1%} are null (released share within noise)."
            yield self._make(types.NON_NULL_SHARE, said, column=name, min_value=1 - high, max_value=1 - low)
        if isinstance(column, NumericProfile) and not column.grid.is_datetime:
            low, high = mean_range(column, facts)
            said = f"{name}: the mean is between {low:,.6g} and {high:,.6g} (released bins within noise)."
            yield self._make(types.MEAN, said, column=name, min_value=low, max_value=high)

    def _make(self, gx_type: str, description: str, **arguments: JSON) -> Expectation:
        check, kind = _CHECKS[gx_type]
        column = arguments.get("column")
        name = check_name(check, column if isinstance(column, str) else "", taken=self.taken)
        return Expectation(
            name=name,
            kind=kind,
            column=column if isinstance(column, str) else None,
            description=description,
            severity=self._severity(kind),
            gx_type=gx_type,
            arguments=arguments,
        )

    def _severity(self, kind: Kind) -> Severity:
        return self.spec.validation.severity.get(kind, "warn" if kind == "fidelity" else "block")
