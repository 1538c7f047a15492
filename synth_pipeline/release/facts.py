"""What a release states: public and released facts about a synthetic table, as one frozen value."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.events import event_from_dict
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.release.trust_map import TrustMap
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import Profile
from synth_pipeline.validate.expectation import Outcome

NEIGHBOURS = "add or remove one unit"
"""The neighbouring relation of every guarantee."""

_MECHANISM_NAMES = {
    "discrete_gaussian": "discrete Gaussian",
    "gaussian_pool": "discrete Gaussian, chosen adaptively",
    "subsampled_gaussian": "DP-SGD",
    "discovery": "stable set union",
    "exponential": "exponential mechanism",
}


@dataclass(frozen=True)
class BudgetPart:
    """Part of the budget: what one stage spent by one kind of mechanism.

    Attributes:
        stage: stage of the walk.
        mechanism: kind of mechanism in words.
        answers: how many answers (or steps) were given.
        epsilon: ε that this part would cost alone, at the walk's δ; parts compose to less than their sum.
    """

    stage: str
    mechanism: str
    answers: int
    epsilon: float


@dataclass(frozen=True, eq=False)
class ReleaseFacts:
    """Everything that a release states besides its rows.

    Attributes:
        dataset: name of the dataset.
        version: name of this release.
        spec: the specification.
        profile: the released profile.
        events: every DP event that ran, as `Event.to_dict` gives it.
        epsilon: ε of the walk's budget.
        delta: δ of the walk.
        composed_epsilon: ε that is proven at δ, of what its drift report asked and of the plan whose pool paid every answer after it. At
            most `epsilon`, unless a second report followed an alarm, or a generator is kept whose walk set nothing aside for a report.
        accountant: how it was composed.
        snapshot_fingerprint: keyed HMAC of the snapshot's name and content; tells nothing about its rows without the key, nor whether two
            snapshots are equal.
        code_version: version of the code that made it.
        ledger_entry: where the charge stands in the ledger.
        outcomes: what the expectations found in the synthetic table.
        generator: kind and parameters of the generator.
        created_at: when, ISO 8601 in UTC.
        rows: rows of the synthetic table.
        audit: the measured lower bound on ε beside the claimed one, where the mechanism was audited (on released rows).
        extra: further released facts, such as ids of the run.
        signed_by: id of the key that signs the release; None where nobody does.
        ledger_head: how far the ledger's chain had come, as `entries` and `digest` of the last; an anchor for its verification.
        trust: how far each marginal is expected to lie from the private rows; None where no model was at hand.
        links: ids under which Dagster and MLflow know the walk, such as `dagsterRun` and `mlflowModel`.

    Privacy:
        Public and released facts only. No score computed on real rows may be put here.
    """

    dataset: str
    version: str
    spec: Spec
    profile: Profile
    events: Sequence[Mapping[str, Any]]
    epsilon: float
    delta: float
    composed_epsilon: float
    accountant: str
    snapshot_fingerprint: str
    code_version: str
    ledger_entry: str
    outcomes: tuple[Outcome, ...]
    generator: Mapping[str, Any]
    created_at: str
    rows: int
    audit: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    signed_by: str | None = None
    ledger_head: Mapping[str, Any] | None = None
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    trust: TrustMap | None = None

    @property
    def unit(self) -> str:
        """Whom the guarantee protects, in words."""
        declared = self.spec.privacy.unit
        return PrivacyUnit(declared.column, declared.max_rows).describe()

    @property
    def odds_factor(self) -> float:
        """By how much the release can change anyone's odds about one unit: e^ε."""
        return math.exp(self.composed_epsilon)

    @property
    def certainty_from_even(self) -> float:
        """How sure a reader who thought it even can become that a unit is in the table: e^ε / (1 + e^ε)."""
        return 1 / (1 + math.exp(-self.composed_epsilon))

    @property
    def has_floating_point_noise(self) -> bool:
        """Whether a mechanism drew its noise as floating-point numbers (DP-SGD), instead of exactly on integers."""
        return any(event["kind"] == "subsampled_gaussian" for event in self.events)

    def budget_parts(self) -> tuple[BudgetPart, ...]:
        """What each stage spent by each kind of mechanism, stages in the order in which they ran."""
        return budget_parts(self.events, self.delta)


def budget_parts(events: Sequence[Mapping[str, Any]], delta: float) -> tuple[BudgetPart, ...]:
    """What each stage spent by each kind of mechanism, stages in the order in which they ran.

    Args:
        events: DP events, as `Event.to_dict` gives them.
        delta: δ at which each part's ε is stated.
    """
    stages = list(dict.fromkeys(event["stage"] for event in events))
    key = itemgetter("stage", "kind")
    ordered = sorted(events, key=lambda event: (stages.index(event["stage"]), event["kind"]))
    return tuple(_part(stage, kind, list(group), delta) for (stage, kind), group in groupby(ordered, key=key))


def _part(stage: str, kind: str, events: list[Mapping[str, Any]], delta: float) -> BudgetPart:
    alone = composed_epsilon([event_from_dict(event) for event in events], delta)
    answers = sum(int(event.get("count", event.get("steps", 1))) for event in events)
    return BudgetPart(stage or "walk", _MECHANISM_NAMES.get(kind, kind.replace("_", " ")), answers, alone)


def mechanism_words(event: Mapping[str, Any]) -> str:
    """A DP event in words."""
    return event_from_dict(event).mechanism
