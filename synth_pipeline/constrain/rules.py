"""The rules of a dataset, as CHECK constraints: a row breaks a rule when the rule is false, not when it is unknown (NULL).

A rule that compares columns with constants has a table of regions, and samplers obey it by construction. The others (`cnt = casual +
registered`, `start <= finish`) are *residual*: rows are drawn until enough obey (see `constrain.enforce`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synth_pipeline.errors import ConstraintError
from synth_pipeline.spec import Implication, Spec
from synth_pipeline.table.column import ModelledColumn
from synth_pipeline.table.predicate import Predicate, parse_predicate, region_table
from synth_pipeline.table.predicate_tree import Bools
from synth_pipeline.table.region import RegionTable

MAX_COMBINATIONS = 200_000


@dataclass(frozen=True)
class CompiledRules:
    """Rules, divided by how they are obeyed.

    Attributes:
        tables: tables of regions that together mean the structural rules; no two of them name the same column.
        structural: the rules in the tables.
        residual: the rules that no table could be made of.
    """

    tables: tuple[RegionTable, ...]
    structural: tuple[Predicate, ...]
    residual: tuple[Predicate, ...]


@dataclass(frozen=True)
class Rules:
    """The rules of a dataset, in the order of its specification.

    Attributes:
        predicates: the parsed rules.
    """

    predicates: tuple[Predicate, ...] = ()

    @classmethod
    def from_spec(cls, spec: Spec) -> "Rules":
        """The parsed constraints of a specification.

        Raises:
            PredicateError: if one does not parse, or names no modelled column; says which.
        """
        for place, rule in enumerate(spec.constraints):
            if isinstance(rule, Implication):
                parse_predicate(rule.condition, spec.modelled, where=f"constraints[{place}].if")
                parse_predicate(rule.consequence, spec.modelled, where=f"constraints[{place}].then")
        return cls(
            tuple(
                parse_predicate(sql, spec.modelled, where=f"constraints[{place}]")
                for place, sql in enumerate(spec.rules)
            )
        )

    def obeyed(self, frame: pd.DataFrame) -> Bools:
        """Rows that break no rule."""
        obeyed = np.ones(len(frame), dtype=bool)
        for predicate in self.predicates:
            obeyed &= predicate.is_not_false(frame)
        return obeyed

    def violations(self, frame: pd.DataFrame) -> dict[str, int]:
        """Number of rows that break each rule, by its SQL; private where the rows are."""
        return {predicate.sql: int((~predicate.is_not_false(frame)).sum()) for predicate in self.predicates}

    def compile(
        self, columns: Mapping[str, ModelledColumn], *, max_combinations: int = MAX_COMBINATIONS
    ) -> CompiledRules:
        """The rules as tables of regions, one for each group of rules that share columns, and the rest.

        Args:
            columns: declared columns by name, with the categories filled in where they were discovered.
            max_combinations: bound on the combinations of each table; rules that would pass it are residual.

        Raises:
            ConstraintError: if rules contradict one another, so that no row can obey them; says which.
        """
        tables: list[RegionTable] = []
        structural: list[Predicate] = []
        residual: list[Predicate] = []
        for group in _groups(self.predicates):
            kept, table = _joined(group, columns, max_combinations)
            structural += kept
            residual += [rule for rule in group if rule not in kept]
            tables += [] if table is None else [table]
        return CompiledRules(tuple(tables), tuple(structural), tuple(residual))

    def region_table(
        self, columns: Mapping[str, ModelledColumn], *, max_combinations: int = MAX_COMBINATIONS
    ) -> RegionTable | None:
        """As many rules as one table of regions holds, or None where there is no such rule; all others are in `residual`.

        Raises:
            ConstraintError: if rules contradict one another.
        """
        return _joined(self.predicates, columns, max_combinations)[1]

    def residual(self, columns: Mapping[str, ModelledColumn], *, max_combinations: int = MAX_COMBINATIONS) -> "Rules":
        """The rules that `region_table` leaves out."""
        kept, _ = _joined(self.predicates, columns, max_combinations)
        return Rules(tuple(rule for rule in self.predicates if rule not in kept))


def _joined(
    rules: Sequence[Predicate], columns: Mapping[str, ModelledColumn], max_combinations: int
) -> tuple[list[Predicate], RegionTable | None]:
    """The rules that fit one table, and that table."""
    together = region_table(rules, columns, semantics="check", max_combinations=max_combinations) if rules else None
    if together is not None and not together.is_empty:
        return list(rules), together
    kept: list[Predicate] = []
    table: RegionTable | None = None
    for rule in rules:
        wider = region_table([*kept, rule], columns, semantics="check", max_combinations=max_combinations)
        if wider is None:
            continue
        if wider.is_empty:
            raise ConstraintError(_contradiction(kept, rule, columns, max_combinations))
        kept, table = [*kept, rule], wider
    return kept, table


def _contradiction(
    kept: Sequence[Predicate], rule: Predicate, columns: Mapping[str, ModelledColumn], max_combinations: int
) -> str:
    """The fault line for a rule that no row can obey together with the rules before it, with as few of those as can be found."""
    needed = list(kept)
    for other in kept:
        fewer = [item for item in needed if item is not other]
        table = region_table([*fewer, rule], columns, semantics="check", max_combinations=max_combinations)
        if table is not None and table.is_empty:
            needed = fewer
    if not needed:
        return f"constraints: no row of the declared domain obeys {rule.sql!r}; correct the rule, or widen the columns it names"
    others = " and ".join(repr(item.sql) for item in needed)
    return f"constraints: {rule.sql!r} contradicts {others}: no row of the declared domain obeys them together; drop or correct one"


def _groups(rules: Sequence[Predicate]) -> list[list[Predicate]]:
    """The rules, grouped so that rules of different groups share no column."""
    groups: list[tuple[set[str], list[Predicate]]] = []
    for rule in rules:
        names, members = set(rule.columns), [rule]
        apart: list[tuple[set[str], list[Predicate]]] = []
        for group in groups:
            if group[0] & names:
                names |= group[0]
                members = [*group[1], *members]
            else:
                apart.append(group)
        groups = [*apart, (names, members)]
    return [members for _, members in groups]
