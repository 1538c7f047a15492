"""The canary audit of an engine that trains by DP-SGD: PLAN → PROFILE → WATCH (canaries planted) → REPLAY (on no rows) → BOUND → CHECK.

The engine's own `fit` runs, with its own loop, the view's own Poisson batches and the noise of the secure source. The audit adds people,
and weights that only those people move (`canary_bank`). Rate, noise and steps are those of the plan. The table stands for a private one
and needs no protection: a released or an invented one, of which a few hundred rows are enough, because the claim hangs on neither.

Sources:
    Nasr, Songi, Thakurta, Papernot and Carlini 2021 (arXiv 2101.04535) and Nasr et al. 2023 (arXiv 2302.07956): the white-box adversary who
    sees every noisy gradient. Steinke, Nasr and Jagielski 2023 (arXiv 2305.08846): many canaries in one run.
"""

import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.audit.bound import LowerBound
from synth_pipeline.audit.canary_bound import CanaryScores, guessing_bound, is_refuted, score_canaries, training_bound
from synth_pipeline.audit.canary_check import batch_findings, noise_findings, release_findings
from synth_pipeline.audit.canary_people import PlantedCurator
from synth_pipeline.audit.finding import Finding
from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.engine_registry import Engine, engine_for
from synth_pipeline.generate.plan import Plan, make_plan
from synth_pipeline.generate.protocol import MechanismConfig, RuntimeConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.composition import composed_epsilon
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import Event, SubsampledGaussianEvent
from synth_pipeline.privacy.noise import SecureNoise
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.person import profiled_columns
from synth_pipeline.snapshot.take import take_snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.table.native import NativeTable
from synth_pipeline.table.profile import Profile

CONFIDENCE = 0.95
"""Of the reported lower bounds."""

ALARM_CONFIDENCE = 1 - 1e-6
"""Of the bound that may contradict the claim: an honest training is accused in one audit of a million."""

TABLE_ROWS = 500
"""Rows of the table that are trained on beside the canaries; the claim hangs on none of them."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class CanaryAudit:
    """What an audit by canaries measured.

    Attributes:
        engine: its kind.
        claimed_epsilon: ε of the whole walk, profile included.
        training_epsilon: composed ε of the training alone, at δ.
        delta: δ of both.
        lower_bound: of the training's ε, hence of the whole walk's, in the family of DP-SGD of the claimed rate and steps.
        alarm_bound: the same at `ALARM_CONFIDENCE`.
        any_mechanism: the one-run bound, which assumes no family and no independence.
        canaries: planted people, of whom half on average were in the table.
        steps: DP-SGD steps taken.
        rows: rows of the table that were trained on beside the canaries.
        is_refuted: whether the canaries contradict the claimed noise.
        findings: what else was wrong.
        seconds: how long it took.
    """

    engine: str
    claimed_epsilon: float
    training_epsilon: float
    delta: float
    lower_bound: LowerBound
    alarm_bound: LowerBound
    any_mechanism: LowerBound
    canaries: int
    steps: int
    rows: int
    is_refuted: bool
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def is_contradicted(self) -> bool:
        """Whether the claim does not hold: a bound above it, or a fault of noise, batches or release."""
        return self.is_refuted or bool(self.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "is_contradicted": self.is_contradicted}


@dataclass(frozen=True, eq=False)
class _Stage:
    """What both trainings of an audit share."""

    engine: Engine
    spec: Spec
    budget: Budget
    profile: Profile
    spent: tuple[Event, ...]
    config: MechanismConfig
    seed: int

    def desk(self) -> Desk:
        return _desk(self.spec, self.budget, self.spent)


def canary_audit(
    spec: Spec,
    table: pd.DataFrame,
    *,
    canaries: int = 12_000,
    seed: int = 0,
    config: MechanismConfig | None = None,
    progress: Progress | None = None,
) -> CanaryAudit:
    """Audit the DP-SGD training that a specification plans.

    Args:
        spec: the specification; its engine must train by DP-SGD.
        table: a table that fits it and needs no protection, such as a released synthetic one; charged to no ledger.
        canaries: people to plant, each in the table with chance ½.
        seed: of who is in, of which rows are used and of post-processing; the noise is not seeded.
        config: constants of the mechanism, if not the engine's for this specification; rate and steps must be the planned ones.
        progress: told how far the audit is.

    Raises:
        PrivacyError: if the engine does not train by DP-SGD, or there are fewer than 200 canaries.
        TableError: if the table does not fit the specification.
    """
    start, report = time.monotonic(), progress or (lambda _message, _done: None)
    plan = make_plan(spec)
    event = training_event(plan)
    if canaries < 200:
        raise PrivacyError(f"canary audit: {canaries} canaries prove nothing; plant 200 or more")
    rng = np.random.default_rng(seed)
    part = table.sample(min(TABLE_ROWS, len(table)), random_state=seed).reset_index(drop=True)
    native = take_snapshot(part, spec, key=secrets.token_bytes(32), holdout=False).native
    report("profile", 0.0)
    stage = _profiled(spec, plan, native, seed=seed, config=config)
    is_in = rng.random(canaries) < 0.5
    curator = PlantedCurator(stage.desk(), native, np.flatnonzero(is_in) + 1, rng)
    scores, bundle = _watched(stage, curator, is_in, event=event, report=report)
    report("bound", 0.9)
    return CanaryAudit(
        engine=plan.generator,
        claimed_epsilon=plan.budget.epsilon,
        training_epsilon=composed_epsilon([event], plan.budget.delta),
        delta=plan.budget.delta,
        lower_bound=training_bound(scores, event, delta=plan.budget.delta, confidence=CONFIDENCE),
        alarm_bound=training_bound(scores, event, delta=plan.budget.delta, confidence=ALARM_CONFIDENCE),
        any_mechanism=guessing_bound(scores, delta=plan.budget.delta, confidence=CONFIDENCE),
        canaries=canaries,
        steps=event.steps,
        rows=native.rows,
        is_refuted=is_refuted(scores, event, confidence=ALARM_CONFIDENCE),
        findings=bundle,
        seconds=time.monotonic() - start,
    )


def training_event(plan: Plan) -> SubsampledGaussianEvent:
    """The DP-SGD training of a plan.

    Raises:
        PrivacyError: if it has none, or several.
    """
    found = [event for event in plan.events if isinstance(event, SubsampledGaussianEvent)]
    if len(found) != 1:
        raise PrivacyError(
            f"canary audit: generator {plan.generator} plans {len(found)} trainings by DP-SGD, not one; audit its answers instead"
        )
    return found[0]


def _profiled(spec: Spec, plan: Plan, native: NativeTable, *, seed: int, config: MechanismConfig | None) -> _Stage:
    engine = engine_for(plan.generator)
    desk = _desk(spec, plan.budget, ())
    profile = build_profile(Curator.at_desk(native, desk), profiled_columns(spec), share=engine.profile_share)
    return _Stage(engine, spec, plan.budget, profile, desk.events, config or engine.make_config(spec), seed)


def _watched(
    stage: _Stage,
    curator: PlantedCurator,
    is_in: npt.NDArray[np.bool_],
    *,
    event: SubsampledGaussianEvent,
    report: Progress,
) -> tuple[CanaryScores, tuple[Finding, ...]]:
    """Both trainings: scores of the canaries, and what was wrong."""
    from synth_pipeline.audit.canary_bank import CanaryWatch, ReplayWatch
    from synth_pipeline.generate.dpsgd.watch import watched_by

    watch = CanaryWatch(len(is_in))
    with watched_by(watch):
        left = _left_behind(stage, curator, lambda message, done: report(message, 0.1 + 0.5 * done))
    if watch.event != event or len(watch.coordinates) != event.steps:
        raise PrivacyError("canary audit: the watched training is not the planned one; nothing was audited")
    replay = ReplayWatch(watch.transcript, len(is_in))
    nobody = PlantedCurator(stage.desk(), curator.table.take(np.zeros(0, dtype=np.intp)))
    with watched_by(replay):
        again = _left_behind(stage, nobody, lambda message, done: report(message, 0.6 + 0.3 * done))
    coordinates, present = np.stack(watch.coordinates), np.stack(watch.present)
    each = curator.unit.max_rows
    sizes = (present.sum(axis=1), curator.table.rows + int(is_in.sum())) if each == 1 else None
    findings = [
        *noise_findings(coordinates[:, ~is_in], event, where="canaries who are out"),
        *noise_findings(np.stack(replay.blanks), event, where="a training on no rows"),
        *batch_findings(present[:, 1:][:, is_in], rows_each=each, sizes=sizes, event=event),
        *release_findings(left, again, event.purpose),
    ]
    return score_canaries(coordinates, is_in, event), tuple(findings)


def _left_behind(stage: _Stage, curator: PlantedCurator, report: Progress) -> dict[str, bytes]:
    """Everything that leaves a fit: the generator's files, and what it said on the way."""
    said: list[str] = []

    def hear(message: str, done: float) -> None:
        said.append(f"{message} ({done:.6f})")
        report(message, done)

    generator = stage.engine.fit(
        cast("Curator", curator),
        stage.profile,
        stage.config,
        budget=stage.budget,
        runtime=RuntimeConfig(seed=stage.seed, progress=hear),
    )
    with tempfile.TemporaryDirectory() as folder:
        generator.save(Path(folder))
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    return {**files, "progress": "\n".join(said).encode()}


def _desk(spec: Spec, budget: Budget, spent: Sequence[Event]) -> Desk:
    unit = PrivacyUnit(spec.privacy.unit.column, spec.privacy.unit.max_rows)
    return Desk(unit=unit, budget=budget, spent=spent, noise=SecureNoise(), before_first_answer=None)
