"""A table invented from a specification alone, to audit a mechanism where no released table is at hand.

The guarantee holds for every table, so a table that nobody has to protect may stand for the private one.
"""

import numpy as np
import pandas as pd

from synth_pipeline.encode.identifier import invent_identifiers
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoricalColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    ModelledColumn,
    OrdinalColumn,
    as_datetime,
    declared_categories,
)

_NULL_SHARE = 0.1
_INVENTED_CATEGORIES = 12
_STEPS = {"day": "D", "hour": "h", "minute": "min", "second": "s"}


def invent_table(spec: Spec, rows: int, *, seed: int) -> pd.DataFrame:
    """Rows that a specification allows, with rare values, nulls and, where people have several rows, people of every size.

    Values lean towards the start of each domain (the square of a uniform share), so that some are common and some occur once. Columns
    are drawn independently; rules between columns and `determined_by` are not kept.

    Args:
        spec: the specification.
        rows: how many.
        seed: of the draw; there is nothing private in it.

    Example:
        >>> spec = Spec.from_mapping({"dataset": "d", "columns": {"x": {"kind": "boolean"}}, "privacy": {"epsilon": 1}})
        >>> invent_table(spec, 3, seed=0).shape
        (3, 1)
    """
    rng = np.random.default_rng(seed)
    identifiers = invent_identifiers(spec.identifiers, rows, seed=seed) if spec.identifiers else pd.DataFrame()
    columns: dict[str, pd.Series] = {}
    for name in spec.columns:
        if name == spec.privacy.unit.column:
            columns[name] = pd.Series(_persons(rows, spec.privacy.unit.max_rows, rng))
        elif name in spec.modelled:
            columns[name] = _with_nulls(_values(spec.modelled[name], rng.random(rows) ** 2), spec.modelled[name], rng)
        else:
            columns[name] = pd.Series(identifiers[name].to_list())
    return pd.DataFrame(columns)


def _values(column: ModelledColumn, share: np.ndarray) -> pd.Series:
    match column:
        case IntegerColumn():
            return pd.Series(column.min + np.floor(share * (column.max - column.min + 1)).astype(np.int64))
        case FloatColumn():
            digits = 6 if column.precision is None else column.precision
            return pd.Series(
                np.clip(np.round(column.min + share * (column.max - column.min), digits), column.min, column.max)
            )
        case DatetimeColumn():
            start, stop = pd.Timestamp(as_datetime(column.min)), pd.Timestamp(as_datetime(column.max))
            step = _STEPS[column.precision or "day"]
            return (
                pd.Series(start + pd.to_timedelta(share * (stop - start).total_seconds(), unit="s"))
                .dt.floor(step)
                .clip(start, stop)
            )
        case CategoricalColumn() | OrdinalColumn() | BooleanColumn():
            listed = declared_categories(column) or tuple(f"category {at}" for at in range(_INVENTED_CATEGORIES))
            return pd.Series([listed[at] for at in np.floor(share * len(listed)).astype(np.int64)])


def _with_nulls(values: pd.Series, column: ModelledColumn, rng: np.random.Generator) -> pd.Series:
    if not column.nullable:
        return values
    kept = pd.Series(rng.random(len(values)) >= _NULL_SHARE)
    nullable = {"int64": "Int64", "bool": "boolean"}.get(str(values.dtype))
    return (values.astype(nullable) if nullable else values).where(kept)


def _persons(rows: int, max_rows: int, rng: np.random.Generator) -> list[str]:
    """An id for each row: people of 1 to max_rows rows, all sizes equally likely."""
    sizes = rng.integers(1, max_rows + 1, size=rows)
    return [f"person {at}" for at in np.repeat(np.arange(rows), sizes)[:rows]]
