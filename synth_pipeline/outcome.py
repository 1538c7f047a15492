"""What the stages of a walk hand to one another, and where a walk ends.

Belongs here: frozen values of released facts, with the scorecard of a result as the one internal thing. Does not: making them (walk).
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.benchmark.published import PublishedScore
from synth_pipeline.benchmark.scorecard import Scorecard
from synth_pipeline.drift.baseline import Baseline, baseline_of
from synth_pipeline.drift.decision import Decision, PriorFacts
from synth_pipeline.drift.report import DriftReport
from synth_pipeline.generate.measured import measured_by
from synth_pipeline.privacy.events import Event
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.table.profile import Profile
from synth_pipeline.validate.expectation import Outcome


@dataclass(frozen=True)
class Profiled:
    """What the profile stage releases.

    Attributes:
        profile: the released profile.
        events: the DP events that it ran.
    """

    profile: Profile
    events: tuple[Event, ...]


@dataclass(frozen=True, eq=False)
class Prior:
    """The release in force, as a later walk uses it; released facts only.

    Attributes:
        facts: which release it is.
        profiled: its profile, and what that cost.
        model: its generator.
    """

    facts: PriorFacts
    profiled: Profiled
    model: ReleasedModel

    @property
    def baseline(self) -> Baseline:
        """What a fresh snapshot is compared with."""
        return baseline_of(self.model.profile, measured_by(self.model.generator))


@dataclass(frozen=True, eq=False)
class DriftOutcome:
    """What a walk found before its training, and what follows.

    Attributes:
        report: the comparison with the release in force; None where there was none, or nothing was asked.
        decision: what is done, and why.
        prior: the release in force when it was decided; None before the first.
    """

    report: DriftReport | None
    decision: Decision
    prior: PriorFacts | None


@dataclass(frozen=True)
class ScoreOutcome:
    """What a walk's published score came to; released.

    Attributes:
        score: the score; None where none was measured.
        reason: why none was, in a line; empty where one was.
        table: digest of the synthetic table that was scored.
    """

    score: PublishedScore | None
    reason: str
    table: str

    def of(self, table: str) -> PublishedScore | None:
        """The score, if it is of the table with this digest."""
        return self.score if table == self.table else None

    @property
    def events(self) -> tuple[Event, ...]:
        """What it asked of held-out rows; part of the walk's ε, whichever table is released in the end."""
        return () if self.score is None else self.score.events


@dataclass(frozen=True)
class WalkResult:
    """Where a walk ended.

    Attributes:
        model: the released model.
        synthetic: the synthetic table.
        outcomes: outcome of each expectation.
        scorecard: scores on real rows; internal.
        audit: the measured lower bound on ε, beside the claim.
        release: folder of the bundle.
        epsilon: ε that is proven for the release, that of the plan.
    """

    model: ReleasedModel
    synthetic: pd.DataFrame
    outcomes: tuple[Outcome, ...]
    scorecard: Scorecard
    audit: MechanismAudit
    release: Path
    epsilon: float


@dataclass(frozen=True, eq=False)
class Renewal:
    """What a refresh starts from.

    Attributes:
        prior: the release in force.
        changed: columns to measure anew.
        report: the drift report, whose noisy numbers are paid for already; None where nothing was asked.
    """

    prior: Prior
    changed: frozenset[str]
    report: DriftReport | None
