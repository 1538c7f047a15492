"""Where a release comes from: the walk, its code and its audit, and what the bundle therefore states."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.benchmark.published import PublishedScore
from synth_pipeline.generate.measured import measured_by
from synth_pipeline.generate.plan import make_plan
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.ledger.contract import WalkKey
from synth_pipeline.release.facts import ReleaseFacts
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.validate.expectation import Outcome

ACCOUNTANT = "discrete Gaussians by exact Gaussian-DP composition with the rounding bound σ² − c; DP-SGD by privacy loss distributions"

SCORE_READING = "accuracy on held-out people of gradient boosting trained on the synthetic table; noise added, charged, 95 % interval"


def release_version(snapshot: str, walk_id: str) -> str:
    """Name of a release: the snapshot it was made from, and the walk that made it."""
    return f"{snapshot}-{hashlib.sha256(walk_id.encode()).hexdigest()[:8]}"


@cache
def code_version() -> str:
    """Version of the package and a digest of its source files."""
    try:
        number = version("synth-pipeline")
    except PackageNotFoundError:
        number = "unknown"
    folder = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{number}+{digest.hexdigest()[:12]}"


def release_facts(  # noqa: PLR0913  (a release states many facts)
    walk_key: WalkKey,
    model: ReleasedModel,
    *,
    fingerprint: str,
    outcomes: tuple[Outcome, ...],
    rows: int,
    audit: MechanismAudit | None = None,
    drift: Sequence[Event] = (),
    score: Sequence[Event] = (),
    extra: Mapping[str, Any] | None = None,
) -> ReleaseFacts:
    """The released and public facts that a bundle carries.

    Args:
        walk_key: the walk.
        model: what it released.
        fingerprint: keyed fingerprint of the snapshot.
        outcomes: what the expectations found.
        rows: rows of the synthetic table.
        audit: the audit of the mechanism.
        drift: events of the drift report before the training, which are part of the walk's ε.
        score: events of the published score after it, which are too.
        extra: further released facts.
    """
    privacy = model.spec.privacy
    return ReleaseFacts(
        dataset=model.spec.dataset,
        version=release_version(walk_key.snapshot, walk_key.walk_id),
        spec=model.spec,
        profile=model.row_profile,
        events=[event.to_dict() for event in (*drift, *model.events, *score)],
        epsilon=privacy.epsilon,
        delta=privacy.delta,
        composed_epsilon=proven_epsilon(model, (*drift, *score)),
        accountant=ACCOUNTANT,
        snapshot_fingerprint=fingerprint,
        code_version=walk_key.code_version,
        ledger_entry=f"{walk_key.dataset}/{walk_key.snapshot}/{walk_key.walk_id}",
        outcomes=outcomes,
        generator={
            "kind": model.generator.kind,
            "mechanismConfig": model.generator.config.to_json(),
            "facts": model.facts,
            "measuredTogether": measured_together(model),
        },
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=rows,
        audit=audit_facts(audit) if audit is not None else None,
        extra=dict(extra or {}),
        trust=model.trust_map(rows=rows),
    )


def measured_together(model: ReleasedModel) -> list[list[str]]:
    """Pairs of columns of which the generator kept a noisy table, by name; empty for an engine that keeps none."""
    names = [column.name for column in model.profile.columns]
    pairs = {(table.first, table.second) for table in measured_by(model.generator)}
    return [[names[first], names[second]] for first, second in sorted(pairs)]


def proven_epsilon(model: ReleasedModel, beside: Sequence[Event] = ()) -> float:
    """Composed ε of what was asked beside the training and the plan of the model, at the walk's δ.

    The questions of a drift report and of a published score hang on released facts alone in how much noise they got, so they count as
    what they were: the model may be of an earlier walk that planned neither, and a second report may have followed an alarm.

    Args:
        model: the released model.
        beside: events of the drift report and of the published score.
    """
    if not beside:
        return model.epsilon
    return composed_epsilon((*beside, *make_plan(model.spec, share=model.share).events), model.spec.privacy.delta)


def score_facts(score: PublishedScore | None) -> dict[str, Any]:
    """What a release says of its published score; empty where there is none."""
    if score is None:
        return {}
    stated = {name: value for name, value in score.to_json().items() if name != "events"}
    return {"publishedScore": {**stated, "summary": score.summary, "reading": SCORE_READING}}


def audit_facts(audit: MechanismAudit) -> dict[str, Any]:
    """What a release says of its audit: the bound that was shown, beside the claim; made on released rows, so it is released itself."""
    bound = audit.lower_bound
    return {
        "claimedEpsilon": audit.claimed_epsilon,
        "claimedDelta": audit.claimed_delta,
        "lowerBound": bound.epsilon,
        "confidence": bound.confidence,
        "method": bound.method,
        "runs": bound.runs,
        "canary": audit.canary,
        "findings": [str(finding) for finding in audit.findings],
        "contradicts": audit.is_contradiction,
        "summary": audit.summary,
    }
