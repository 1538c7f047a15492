"""Conditions in SQL boolean form: parsed once, evaluated over any table, compiled to regions of the declared domain.

Comparison follows SQL: a comparison with NULL is unknown; WHERE keeps rows that are true, CHECK refuses rows that are false. Categories
are matched by their text (1, 1.0 and '1' are one category); ordinal columns compare by their declared order; dates are text literals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from synth_pipeline.errors import PredicateError
from synth_pipeline.table.column import BooleanColumn, ModelledColumn
from synth_pipeline.table.predicate_operand import Scope, shortened
from synth_pipeline.table.predicate_parse import parse_tree
from synth_pipeline.table.predicate_regions import compile_regions
from synth_pipeline.table.predicate_tree import FALSE, TRUE, UNKNOWN, Bools, Tree, Truths, evaluate, leaves
from synth_pipeline.table.predicate_values import FrameValues
from synth_pipeline.table.region import RegionTable

Semantics: TypeAlias = Literal["where", "check"]


@dataclass(frozen=True)
class Predicate:
    """A parsed condition.

    Attributes:
        sql: the condition as written.
        columns: the columns it names, in table order.
        tree: its parsed form.
        booleans: which of its columns are boolean.
    """

    sql: str
    columns: tuple[str, ...]
    tree: Tree = field(repr=False)
    booleans: frozenset[str] = field(default=frozenset(), repr=False)

    def is_true(self, frame: pd.DataFrame) -> Bools:
        """Rows of which the condition is true, as in WHERE: unknown is not enough."""
        return self._truths(frame) == TRUE

    def is_not_false(self, frame: pd.DataFrame) -> Bools:
        """Rows of which the condition is not false, as in CHECK: unknown passes."""
        return self._truths(frame) != FALSE

    def _truths(self, frame: pd.DataFrame) -> Truths:
        values = FrameValues(frame, self.booleans)
        return np.broadcast_to(evaluate(self.tree, lambda leaf: leaf.evaluate(values)), (len(frame),))


def parse_predicate(sql: str, columns: Mapping[str, ModelledColumn], *, where: str = "condition") -> Predicate:
    """A condition over modelled columns.

    Args:
        sql: SQL boolean expression; names that are not plain letters and digits are quoted as in SQL: "capital-gain".
        columns: the declared columns, without the identifiers.
        where: place of the condition in the user's input, for errors.

    Raises:
        PredicateError: if it does not parse, names no column or an unknown one, compares what cannot be compared, names a category
            that is not declared, or uses SQL beyond comparisons and arithmetic.

    Example:
        >>> from synth_pipeline.table.column import IntegerColumn
        >>> young = parse_predicate("age < 30", {"age": IntegerColumn(min=0, max=120)})
        >>> young.is_true(pd.DataFrame({"age": [29, 30]})).tolist()
        [True, False]
    """
    tree = parse_tree(Scope(columns, where, sql))
    named = {name for leaf in leaves(tree) for name in leaf.columns}
    if not named:
        raise PredicateError(f"{where}: names no column; compare at least one of {shortened(list(columns))}")
    booleans = frozenset(name for name in named if isinstance(columns[name], BooleanColumn))
    return Predicate(sql.strip(), tuple(name for name in columns if name in named), tree, booleans)


def region_table(
    predicates: Sequence[Predicate],
    columns: Mapping[str, ModelledColumn],
    *,
    semantics: Semantics | Sequence[Semantics],
    max_combinations: int = 200_000,
) -> RegionTable | None:
    """Several conditions, all to be met, as one table of regions of the native domain (see `table.region`).

    Args:
        predicates: the conditions.
        columns: declared columns by name; one whose categories were discovered must carry them.
        semantics: `where` (must be true) or `check` (must not be false), for all or for each condition.
        max_combinations: bound on the combinations that are evaluated.

    Returns:
        The table, or None where a condition compares columns with one another, a domain cannot be cut (non-linear arithmetic over
        more than a million cells, categories not yet known), or the combinations pass the bound.
    """
    kinds = [semantics] * len(predicates) if isinstance(semantics, str) else list(semantics)
    lowest = {"where": TRUE, "check": UNKNOWN}
    conditions = [(predicate.tree, lowest[kind]) for predicate, kind in zip(predicates, kinds, strict=True)]
    return compile_regions(conditions, columns, max_combinations=max_combinations)
