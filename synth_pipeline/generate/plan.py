"""The plan: everything that a walk will charge, line by line, before a row is read."""

from dataclasses import asdict, dataclass
from typing import Any

from synth_pipeline.generate.engine_registry import chosen_kind, engine_for
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.ledger.contract import Charge, ChargeLine
from synth_pipeline.profile.signal import rows_wanted
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import CategoricalColumn


@dataclass(frozen=True)
class Plan:
    """What a walk will charge.

    Attributes:
        dataset: name of the dataset.
        generator: kind of engine.
        budget: ε, δ and what they amount to.
        events: what is reserved.
        lines: each charge with its part of the walk's ε, in proportion to its cost; they sum to ε. (Alone each would cost more than
            its part: the whole composes to less than a sum of ε taken one by one.)
        rows_wanted: rows from which on ε carries these columns without a warning; from public facts alone.
    """

    dataset: str
    generator: str
    budget: Budget
    events: tuple[Event, ...]
    lines: tuple[ChargeLine, ...]
    rows_wanted: int = 1

    @property
    def epsilon(self) -> float:
        """Composed ε of everything reserved, at the walk's δ."""
        return composed_epsilon(self.events, self.budget.delta)

    def charge(self) -> Charge:
        """The charge that the ledger is asked to admit."""
        return Charge(self.events, self.budget.epsilon, self.budget.delta, self.lines)

    def to_json(self) -> dict[str, Any]:
        """`{"epsilon", "delta", "charges": [{"stage", "purpose", "mechanism", "epsilon"}]}`; the top-level ε is the composed total."""
        return {
            "dataset": self.dataset,
            "generator": self.generator,
            "epsilon": self.epsilon,
            "delta": self.budget.delta,
            "rows_wanted": self.rows_wanted,
            "charges": [asdict(line) for line in self.lines],
        }


def budget_of(spec: Spec) -> Budget:
    """The budget of one walk of a dataset."""
    discovered = sum(isinstance(column, CategoricalColumn) and column.discover for column in spec.modelled.values())
    return Budget.for_walk(epsilon=spec.privacy.epsilon, delta=spec.privacy.delta, discovered_columns=discovered)


def make_plan(spec: Spec) -> Plan:
    """The plan of one walk of a dataset, from its specification alone.

    Raises:
        PrivacyError: if ε is too small for the charges that it must carry.
    """
    kind = chosen_kind(spec)
    budget = budget_of(spec)
    engine = engine_for(kind).plan(spec, budget)
    wanted = rows_wanted(spec.modelled, cost=budget.cost)
    return Plan(spec.dataset, kind, budget, engine.events, engine.lines, wanted)
