"""The verdict on a mechanism: what was found, and the ε that was shown to be lost beside the ε that is claimed.

REPLAY on neighbours → TRANSCRIPTS (or CANARIES, where the engine trains by DP-SGD) → VERDICT. The table stands for a private one: the
guarantee holds for every table, so a released or invented one serves and costs no budget.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from synth_pipeline.audit.bound import LowerBound, gaussian_bound
from synth_pipeline.audit.choices import check_choice_law
from synth_pipeline.audit.finding import Finding
from synth_pipeline.audit.neighbour import candidates
from synth_pipeline.audit.spending import check_spending
from synth_pipeline.audit.transcript import (
    check_discovery,
    check_fresh_noise,
    check_repeated_answers,
    draw_scores,
    telling_cells,
)
from synth_pipeline.audit.twin import Replay, replay
from synth_pipeline.audit.watch import Asked
from synth_pipeline.errors import CheckFailed
from synth_pipeline.generate.plan import Plan, make_plan
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import SubsampledGaussianEvent
from synth_pipeline.privacy.noise import NoiseSource, SecureNoise
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.spec import Spec

CONFIDENCE = 0.95
"""Of the lower bound that is reported."""

ALARM_CONFIDENCE = 1 - 1e-6
"""Of the lower bound that contradicts a claim: a sound mechanism is accused by it once in a million audits."""

MOST_DRAWS = 2_000_000
"""Noise drawn in one audit; half a minute of the secure source. Fewer runs hold more answers each."""

_CHOICES_DRAWN = 3
_LONE_KEYS = 20_000

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class MechanismAudit:
    """What an audit of an engine showed.

    Attributes:
        engine: its kind.
        claimed_epsilon: ε of the whole walk.
        claimed_delta: δ of the whole walk.
        unit: whom the claim protects, in words.
        lower_bound: of the true ε, at `CONFIDENCE`; of the training alone where the engine trains by DP-SGD.
        alarm_bound: the same at `ALARM_CONFIDENCE`; where the engine trains by DP-SGD the one-run bound, which assumes nothing.
        canary: who was put in and left out.
        share: share of the squared distance between the two walks' answers that the transcripts hold.
        findings: what was wrong.
        is_refuted: whether the alarm bound passes the claim.
    """

    engine: str
    claimed_epsilon: float
    claimed_delta: float
    unit: str
    lower_bound: LowerBound
    alarm_bound: LowerBound
    canary: str
    share: float
    findings: tuple[Finding, ...]
    is_refuted: bool

    @property
    def is_contradiction(self) -> bool:
        """Whether the mechanism does not keep its claim."""
        return self.is_refuted or bool(self.findings)

    @property
    def summary(self) -> str:
        """One line."""
        bound = self.lower_bound
        verdict = "CONTRADICTED" if self.is_contradiction else "not contradicted"
        shown = f"ε ≥ {bound.epsilon:.2f} shown ({bound.confidence:.0%}, {bound.method}, {bound.runs:,} runs)"
        found = f"{len(self.findings)} finding(s): {self.findings[0]}" if self.findings else "no finding"
        return f"{self.engine}: {verdict}; {shown} of ε ≤ {self.claimed_epsilon:g} claimed; {found}"

    def to_json(self) -> str:
        """JSON that `from_json` reads back."""
        return json.dumps(
            {**asdict(self), "is_contradiction": self.is_contradiction, "summary": self.summary},
            indent=1,
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> "MechanismAudit":
        """The audit that `to_json` wrote."""
        content: dict[str, Any] = json.loads(text)
        del content["is_contradiction"], content["summary"]
        content["lower_bound"] = LowerBound(**content["lower_bound"])
        content["alarm_bound"] = LowerBound(**content["alarm_bound"])
        content["findings"] = tuple(Finding(**finding) for finding in content["findings"])
        return cls(**content)


def audit_mechanism(
    spec: Spec,
    table: pd.DataFrame,
    *,
    runs: int = 10_000,
    seed: int = 0,
    progress: Progress | None = None,
    noise: NoiseSource | None = None,
) -> MechanismAudit:
    """Audit the walk that a specification plans, on a table that needs no protection; charged to no ledger.

    Args:
        spec: the specification, which names the engine.
        table: a table that fits it, such as a released synthetic one.
        runs: transcripts drawn with the person, and as many without; canaries, where the engine trains by DP-SGD.
        seed: of who is left out and of post-processing; the noise is not seeded.
        progress: told how far the audit is.
        noise: the source of noise that is audited; default: the secure one.

    Raises:
        TableError: if the table does not fit the specification.
        PrivacyError: if there are too few runs.
    """
    report = progress or (lambda _message, _done: None)
    plan, source = make_plan(spec), noise or SecureNoise()
    replays: list[tuple[str, Replay]] = []
    tried = candidates(spec, table, rng=np.random.default_rng(seed))
    for done, candidate in enumerate(tried):
        report(f"replay without {candidate.name}", 0.4 * done / len(tried))
        replays.append((candidate.name, replay(spec, candidate.table, candidate.without, seed=seed, noise=source)))
    name, worst = max(replays, key=lambda item: item[1].mu_squared)
    findings = [finding for _, one in replays for finding in one.findings]
    findings += check_spending(plan, worst.events)
    findings += _check_noise(spec, plan, worst, source)
    if any(isinstance(event, SubsampledGaussianEvent) for event in plan.events):
        return _by_canaries(spec, table, findings, canaries=min(runs, 8000), seed=seed, report=report)
    cells, share = telling_cells(worst.pairs, most=max(MOST_DRAWS // (2 * runs), 1))
    with_person, without, blamed = draw_scores(
        _desk(spec, plan, source), cells, runs=runs, progress=lambda message, done: report(message, 0.4 + 0.6 * done)
    )
    delta = plan.budget.delta - plan.budget.discovery_delta
    alarm = gaussian_bound(with_person, without, delta=delta, confidence=ALARM_CONFIDENCE, threshold=0.0)
    return MechanismAudit(
        plan.generator,
        plan.budget.epsilon,
        plan.budget.delta,
        _unit(spec).describe(),
        gaussian_bound(with_person, without, delta=delta, confidence=CONFIDENCE, threshold=0.0),
        alarm,
        name,
        share,
        tuple(dict.fromkeys([*findings, *blamed])),
        alarm.epsilon > plan.budget.epsilon,
    )


def _check_noise(spec: Spec, plan: Plan, worst: Replay, source: NoiseSource) -> list[Finding]:
    """Fresh, of the charged law, and rarely publishing a lone person's key."""

    def fresh() -> Desk:
        return _desk(spec, plan, SecureNoise() if isinstance(source, SecureNoise) else source)

    asked = [first for first, _ in worst.pairs]
    scales = [one.scale for one in asked if one.kind == "counts"]
    findings = check_repeated_answers(asked)
    findings += check_fresh_noise(fresh, scales[0]) if scales else []
    for one in _spread([one for one in asked if one.kind == "choice"], _CHOICES_DRAWN):
        findings += check_choice_law(fresh(), one)
    for one in asked:
        findings += check_discovery(fresh, one, keys=_LONE_KEYS) if one.kind == "keys" else []
    return findings


def _by_canaries(
    spec: Spec, table: pd.DataFrame, findings: Sequence[Finding], *, canaries: int, seed: int, report: Progress
) -> MechanismAudit:
    """The verdict on a training by DP-SGD, whose profile was replayed."""
    from synth_pipeline.audit.canary import canary_audit

    found = canary_audit(
        spec,
        table,
        canaries=canaries,
        seed=seed,
        progress=lambda message, done: report(message, 0.4 + 0.6 * done),
    )
    return MechanismAudit(
        found.engine,
        found.claimed_epsilon,
        found.delta,
        _unit(spec).describe(),
        found.lower_bound,
        found.any_mechanism,
        f"{found.canaries:,} planted people",
        1.0,
        tuple(dict.fromkeys([*findings, *found.findings])),
        found.is_refuted,
    )


def _spread(items: Sequence[Asked], count: int) -> list[Asked]:
    """At most so many of the items, from first to last."""
    places = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)) if items else ()
    return [items[int(place)] for place in places]


def _desk(spec: Spec, plan: Plan, source: NoiseSource) -> Desk:
    """A desk of the walk's budget with nothing spent."""
    return Desk(unit=_unit(spec), budget=plan.budget, spent=(), noise=source, before_first_answer=None)


def _unit(spec: Spec) -> PrivacyUnit:
    return PrivacyUnit(spec.privacy.unit.column, spec.privacy.unit.max_rows)


def require_kept(audited: MechanismAudit) -> None:
    """Stop where the audit shows that the mechanism does not keep its ε.

    Raises:
        CheckFailed: with what was found.
    """
    if audited.is_contradiction:
        raise CheckFailed(f"audit: {audited.summary}; no release was written: do not hand out anything of this walk")
