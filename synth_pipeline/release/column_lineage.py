"""Column lineage of a release: what each released column was made from, by what right, and what its questions cost.

A column is drawn from a joint model of all modelled columns, so beside the snapshot column of its name it hangs on every other one:
*directly* on its own, *indirectly* on the rest. No value is handed through: what links them are noisy answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from synth_pipeline.constrain.rules import Rules
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.release.charge_record import ChargeRecord, event_of
from synth_pipeline.release.facts import ReleaseFacts
from synth_pipeline.table.column import CategoricalColumn, IdentifierColumn

Right = Literal["declared", "discovered", "invented"]
Kind = Literal["DIRECT", "INDIRECT"]
Way = Literal["IDENTITY", "AGGREGATION", "CONDITIONAL", "FILTER"]


@dataclass(frozen=True)
class Dependency:
    """What a released column owes to one column of the snapshot.

    Attributes:
        column: the snapshot's column.
        kind: whether it is the column of the same name, or another that the joint model ties to it.
        way: how, in the words of OpenLineage: counted (AGGREGATION), drawn given (CONDITIONAL), or confined by a rule (FILTER).
        words: the same in a sentence.
        is_measured_together: whether a noisy table of both was released.
    """

    column: str
    kind: Kind
    way: Way
    words: str
    is_measured_together: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain data; every dependency passes through noise, so it is masked."""
        return {
            "column": self.column,
            "type": self.kind,
            "subtype": self.way,
            "masking": True,
            "description": self.words,
            "measured_together": self.is_measured_together,
        }


@dataclass(frozen=True)
class ColumnLineage:
    """Where one released column comes from.

    Attributes:
        name: the column.
        kind: its kind in the specification.
        source: the snapshot's column that it stands for; None where it is invented.
        right: by what right its values are known: declared by the owner, discovered under DP, or invented from nothing.
        words: the same in a sentence.
        own_charges: numbers of the events that asked about it alone.
        joint_charges: numbers of those that asked about it with others.
        epsilon: ε of all these composed, as if nothing else had been asked; at the walk's δ.
        mu_squared: Gaussian cost of all these that have one.
        depends_on: every column of the snapshot that it hangs on.
        rules: the owner's rules that name it.
        determined_by: the column that it was declared to be a function of, or None.
    """

    name: str
    kind: str
    source: str | None
    right: Right
    words: str
    own_charges: tuple[int, ...]
    joint_charges: tuple[int, ...]
    epsilon: float
    mu_squared: float
    depends_on: tuple[Dependency, ...]
    rules: tuple[str, ...]
    determined_by: str | None

    @property
    def charges(self) -> tuple[int, ...]:
        """Numbers of every event that asked about it, in order."""
        return tuple(sorted((*self.own_charges, *self.joint_charges)))

    @property
    def measured_with(self) -> tuple[str, ...]:
        """The columns that a noisy table was released of together with it."""
        return tuple(link.column for link in self.depends_on if link.is_measured_together)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name,
            "kind": self.kind,
            "source": self.source,
            "right": self.right,
            "description": self.words,
            "own_charges": list(self.own_charges),
            "joint_charges": list(self.joint_charges),
            "epsilon": self.epsilon,
            "mu_squared": self.mu_squared,
            "depends_on": [link.to_json() for link in self.depends_on],
            "measured_with": list(self.measured_with),
            "rules": list(self.rules),
            "determined_by": self.determined_by,
        }


def column_lineages(facts: ReleaseFacts, charges: Sequence[ChargeRecord]) -> tuple[ColumnLineage, ...]:
    """The lineage of every released column, in table order.

    Args:
        facts: what the release states.
        charges: its events.
    """
    pairs = _pairs(facts, charges)
    named = {rule.sql: rule.columns for rule in Rules.from_spec(facts.spec).predicates}
    return tuple(_lineage(facts, name, charges, pairs, named) for name in facts.spec.columns)


def _pairs(facts: ReleaseFacts, charges: Sequence[ChargeRecord]) -> frozenset[tuple[str, str]]:
    """Pairs of columns of which a noisy table was released: those the generator was fitted to, and answers about two by name."""
    kept = [tuple(pair) for pair in facts.generator.get("measuredTogether", ())]
    asked = [charge.columns for charge in charges if charge.answers == 1 and charge.reach != "every modelled column"]
    sets = [group for group in (*kept, *asked) if len(group) > 1]
    return frozenset((first, second) for group in sets for first in group for second in group if first != second)


def _lineage(
    facts: ReleaseFacts,
    name: str,
    charges: Sequence[ChargeRecord],
    pairs: frozenset[tuple[str, str]],
    named: Mapping[str, tuple[str, ...]],
) -> ColumnLineage:
    column = facts.spec.columns[name]
    if isinstance(column, IdentifierColumn):
        return _invented(facts, name)
    own = [charge for charge in charges if charge.columns == (name,)]
    joint = [charge for charge in charges if name in charge.columns and len(charge.columns) > 1]
    asked = [event_of(facts.events[charge.number - 1]) for charge in (*own, *joint)]
    rules = {sql: columns for sql, columns in named.items() if name in columns}
    is_discovered = isinstance(column, CategoricalColumn) and column.discover
    right: Right = "discovered" if is_discovered else "declared"
    values = "its categories were discovered under DP" if is_discovered else "its values were declared by the owner"
    measured = "its distribution was measured under DP" if asked else "its distribution is that of the release before"
    return ColumnLineage(
        name=name,
        kind=column.kind,
        source=name,
        right=right,
        words=f"{values}; {measured}; it is drawn from the joint model of all modelled columns",
        own_charges=tuple(charge.number for charge in own),
        joint_charges=tuple(charge.number for charge in joint),
        epsilon=composed_epsilon(asked, facts.delta) if asked else 0.0,
        mu_squared=sum(charge.mu_squared or 0.0 for charge in (*own, *joint)),
        depends_on=_dependencies(facts, name, pairs, {other for columns in rules.values() for other in columns}),
        rules=tuple(rules),
        determined_by=facts.spec.determined.get(name),
    )


def _invented(facts: ReleaseFacts, name: str) -> ColumnLineage:
    words = "invented, from nothing: the real values were never read"
    if name == facts.spec.privacy.unit.column:
        words = "invented, from nothing: the real values only told whose each row is, to bound what one person adds"
    return ColumnLineage(
        name=name,
        kind="identifier",
        source=None,
        right="invented",
        words=words,
        own_charges=(),
        joint_charges=(),
        epsilon=0.0,
        mu_squared=0.0,
        depends_on=(),
        rules=(),
        determined_by=None,
    )


def _dependencies(
    facts: ReleaseFacts, name: str, pairs: frozenset[tuple[str, str]], ruled: set[str]
) -> tuple[Dependency, ...]:
    """Its own column first, then the others in table order."""
    own = Dependency(name, "DIRECT", "AGGREGATION", "counted under noise, then drawn from a model of the counts")
    parent = facts.spec.determined.get(name)
    found = [own]
    for other in facts.spec.modelled:
        if other == name:
            continue
        together = (name, other) in pairs
        if other == parent:
            way, words = "CONDITIONAL", "declared to determine it"
        elif other in ruled:
            way, words = "FILTER", "named with it by a rule of the owner"
        elif together:
            way, words = "CONDITIONAL", "a noisy table of both was released"
        else:
            way, words = "CONDITIONAL", "through the joint model alone"
        found.append(Dependency(other, "INDIRECT", way, words, together))
    return tuple(found)
