"""The suite of a dataset: every planned check with its limits, from the specification and the released profile.

Schema, domain, nulls and constraints come from the specification (discovered categories from the profile); they hold exactly, or the
table is wrong. Fidelity comes from the released profile; it holds within noise.
"""

from collections.abc import Callable
from typing import TypeAlias, cast

import numpy as np

from synth_pipeline.spec import Spec
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoryColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    category_key,
    declared_categories,
)
from synth_pipeline.table.grid import datetime_step, native_grid
from synth_pipeline.table.predicate import parse_predicate
from synth_pipeline.table.profile import CategoryProfile, NumericProfile, Profile
from synth_pipeline.validate import expectation as types
from synth_pipeline.validate.expectation import JSON, Expectation
from synth_pipeline.validate.fidelity import Released, mean_range, null_share_range, released, shares_arguments
from synth_pipeline.validate.planned import PlannedCheck, planned_checks

Limits: TypeAlias = tuple[str, dict[str, JSON]]
"""What a check expects, in plain words and as arguments."""

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
    """Every expectation of a synthetic table; the same names in the same order as `planned_checks(spec)`.

    Args:
        spec: the specification.
        profile: the released profile.
        rows: rows that the synthetic table must have.

    Privacy:
        Built from public and released facts alone, so the suite itself may be shown to anyone.
    """
    limits = _Limits(spec, profile, rows)
    return tuple(_expectation(check, limits) for check in planned_checks(spec))


def _expectation(check: PlannedCheck, limits: "_Limits") -> Expectation:
    said, arguments = limits.of(check)
    return Expectation(check.name, check.kind, check.column, said, check.severity, check.gx_type, arguments)


class _Limits:
    """The limits of each type of check."""

    def __init__(self, spec: Spec, profile: Profile, rows: int) -> None:
        self.spec = spec
        self.profile = profile
        self.rows = rows
        self.index = {column.name: index for index, column in enumerate(profile.columns)}
        self.by_column: dict[str, Callable[[str], Limits]] = {
            types.HOLDS_KIND: self._kind,
            types.BETWEEN: self._bounds,
            types.ON_GRID: self._grid,
            types.IN_SET: self._categories,
            types.NOT_NULL: lambda name: (f"{name} is never null.", {}),
            types.UNIQUE: lambda name: (f"{name} differs from row to row.", {}),
            types.SHARES: self._shares,
            types.NON_NULL_SHARE: self._null_share,
            types.MEAN: self._mean,
        }

    def of(self, check: PlannedCheck) -> Limits:
        """What a planned check expects."""
        if check.rule is not None:
            return self._rule(check.rule)
        if check.column is not None:
            said, arguments = self.by_column[check.gx_type](check.column)
            return said, {"column": check.column, **arguments}
        if check.gx_type == types.ROW_COUNT:
            return f"The table has {self.rows:,} rows.", {"value": self.rows}
        names: list[JSON] = list(self.spec.columns)
        return f"The columns are the {len(names)} of the specification, in its order.", {"column_list": names}

    def _rule(self, rule: str) -> Limits:
        columns = self.spec.modelled
        named = parse_predicate(rule, columns, where="constraints").columns
        declarations: dict[str, JSON] = {name: columns[name].model_dump(mode="json") for name in named}
        return f"No row breaks the rule: {rule}", {"rule": rule, "declarations": declarations}

    def _kind(self, name: str) -> Limits:
        kind = self.spec.modelled[name].kind
        return f"{name} holds {_PLAIN_KINDS[kind]}.", {"column_kind": kind}

    def _numeric(self, name: str) -> IntegerColumn | FloatColumn | DatetimeColumn:
        return cast("IntegerColumn | FloatColumn | DatetimeColumn", self.spec.modelled[name])  # as the plan saw

    def _bounds(self, name: str) -> Limits:
        column = self._numeric(name)
        grid = native_grid(column)
        low, high = grid.values(np.array([0, grid.cells - 1], dtype=np.int64)).tolist()
        if grid.is_datetime:
            said = f"{name} lies from {low.isoformat(' ')} to {high.isoformat(' ')} (declared)."
            return said, {"min_value": low.isoformat(), "max_value": high.isoformat()}
        unit = f" {column.unit}" if column.unit else ""
        digits = ",.12g" if isinstance(column, FloatColumn) and column.precision is None else f",.{grid.decimals}f"
        said = f"{name} lies between {low:{digits}} and {high:{digits}}{unit} (declared)."
        return said, {"min_value": low, "max_value": high}

    def _grid(self, name: str) -> Limits:
        column = self._numeric(name)
        grid = native_grid(column)
        if isinstance(column, DatetimeColumn):
            return f"{name} is given to the {datetime_step(column)}.", {"seconds": grid.seconds}
        said = f"{name} is whole." if grid.decimals == 0 else f"{name} has at most {grid.decimals} decimals."
        return said, {"decimals": grid.decimals}

    def _categories(self, name: str) -> Limits:
        column, found = cast("CategoryColumn", self.spec.modelled[name]), self.profile.columns[self.index[name]]
        values: list[JSON] = list(declared_categories(column))
        origin = "declared" if values else "discovered under differential privacy"
        if not values and isinstance(found, CategoryProfile):
            values = list(found.categories) or ["other"]
        shown = [category_key(value) for value in values[:_LISTED_CATEGORIES]]
        listed = ", ".join(shown + ["…"] * (len(values) > _LISTED_CATEGORIES))
        what = "true or false" if isinstance(column, BooleanColumn) else f"one of {len(values)}: {listed}"
        return f"{name} is {what} ({origin}).", {"value_set": values}

    def _released(self, name: str) -> Released:
        return released(self.profile, self.index[name], rows=self.rows)

    def _shares(self, name: str) -> Limits:
        facts = self._released(name)
        said = f"{name}: the shares are the released ones within noise (distance at most {facts.tolerance:.3f})."
        return said, shares_arguments(self.profile.columns[self.index[name]], facts)

    def _null_share(self, name: str) -> Limits:
        low, high = null_share_range(self._released(name))
        said = f"{name}: between {low:.1%} and {high:.1%} are null (released share within noise)."
        return said, {"min_value": 1 - high, "max_value": 1 - low}

    def _mean(self, name: str) -> Limits:
        column = cast("NumericProfile", self.profile.columns[self.index[name]])
        low, high = mean_range(column, self._released(name))
        said = f"{name}: the mean is between {low:,.6g} and {high:,.6g} (released bins within noise)."
        return said, {"min_value": low, "max_value": high}
