"""Approval without a person, where a specification asks for it: its conditions, and the statement that the installation's own key signs.

Belongs here: what has to hold, and what the statement says of it. Does not: which statements are kept (integrations.approvals), or what
follows from one (approval_events); both are the same as for a person's.

Privacy:
    Everybody sees whether a release was approved, so that may tell nothing of real rows that was not paid for. What is judged is the
    release's own certificate, which is released, and the floors, which the specification states; no snapshot and no score without noise
    comes here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from synth_pipeline.benchmark.published import PublishedScore
from synth_pipeline.errors import SigningError, SynthPipelineError
from synth_pipeline.integrations import approvals
from synth_pipeline.integrations.approvals import KeptRelease
from synth_pipeline.integrations.signing import APPROVER, APPROVER_KEY_VARIABLE, key_files
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.approval_events import built_on, catch_up
from synth_pipeline.privacy.gate import value_free_errors
from synth_pipeline.release.approval import LONGEST_WORDS, Standing, Wish, sign
from synth_pipeline.spec import Spec
from synth_pipeline.spec.sections import Floors

AUTOMATIC = "automatic approval, which no person decided"
"""How the purpose of every statement begins that is signed here."""

_ANY_USE = "any use that its datasheet and certificate allow"
_UNSEEN = (
    "nobody looked at: whether this use is allowed, what names of columns and categories say, the warnings, and the internal report with"
    " its scores and attacks"
)
_CHANGED = "the specification was changed since this release was made, so that the floor may have been another then"
_LONGEST_PART = 220


@dataclass(frozen=True)
class Judged:
    """What the certificate of a release says about the conditions of an automatic approval.

    Attributes:
        held: the conditions that hold, with their figures.
        failed: those that do not.
    """

    held: tuple[str, ...]
    failed: tuple[str, ...]


def judge(certificate: Mapping[str, Any], floors: Floors | None) -> Judged:
    """Which conditions hold: the checks, the audit, and the published score of this very table.

    Args:
        certificate: of the release. It states a published score only where that is of the table beside it.
        floors: what the score must reach.
    """
    predicate = certificate["predicate"]
    found = [
        _asked(predicate["approval"]),
        _checks(predicate["validation"]),
        _audit(predicate["audit"]),
        _score(predicate.get("extra", {}).get("publishedScore"), floors),
    ]
    return Judged(
        held=tuple(words for is_held, words in found if is_held),
        failed=tuple(words for is_held, words in found if not is_held),
    )


def approve_without_a_person(home: Home, spec: Spec, name: str) -> str:
    """Approve a release with the installation's own key where every condition holds; asked again, it is found approved.

    Whatever goes wrong leaves the release a candidate: it was made and paid for, and a person may still approve it.

    Args:
        home: where the release, the keys and the ledger are.
        spec: the specification, which says `release.approval: auto`.
        name: `<dataset>/<version>`.

    Returns:
        The state of the release in a line: approved, or a candidate with the conditions that did not hold.
    """
    try:
        reason = _decided(home, spec, name)
        found = approvals.standing(home, approvals.find_release(home, name))
    except SynthPipelineError as refusal:
        return _candidate(name, str(refusal))
    except Exception as error:  # noqa: BLE001  (whatever it is: the walk has ended well, and must not fail by this)
        return _candidate(name, f"{type(error).__name__} on the way")
    if found.state == "candidate":
        return _candidate(name, reason)
    return _state(found)


def what_follows(spec: Spec) -> set[dg.HookDefinition]:
    """What the release asset does once Dagster has noted the release: bring asset, check, bundle and MLflow's alias up to the decision.

    In the step itself it would be too early: Dagster would show the approval as older than its release. A fault here is logged and fails
    nothing; the sensor completes what is left.
    """
    if spec.release.approval != "auto":
        return set()

    @dg.success_hook(name=f"{spec.dataset}_approval_followed", required_resource_keys={"home", "tracking"})
    def followed(context: dg.HookContext) -> None:
        home, tracking = context.resources.home, context.resources.tracking
        with value_free_errors("approval", home.private):
            catch_up(context.instance, home, tracking, spec.dataset)

    return {followed}


def _decided(home: Home, spec: Spec, name: str) -> str:
    """Sign and keep a statement where every condition holds; why not, in a line; empty where it was, or where it was decided before."""
    release = approvals.find_release(home, name)
    if approvals.standing(home, release).state != "candidate":
        return ""
    judged = judge(release.certificate, spec.release.floors)
    failed = [*judged.failed, *_withdrawn_below(home, release)]
    if failed:
        return "; ".join(failed)
    subject, approver = approvals.require_signed(home, release), home.approver()
    if approver is None:
        key = key_files(home.folder, APPROVER)[0]
        raise SigningError(f"there is no key to approve with; name one in ${APPROVER_KEY_VARIABLE}, or make {key}")
    now, is_changed = datetime.now(UTC), release.walk.spec_digest != spec.digest
    envelope = sign(subject, _wish(judged, spec, now=now, is_changed=is_changed), approver.private_key(), now=now)
    try:
        approvals.decide(home, release, envelope, approvers=spec.release.approvers)
    except SynthPipelineError as refusal:  # it may have been decided meanwhile, by a person or by a second execution
        return str(refusal)
    return ""


def _asked(approval: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the release was made under this rule; a generator that is kept keeps its specification."""
    is_asked = approval["required"] == "auto"
    return is_asked, "its certificate allows it" if is_asked else "its certificate asks for a person"


def _checks(validation: Mapping[str, Any]) -> tuple[bool, str]:
    blocking, warnings, total = (validation[name] for name in ("blockingFailures", "warnings", "expectations"))
    if blocking:
        return False, _clipped(f"blocking checks failed: {', '.join(blocking)}")
    if not total:
        return False, "nothing of it was checked"
    warned = f"; {len(warnings)} warning(s): {', '.join(warnings)}" if warnings else ""
    return True, _clipped(f"{validation['passed']} of {total} checks hold, and none that blocks failed{warned}")


def _audit(audit: Any) -> tuple[bool, str]:
    if not isinstance(audit, Mapping):
        return False, "it was not audited"
    if audit["contradicts"]:
        return False, "its audit contradicts its guarantee"
    return True, _clipped(f"audit: {audit['summary']}")


def _score(stated: Mapping[str, Any] | None, floors: Floors | None) -> tuple[bool, str]:
    if floors is None:
        return False, "no floors are given (release.floors)"
    if stated is None:
        return False, "it states no published score of its table, so no floor can be held against one"
    score = PublishedScore.from_json({**stated, "events": []})  # its interval follows from its two counts
    is_reached = score.reaches(floors.accuracy)
    verdict = "reached" if is_reached else "not reached"
    return is_reached, _clipped(
        f"{score.summary}; floor {floors.accuracy:g} {verdict} by the lower end of the interval"
    )


def _withdrawn_below(home: Home, release: KeptRelease) -> list[str]:
    """Whether a release whose generator or tables it goes on with was withdrawn: what was wrong there may be wrong here."""
    below = (one for one in built_on(home, release) if approvals.is_withdrawn(home, one.name))
    return [f"it builds on {one.name}, which was withdrawn" for one in below][:1]


def _wish(judged: Judged, spec: Spec, *, now: datetime, is_changed: bool) -> Wish:
    """What is signed: for what, by which figures and floor, and through which day.

    Args:
        judged: the conditions, all of which hold.
        spec: the specification of this moment.
        now: the time, in UTC.
        is_changed: whether the release was made under another specification.
    """
    publication, days = spec.release.publication, spec.release.approval_days
    use = (publication.intended_use if publication else None) or _ANY_USE
    purpose = _clipped(f"{AUTOMATIC}; for: {use}", most=LONGEST_WORDS)
    conditions = _clipped("; ".join([*judged.held, *[_CHANGED] * is_changed, _UNSEEN]), most=LONGEST_WORDS)
    return Wish("approve", purpose, conditions, None if days is None else now.date() + timedelta(days=days))


def _state(found: Standing) -> str:
    words, approval = approvals.state_words(found), found.approval
    if found.state != "approved" or approval is None or not approval.words.startswith(AUTOMATIC):
        return words
    last = f", until {approval.expires} (UTC)" if approval.expires else ""
    return f"approved automatically by key {approval.key_id}{last}: {approval.conditions.removesuffix(f'; {_UNSEEN}')}"


def _candidate(name: str, reason: str) -> str:
    why = reason.removeprefix(f"{name}: ")
    return f"candidate: not approved automatically: {why}; a person may: `synth-pipeline approve {name} --key KEY --purpose …`"


def _clipped(text: str, *, most: int = _LONGEST_PART) -> str:
    """A text as a statement takes it: printable, and no longer than it may be."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return printable if len(printable) <= most else f"{printable[: most - 1]}…"
