"""The rebalanced table of the benchmark: as many rows of every group and class, by the columns that the specification calls sensitive.

The cells are the sensitive columns times the classes of the target, nulls of a sensitive column being a group too. Which of them are drawn
is read from the synthetic table: a cell of which the model hardly draws a row is no better known for being drawn often.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from synth_pipeline.errors import ConstraintError
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.release.rebalance import category_condition, quoted_name
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import ModelledColumn, NumericColumn, declared_categories
from synth_pipeline.table.predicate import Predicate, parse_predicate

_LOG = logging.getLogger(__name__)

LEAST_CELL_ROWS = 20
"""Rows of the synthetic table that a cell needs."""

MOST_CELLS = 50
"""Cells of the rebalanced table; of more, those with most rows are kept."""


def rebalanced_table(
    model: ReleasedModel, synthetic: pd.DataFrame, spec: Spec, *, seed: int | None = None
) -> pd.DataFrame | None:
    """As many rows as the synthetic table has, in equal numbers from every cell of sensitive columns and target.

    Args:
        model: the model that drew the synthetic table.
        synthetic: rows of the model's own law.
        spec: names the sensitive columns and the target; the model may be older than its newest choice of them.
        seed: seed of the draw; None for a fresh one.

    Returns:
        None where the specification names no sensitive columns, fewer than two cells have rows enough, or the rules leave too few rows
        of some cell; the last is logged.

    Privacy:
        Post-processing of released values.
    """
    shares = balanced_shares(spec, model.columns, synthetic)
    if len(shares) < 2:
        return None
    try:
        return model.rebalance(len(synthetic), shares=shares, seed=seed)
    except ConstraintError as fault:  # of released values and public rules; the other scores do not hang on it
        _LOG.warning("benchmark: no rebalanced table: %s", fault)
        return None


def balanced_shares(
    spec: Spec, columns: Mapping[str, ModelledColumn], synthetic: pd.DataFrame
) -> list[tuple[str, float]]:
    """Equal shares, as conditions, of the cells of which the synthetic table has rows enough; empty without sensitive columns."""
    if spec.fairness is None or not spec.fairness.sensitive or spec.benchmark is None:
        return []
    names = [*spec.fairness.sensitive, spec.benchmark.target]
    groups = [
        [parse_predicate(sql, columns, where="fairness") for sql in _conditions(spec, columns, name)] for name in names
    ]
    codes = np.stack([_codes(synthetic, grouping) for grouping in groups], axis=1)
    cells, counts = np.unique(codes[(codes >= 0).all(axis=1)], axis=0, return_counts=True)
    common = [place for place in np.argsort(-counts, kind="stable")[:MOST_CELLS] if counts[place] >= LEAST_CELL_ROWS]
    listed = [
        " AND ".join(f"({groups[axis][code].sql})" for axis, code in enumerate(cells[place]))
        for place in sorted(common)
    ]
    return [(sql, 1 / len(listed)) for sql in listed]


def _codes(table: pd.DataFrame, grouping: Sequence[Predicate]) -> np.ndarray:
    """Which condition each row meets, or -1."""
    codes = np.full(len(table), -1, dtype=np.int64)
    for code, predicate in enumerate(grouping):
        codes[predicate.is_true(table)] = code
    return codes


def _conditions(spec: Spec, columns: Mapping[str, ModelledColumn], name: str) -> list[str]:
    """SQL of each group of a sensitive column, or of each class of the target."""
    column, quoted = columns[name], quoted_name(name)
    null = [f"{quoted} IS NULL"] if column.nullable and spec.benchmark and name != spec.benchmark.target else []
    if not isinstance(column, NumericColumn):
        return [*(category_condition(name, column, category) for category in declared_categories(column)), *null]
    if (
        spec.fairness is None or name not in spec.fairness.bins
    ):  # a number as the target: its values are too many to be classes
        return [f"{quoted} IS NOT NULL"]
    cuts = spec.fairness.bins[name]
    between = [f"{quoted} >= {low:.17g} AND {quoted} < {high:.17g}" for low, high in pairwise(cuts)]
    return [f"{quoted} < {cuts[0]:.17g}", *between, f"{quoted} >= {cuts[-1]:.17g}", *null]
