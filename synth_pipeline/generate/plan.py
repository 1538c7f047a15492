"""The plan: everything that a walk will charge, line by line, before a row is read.

Where drift is tested, or a score published, that is paid from the walk's own pool: what is left of the μ² of (ε, δ) is the budget of
profile and generator, whether or not there was a release to compare with. So the plan hangs on the specification alone.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.engine_registry import chosen_kind, discovery_events, engine_for
from synth_pipeline.privacy.accounting import composed_epsilon, gaussian_epsilon, gaussian_mu
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.events import Event, GaussianPoolEvent
from synth_pipeline.privacy.ledger.contract import Charge, ChargeLine
from synth_pipeline.profile.person import profiled_columns
from synth_pipeline.profile.signal import rows_wanted
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import CategoricalColumn

SCORE_STAGE = "published_score"
"""Stage of the walk that measures a score under DP."""

_TRIALS = 40


@dataclass(frozen=True)
class SidePlan:
    """What is charged beside profile and generator: a drift report before them, or a published score after them.

    Attributes:
        budget: its ε, at the walk's δ, and what they amount to.
        events: what is reserved.
        lines: the same for readers.
    """

    budget: Budget
    events: tuple[Event, ...]
    lines: tuple[ChargeLine, ...]

    @property
    def epsilon(self) -> float:
        """Composed ε of this part alone."""
        return composed_epsilon(self.events, self.budget.delta)

    def charge(self) -> Charge:
        """The charge that the ledger is asked to admit."""
        return Charge(self.events, self.budget.epsilon, self.budget.delta, self.lines)


@dataclass(frozen=True)
class Plan:
    """What a walk will charge.

    Attributes:
        dataset: name of the dataset.
        generator: kind of engine.
        budget: ε, δ of profile and generator, and what they amount to.
        events: what is reserved for them.
        lines: each charge with its part of the walk's ε, in proportion to its cost; they sum to ε. (Alone each would cost more than
            its part: the whole composes to less than a sum of ε taken one by one.)
        wanted: rows, or people where they may have several, from which on ε carries these columns without a warning; from public facts
            alone.
        counted: what is counted and noised: "rows", or "people" where they may have several rows.
        drift: what the drift report before them charges, where one is asked for.
        score: what the published score after them charges, where one is asked for.
    """

    dataset: str
    generator: str
    budget: Budget
    events: tuple[Event, ...]
    lines: tuple[ChargeLine, ...]
    wanted: int = 1
    counted: Literal["rows", "people"] = "rows"
    drift: SidePlan | None = None
    score: SidePlan | None = None

    @property
    def sides(self) -> tuple[SidePlan, ...]:
        """What is charged beside profile and generator."""
        return tuple(side for side in (self.drift, self.score) if side is not None)

    @property
    def epsilon(self) -> float:
        """Composed ε of the whole walk, drift report and published score included, at the walk's δ."""
        beside = [event for side in self.sides for event in side.events]
        return composed_epsilon((*beside, *self.events), self.budget.delta)

    @property
    def training_epsilon(self) -> float:
        """Composed ε of profile and generator alone."""
        return composed_epsilon(self.events, self.budget.delta)

    @property
    def all_lines(self) -> tuple[ChargeLine, ...]:
        """Every line of the walk, in the order in which it is charged."""
        before, after = ((side.lines if side is not None else ()) for side in (self.drift, self.score))
        return (*before, *self.lines, *after)

    def charge(self) -> Charge:
        """The charge of profile and generator that the ledger is asked to admit."""
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
            "charges": [asdict(line) for line in self.all_lines],
        }


def budget_of(spec: Spec) -> Budget:
    """The budget of profile and generator: the walk's, less what a drift report and a published score take."""
    whole, sides = _whole_budget(spec), _side_budgets(spec)
    if not sides:
        return whole
    aside = _together(whole.discovery_delta, *(side.discovery_delta for side in sides.values()))
    left = gaussian_mu(whole.epsilon, whole.delta - aside) ** 2 - sum(side.cost for side in sides.values())
    if left <= 0:
        asked = ", ".join(f"{key} ({side.epsilon:g})" for key, side in sides.items())
        raise PrivacyError(f"{asked}: nothing is left of the walk's ε = {whole.epsilon:g}; give less")
    epsilon = gaussian_epsilon(math.sqrt(left), whole.delta - whole.discovery_delta)
    return Budget(min(epsilon, whole.epsilon), whole.delta, whole.discovery_delta)


def make_plan(spec: Spec, *, share: float = 1.0) -> Plan:
    """The plan of one walk of a dataset, from its specification alone.

    Args:
        spec: the dataset's specification.
        share: share of its ε that profile and generator may spend; a refresh spends less than a refit.

    Raises:
        PrivacyError: if ε is too small for the charges that it must carry.
    """
    kind = chosen_kind(spec)
    drift, score = _drift_plan(spec), _score_plan(spec)
    beside = [event for side in (drift, score) if side is not None for event in side.events]
    budget = budget_of(spec)
    budget = Budget(budget.epsilon * share, budget.delta, budget.discovery_delta)
    engine = engine_for(kind).plan(spec, budget)
    for _ in range(_TRIALS if beside else 0):  # what is not Gaussian may compose to a trifle more than its part
        whole = composed_epsilon((*beside, *engine.events), budget.delta)
        if whole <= spec.privacy.epsilon:
            break
        budget = Budget(
            budget.epsilon * (1 - 1e-6) * spec.privacy.epsilon / whole, budget.delta, budget.discovery_delta
        )
        engine = engine_for(kind).plan(spec, budget)
    wanted = rows_wanted(profiled_columns(spec), cost=budget.cost)
    counted = "rows" if spec.privacy.unit.max_rows == 1 else "people"
    return Plan(spec.dataset, kind, budget, engine.events, engine.lines, wanted, counted, drift, score)


def _whole_budget(spec: Spec) -> Budget:
    discovered = sum(isinstance(column, CategoricalColumn) and column.discover for column in spec.modelled.values())
    return Budget.for_walk(epsilon=spec.privacy.epsilon, delta=spec.privacy.delta, discovered_columns=discovered)


def _side_budgets(spec: Spec) -> dict[str, Budget]:
    """The budgets beside profile and generator, by the key of the specification that asks for each."""
    found = {"drift.epsilon": _drift_budget(spec), "benchmark.publish.epsilon": _score_budget(spec)}
    return {key: budget for key, budget in found.items() if budget is not None}


def _drift_budget(spec: Spec) -> Budget | None:
    """The budget of a drift report; where categories are discovered, new ones are looked for with half as much of δ as the profile's."""
    if spec.drift is None or spec.drift.mode == "schedule":
        return None
    whole = _whole_budget(spec)
    return Budget(spec.drift.epsilon, whole.delta, whole.discovery_delta / 2)


def _score_budget(spec: Spec) -> Budget | None:
    if spec.benchmark is None or spec.benchmark.publish is None:
        return None
    return Budget(spec.benchmark.publish.epsilon, spec.privacy.delta)


def _drift_plan(spec: Spec) -> SidePlan | None:
    budget, drift = _drift_budget(spec), spec.drift
    if budget is None or drift is None:
        return None
    words = f"row count, {len(spec.modelled)} columns and up to {drift.pairs} pairs against the release in force"
    mechanism = "discrete Gaussian"
    if drift.mode == "sparse_vector":
        words, mechanism = "one secret threshold for all snapshots up to the first alarm", "above threshold"
    lines = (ChargeLine("drift_report", words, mechanism, _part(spec, budget)),)
    pool = GaussianPoolEvent(stage="drift_report", purpose="drift report", mu_squared=budget.cost)
    discoveries = [replace(event, stage="drift_report") for event in discovery_events(spec, budget)]
    return SidePlan(budget, (pool, *discoveries), lines)


def _score_plan(spec: Spec) -> SidePlan | None:
    budget = _score_budget(spec)
    if budget is None:
        return None
    words = "right and wrong predictions on held-out people"
    lines = (ChargeLine(SCORE_STAGE, words, "discrete Gaussian", _part(spec, budget)),)
    return SidePlan(budget, (GaussianPoolEvent(stage=SCORE_STAGE, purpose=words, mu_squared=budget.cost),), lines)


def _part(spec: Spec, budget: Budget) -> float:
    """Part of the walk's ε that a side takes from profile and generator, in proportion to its cost among the sides."""
    taken = max(spec.privacy.epsilon - budget_of(spec).epsilon, 0.0)
    return taken * budget.cost / sum(side.cost for side in _side_budgets(spec).values())


def _together(*deltas: float) -> float:
    """The δ′ of several set unions together, ∏(1 + δ′) − 1."""
    return math.expm1(math.fsum(map(math.log1p, deltas)))
