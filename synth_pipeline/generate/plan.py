"""The plan: everything that a walk will charge, line by line, before a row is read."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from synth_pipeline.generate.engine_registry import chosen_kind, engine_for
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.ledger.contract import Charge, ChargeLine
from synth_pipeline.profile.person import profiled_columns
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
        wanted: rows, or people where they may have several, from which on ε carries these columns without a warning; from public facts
            alone.
        counted: what is counted and noised: "rows", or "people" where they may have several rows.
    """

    dataset: str
    generator: str
    budget: Budget
    events: tuple[Event, ...]
    lines: tuple[ChargeLine, ...]
    wanted: int = 1
    counted: Literal["rows", "people"] = "rows"

    @property
    def epsilon(self) -> float:
        """Composed ε of everything reserved, at the walk's δ."""
        return composed_epsilon(self.events, self.budget.delta)

    def charge(self) -> Charge:
        """The charge that the ledger is asked to admit."""
        return Charge(self.events, self.budget.epsilon, self.budget.delta, self.lines)

    def to_json(self) -> dict[str, Any]:
        """`{"epsilon", "delta", "rows_wanted" or "people_wanted", "charges": [{"stage", "purpose", "mechanism", "epsilon"}]}`.

        The top-level ε is the composed total.
        """
        return {
            "dataset": self.dataset,
            "generator": self.generator,
            "epsilon": self.epsilon,
            "delta": self.budget.delta,
            f"{self.counted}_wanted": self.wanted,
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
    wanted = rows_wanted(profiled_columns(spec), cost=budget.cost)
    counted = "rows" if spec.privacy.unit.max_rows == 1 else "people"
    return Plan(spec.dataset, kind, budget, engine.events, engine.lines, wanted, counted)
