"""A decision from the command line: judged and kept as one from the launchpad is, and shown by the home's Dagster at once."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from synth_pipeline.errors import SigningError, StoreError, SynthPipelineError
from synth_pipeline.integrations import approvals
from synth_pipeline.integrations.approvals import KeptRelease
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.approval_events import CaughtUp, catch_up, entry_words
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.orchestration.resources import TrackingResource
from synth_pipeline.release.approval import Wish, read_decision, sign
from synth_pipeline.release.keys import key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from dagster import DagsterInstance

_STATE_AFTER: Mapping[str, str] = {"approve": "approved", "withdraw": "withdrawn"}


def decide(
    home: Home,
    release: KeptRelease,
    wish: Wish,
    key: "Ed25519PrivateKey",
    *,
    approvers: Sequence[str],
    now: datetime | None = None,
) -> dict[str, Any]:
    """Sign a decision and keep it, or complete one of the same key that was cut off after it was kept.

    Args:
        home: where the release is kept.
        release: which.
        wish: what is decided.
        key: whose decision it is.
        approvers: ids of the keys that may approve; empty: any but the requester's.
        now: the time, in UTC; default: the clock's.

    Returns:
        What the command prints.

    Raises:
        ApprovalRefused: if it may not be decided.
    """
    subject = approvals.require_signed(home, release)
    with open_instance(home.make()) as instance:
        before = None
        with suppress(SynthPipelineError):  # what cannot be completed, of whichever release, stops no decision
            before = catch_up(instance, home, _tracking(home), release.dataset, now=now)
        standing = approvals.standing(home, release, now=now)
        found = standing.decision
        if (
            before is not None
            and found is not None
            and release.name in before.completed
            and standing.state == _STATE_AFTER[wish.kind]
            and (found.kind, found.key_id) == (wish.kind, key_id(key.public_key()))
        ):
            return _told(home, release, before, "completed what was cut off")
        envelope = sign(subject, wish, key, now=now or datetime.now(UTC))
        approvals.decide(home, release, envelope, approvers=approvers, now=now)
        return _told(home, release, _followed(instance, home, release, wish.kind, now=now), "")


def hand_in(
    home: Home,
    release: KeptRelease,
    envelope: bytes,
    *,
    kind: str,
    approvers: Sequence[str],
    now: datetime | None = None,
) -> dict[str, Any]:
    """Keep a decision that was signed elsewhere; one that is kept already is completed.

    Raises:
        SigningError: if it is no statement, or of another kind than the command.
        ApprovalRefused: if it may not be kept.
    """
    decision = read_decision(envelope, where="--statement")
    if decision.kind != kind:
        raise SigningError(f"--statement: says {decision.kind}; hand it in with `synth-pipeline {decision.kind}`")
    approvals.decide(home, release, envelope, approvers=approvers, now=now)
    with open_instance(home.make()) as instance:
        return _told(home, release, _followed(instance, home, release, kind, now=now), "")


def _followed(
    instance: "DagsterInstance", home: Home, release: KeptRelease, kind: str, *, now: datetime | None
) -> CaughtUp:
    """What follows from a decision that was kept just now; whatever stops it, the decision holds, and says so.

    Raises:
        StoreError: if not everything could be written.
    """
    try:
        return catch_up(instance, home, _tracking(home), release.dataset, now=now)
    except SynthPipelineError as error:
        raise StoreError(
            f"{release.name}: the decision ({kind}) is kept and holds; what follows from it is incomplete: {error}; the sensor tries again"
        ) from None


def _tracking(home: Home) -> Tracking:
    place = TrackingResource.of(home)
    return Tracking(place.uri, place.artifacts, place.interface)


def _told(home: Home, release: KeptRelease, found: CaughtUp, done: str) -> dict[str, Any]:
    own = next(one for one in found.stood if one.release.name == release.name)
    approval, withdrawal = own.standing.approval, own.standing.withdrawal
    decision = withdrawal or approval
    alias = f"alias approved names version {found.alias}" if found.alias else "alias approved names none"
    return {
        "release": release.name,
        "state": own.standing.state,
        "place": str(release.place),
        "key": decision.key_id if decision else None,
        "purpose": approval.words if approval else None,
        "conditions": approval.conditions if approval else None,
        "expires": approval.expires.isoformat() if approval and approval.expires else None,
        "reason": withdrawal.words if withdrawal else None,
        "statement": decision.digest if decision else None,
        "ledger": entry_words(home, own),
        "mlflow": f"alias not moved yet ({found.problem}); the sensor tries again" if found.problem else alias,
        "done": done,
    }
