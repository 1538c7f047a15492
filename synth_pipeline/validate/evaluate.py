"""Evaluation of expectations on a table, without Great Expectations: what the walk uses, and the oracle of the bridge's tests.

Observed numbers describe the table that is checked, so they may be shown only where the table itself may: for synthetic tables.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import TypeAdapter

from synth_pipeline.errors import CheckFailed, PredicateError
from synth_pipeline.table.column import ModelledColumn, category_key
from synth_pipeline.table.predicate import parse_predicate
from synth_pipeline.validate import expectation as types
from synth_pipeline.validate.expectation import JSON, Expectation, Outcome
from synth_pipeline.validate.reading import category_keys, holds_kind, numbers, observed_shares

Observed = dict[str, float | int]
_Evaluator = Callable[[pd.DataFrame, Mapping[str, Any]], tuple[bool, Observed]]

_DECLARATIONS: TypeAdapter[dict[str, ModelledColumn]] = TypeAdapter(dict[str, ModelledColumn])
_NARROW: Mapping[str, type[np.floating[Any]]] = {
    "float16": np.float16,
    "float32": np.float32,
    "float[pyarrow]": np.float32,
    "halffloat[pyarrow]": np.float16,
}
"""Dtypes with fewer digits than float64: the number nearest to a decimal is further from it there."""


def check(frame: pd.DataFrame, expectations: Iterable[Expectation]) -> tuple[Outcome, ...]:
    """The outcome of each expectation on a synthetic table, in the same order.

    An expectation about a column that the table lacks fails; it observes `missing_columns`.
    """
    return tuple(_outcome(frame, expectation) for expectation in expectations)


def observe(gx_type: str, frame: pd.DataFrame, arguments: Mapping[str, JSON]) -> tuple[bool, Observed]:
    """Whether a table holds an expectation of a type, and the numbers that say so.

    Args:
        gx_type: one of the types of `validate.expectation`.
        frame: the table; it has the columns that the arguments name.
        arguments: the arguments of the type.
    """
    return _EVALUATORS[gx_type](frame, cast("Mapping[str, Any]", arguments))


def _outcome(frame: pd.DataFrame, expectation: Expectation) -> Outcome:
    named = expectation.arguments.get("declarations")
    needed = list(named) if isinstance(named, dict) else [expectation.column]
    missing = [name for name in needed if name is not None and name not in frame.columns]
    if missing:
        return Outcome(expectation, passed=False, observed={"missing_columns": len(missing)})
    passed, observed = observe(expectation.gx_type, frame, expectation.arguments)
    return Outcome(expectation, passed, observed)


def _values(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> pd.Series:
    return cast("pd.Series", frame[arguments["column"]])


def _columns(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> tuple[bool, Observed]:
    return list(frame.columns) == arguments["column_list"], {"columns": len(frame.columns)}


def _row_count(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> tuple[bool, Observed]:
    return len(frame) == arguments["value"], {"rows": len(frame)}


def _violations(broken: npt.NDArray[np.bool_]) -> tuple[bool, Observed]:
    count = int(broken.sum())
    return count == 0, {"violations": count}


def _holds_kind(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> tuple[bool, Observed]:
    return holds_kind(_values(frame, arguments), arguments["column_kind"]), {}


def _between(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> tuple[bool, Observed]:
    values = numbers(_values(frame, arguments))
    low, high = (_bound(arguments[key]) for key in ("min_value", "max_value"))
    is_no_number = np.isnan(values) & _values(frame, arguments).notna().to_numpy(dtype=bool)
    return _violations((values < low) | (values > high) | is_no_number)


def _on_grid(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> tuple[bool, Observed]:
    column = _values(frame, arguments)
    values = numbers(column)
    values = values[~np.isnan(values)]
    if "seconds" in arguments:
        return _violations(values % arguments["seconds"] != 0)
    # A few units in the last place: the number nearest to a decimal, in the column's own dtype, is what the grid means.
    narrow = _NARROW.get(str(column.dtype).lower(), np.float64)
    last_place = np.spacing(np.abs(values).astype(narrow)).astype(np.float64)
    return _violations(np.abs(values - np.round(values, arguments["decimals"])) > 4 * last_place)


def _in_set(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> tuple[bool, Observed]:
    values, allowed = _values(frame, arguments), arguments["value_set"]
    keys = category_keys(values, is_boolean=allowed == [False, True])
    return _violations(~pd.Series(keys).isin([*(category_key(item) for item in allowed), None]).to_numpy())


def _not_null(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> tuple[bool, Observed]:
    return _violations(_values(frame, arguments).isna().to_numpy(dtype=bool))


def _unique(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> tuple[bool, Observed]:
    return _violations(_values(frame, arguments).dropna().duplicated(keep=False).to_numpy(dtype=bool))


def _non_null_share(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> tuple[bool, Observed]:
    share = float(_values(frame, arguments).notna().to_numpy(dtype=bool).mean()) if len(frame) else 0.0
    return arguments["min_value"] <= share <= arguments["max_value"], {"non_null_share": share}


def _mean(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> tuple[bool, Observed]:
    values = numbers(_values(frame, arguments))
    values = values[~np.isnan(values)]
    if not len(values):
        return False, {"values": 0}
    mean = float(values.mean())
    return arguments["min_value"] <= mean <= arguments["max_value"], {"mean": mean}


def _rule(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> tuple[bool, Observed]:
    columns = _DECLARATIONS.validate_python(arguments["declarations"])
    try:
        return _violations(~parse_predicate(arguments["rule"], columns).is_not_false(frame))
    except PredicateError:  # a column holds another type than it declares, which its own check says
        return False, {"unreadable_rows": len(frame)}


def _shares(frame: pd.DataFrame, arguments: Mapping[str, Any]) -> tuple[bool, Observed]:
    expected = np.array([*arguments["shares"], 0.0])
    found = observed_shares(_values(frame, arguments), arguments)
    distance = float(np.abs(expected - found).sum() / 2)
    return distance <= arguments["tolerance"], {"distance": distance, "tolerance": arguments["tolerance"]}


def _bound(value: float | str) -> float:
    """A bound as a number; a point in time, which JSON holds as ISO text, as seconds since 1970."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp()
    return value


_EVALUATORS: dict[str, _Evaluator] = {
    types.COLUMNS: _columns,
    types.ROW_COUNT: _row_count,
    types.HOLDS_KIND: _holds_kind,
    types.BETWEEN: _between,
    types.ON_GRID: _on_grid,
    types.IN_SET: _in_set,
    types.NOT_NULL: _not_null,
    types.UNIQUE: _unique,
    types.NON_NULL_SHARE: _non_null_share,
    types.MEAN: _mean,
    types.RULE: _rule,
    types.SHARES: _shares,
}


def require_passed(outcomes: Sequence[Outcome]) -> None:
    """Stop where a blocking expectation failed.

    Raises:
        CheckFailed: naming every one that did.
    """
    failed = [outcome.expectation.name for outcome in outcomes if outcome.is_blocking_failure]
    if failed:
        raise CheckFailed(
            f"validation: {len(failed)} blocking expectation(s) failed: {', '.join(failed)}; no release was written"
        )
