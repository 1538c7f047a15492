"""Decisions about kept releases: found, judged, and kept in the ledger's chain; the same for the command line and for Dagster.

Belongs here: where statements about a release are, and keeping one. Does not: what they mean (release.approval), or what is shown of them
(orchestration).

The chain is what counts: the signed envelope itself is the body of a `record` entry, written in one transaction that judges it first. So
a crash leaves nothing, or a decision that holds, and two people who decide at once decide one after the other. The file `approval` of a
bundle is a copy for whoever gets the bundle; `file_decision` writes it, again where it is missing. A withdrawal that is found in the bundle
alone stops the release too.
"""

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from synth_pipeline.errors import ApprovalRefused, SigningError, TableError
from synth_pipeline.integrations.kept_release import KeptRelease, find_release, kept_releases, release_in
from synth_pipeline.integrations.signing import KEYS_FOLDER, SIGNING_KEY_VARIABLE, signing_key
from synth_pipeline.integrations.stores import Home
from synth_pipeline.privacy.ledger import Entry, StoredLedger, open_ledger
from synth_pipeline.release.approval import (
    ApprovedRelease,
    Decision,
    Standing,
    Subject,
    read_decision,
    require_acceptable,
    require_passed_checks,
    standing_of,
)
from synth_pipeline.release.approval_check import PublicKey
from synth_pipeline.release.keys import PUBLIC_SUFFIX, key_id, public_key_of, public_text
from synth_pipeline.release.statement import APPROVAL, CERTIFICATE, file_digest
from synth_pipeline.release.verify import verify_bundle, verify_digests
from synth_pipeline.reserve import root_walk_id

__all__ = [
    "KeptRelease",
    "approved_release",
    "count_decisions",
    "decide",
    "decided_releases",
    "file_decision",
    "find_release",
    "how_it_ended",
    "is_withdrawn",
    "note_expiry",
    "release_in",
    "require_approved",
    "require_signed",
    "reservation_of",
    "standing",
    "state_words",
]

EXPIRE = "expire"
_DECISIONS = ("approve", "withdraw")


def decided_releases(home: Home, dataset: str) -> tuple[tuple[KeptRelease, ...], tuple[str, ...]]:
    """The releases of a dataset that a decision was ever kept about and that still lie there, oldest first; names of damaged ones."""
    named = {str(entry.body["release"]).partition("/")[2] for entry in _records(home, dataset)}
    return kept_releases(home, dataset, among=named)


def count_decisions(home: Home, dataset: str) -> int:
    """How many decisions the chain holds about releases of a dataset; it only grows."""
    return len(_records(home, dataset))


def is_withdrawn(home: Home, name: str) -> bool:
    """Whether a release was withdrawn, by its name `<dataset>/<version>`."""
    return how_it_ended(home, name) == "withdrawn"


def how_it_ended(home: Home, name: str) -> Literal["expired", "withdrawn"] | None:
    """How the approval of a release ended, by its name, also where its bundle is no longer there; None: it did not."""
    kept = _records(home, name.partition("/")[0])
    if any(entry.body["what"] == "withdraw" and entry.body.get("release") == name for entry in kept):
        return "withdrawn"
    with suppress(ApprovalRefused, SigningError, TableError):  # no such bundle, or a damaged one: nothing is said in it
        state = standing(home, find_release(home, name)).state
        return state if state in ("expired", "withdrawn") else None
    return None


def standing(home: Home, release: KeptRelease, *, now: datetime | None = None) -> Standing:
    """Where a release stands now: the one answer for everybody.

    Args:
        home: where it is kept.
        release: which.
        now: the time, in UTC; default: the clock's. The chain's own time never runs backwards, so where its last entry about the
            dataset is later, that one counts: a clock that is put back brings no approval back.
    """
    entries = open_ledger(home.ledger).history(release.dataset)
    return _standing(home, release, entries, now or datetime.now(UTC))


def decide(
    home: Home, release: KeptRelease, envelope: bytes, *, approvers: Sequence[str], now: datetime | None = None
) -> Entry:
    """Keep a signed statement in the chain, or refuse it before anything is written; one that is kept already is found again.

    Args:
        home: where the release is kept.
        release: which release it was given for.
        envelope: the statement.
        approvers: ids of the keys that may approve; empty: any but the requester's.
        now: the time, in UTC; default: the clock's.

    Raises:
        SigningError: if it is no signed statement.
        ApprovalRefused: if it may not be kept, or the bundle is unsigned, or does not verify.
        LedgerError: if the ledger cannot be written.
    """
    moment = now or datetime.now(UTC)
    decision, subject = read_decision(envelope, where="statement"), require_signed(home, release)
    if decision.kind == "approve":
        _require_verified(home, release, subject)
        require_passed_checks(release.certificate, name=release.name)
    ledger = _ledger(home, now)

    def kept(entries: Sequence[Entry]) -> Entry | None:
        own = (entry for entry in entries if _is_about(entry, release))
        before = next((entry for entry in own if entry.body.get("statement") == decision.digest), None)
        found = _standing(home, release, entries, moment)
        if before is None or found.decision is None or found.decision.digest != decision.digest:
            require_acceptable(decision, subject, found, approvers=approvers, now=_latest(moment, entries))
        return before

    body = {
        "what": decision.kind,
        "release": release.name,
        "statement": decision.digest,
        "key": decision.key_id,
        "approvers": list(approvers),
        "words": decision.words,
        "at": decision.decided_at.isoformat(),
        "envelope": envelope.decode(),
    }
    return ledger.record(release.dataset, body, reservation=reservation_of(home, release), unless=kept)


def note_expiry(home: Home, release: KeptRelease, approval: Decision, *, now: datetime | None = None) -> bool:
    """Record once that an approval's time is over; whether this call did. The state follows from the time, with or without it."""
    is_new: list[bool] = []

    def noted(entries: Sequence[Entry]) -> Entry | None:
        own = (entry for entry in entries if _is_about(entry, release) and entry.body["what"] == EXPIRE)
        found = next((entry for entry in own if entry.body.get("statement") == approval.digest), None)
        is_new.append(found is None)
        return found

    ledger = _ledger(home, now)
    at = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    body = {"what": EXPIRE, "release": release.name, "statement": approval.digest, "key": approval.key_id, "at": at}
    ledger.record(release.dataset, body, reservation=reservation_of(home, release), unless=noted)
    return is_new[-1]


def file_decision(home: Home, release: KeptRelease, decision: Decision) -> bool:
    """Have the newest statement about a release lie in its bundle; whether it did not before."""
    if _filed(home, release) == decision.envelope:
        return False
    home.add_to_release(release.place, APPROVAL, decision.envelope)
    return True


def approved_release(release: KeptRelease, decision: Decision) -> ApprovedRelease:
    """What assets after the approval get."""
    return ApprovedRelease(
        dataset=release.dataset,
        version=release.version,
        place=str(release.place),
        approver=decision.key_id,
        purpose=decision.words,
        conditions=decision.conditions,
        expires=None if decision.expires is None else decision.expires.isoformat(),
        statement=decision.digest,
    )


def require_approved(home: Home, name: str, *, now: datetime | None = None) -> ApprovedRelease:
    """An approved release, looked at now; what stops whatever uses a release that is no longer approved.

    Args:
        home: where it is kept.
        name: `<dataset>/<version>`.
        now: as `standing` takes it.

    Raises:
        ApprovalRefused: if it is not approved, or is not what was approved, in one line.
    """
    release = find_release(home, name)
    found = standing(home, release, now=now)
    if found.state != "approved" or found.approval is None:
        raise ApprovalRefused(f"{release.name}: {state_words(found)}; nothing may be made from it")
    with tempfile.TemporaryDirectory(dir=home.scratch) as scratch:
        faults = verify_digests(home.fetch_release(release.place, Path(scratch)))
    if faults:
        raise ApprovalRefused(
            f"{release.name}: is not what was approved: {faults[0]}; restore the bundle, or withdraw it"
        )
    return approved_release(release, found.approval)


def state_words(found: Standing) -> str:
    """A standing in a few words, for messages and pages."""
    match found.state:
        case "withdrawn":
            return (
                f"withdrawn by key {found.withdrawal.key_id}: {found.withdrawal.words}"
                if found.withdrawal
                else "withdrawn"
            )
        case "candidate":
            return "a candidate, which a second person has not approved"
        case "expired":
            last = found.approval.expires if found.approval else None
            return f"expired: its approval held until {last} (UTC)"
        case "approved":
            approval = found.approval
            last = f", until {approval.expires} (UTC)" if approval and approval.expires else ""
            return f"approved by key {approval.key_id}{last}" if approval else "approved"


def require_signed(home: Home, release: KeptRelease) -> Subject:
    """What a statement about a release is about.

    Raises:
        ApprovalRefused: if the bundle is not signed, with what to do.
    """
    if release.subject is None:
        key = signing_key(home.folder)
        remedy = "" if key.exists() else f"make a key (synth-pipeline keys new --out {key}) and "
        raise ApprovalRefused(
            f"{release.name}: is not signed, so nobody can say who asks; {remedy}walk again, which signs what it makes"
        )
    return release.subject


def reservation_of(home: Home, release: KeptRelease) -> int:
    """Number of the walk that made a release; 0 where this ledger does not know it."""
    walk, ledger = release.walk, open_ledger(home.ledger)
    keys = {record.reservation.number: record.reservation.key for record in ledger.walks(release.dataset)}
    own = (walk.snapshot, walk.walk_id)
    return max((number for number, key in keys.items() if (key.snapshot, root_walk_id(key.walk_id)) == own), default=0)


def _standing(home: Home, release: KeptRelease, entries: Sequence[Entry], now: datetime) -> Standing:
    if release.subject is None:
        return Standing("candidate")
    own = [entry for entry in entries if _is_about(entry, release) and entry.body["what"] in _DECISIONS]
    envelopes = [str(entry.body.get("envelope", "")).encode() for entry in own]
    at = _latest(now, entries)
    found = standing_of(release.subject, envelopes, now=at)
    if found.withdrawal is None and (by_name := _withdrawal_by_name(own)) is not None:
        return Standing("withdrawn", found.approval, by_name)
    filed = _filed(home, release)
    if filed is None or found.withdrawal is not None or filed in envelopes:
        return found
    stopped = standing_of(release.subject, [filed], now=at)
    return Standing("withdrawn", found.approval, stopped.withdrawal) if stopped.withdrawal else found


def _withdrawal_by_name(own: Sequence[Entry]) -> Decision | None:
    """A withdrawal that was kept about a release of this name: it is final, whatever was signed anew under the name since."""
    for entry in own:
        with suppress(SigningError):
            decision = read_decision(str(entry.body.get("envelope", "")).encode(), where="statement")
            if decision.kind == "withdraw":
                return decision
    return None


def _filed(home: Home, release: KeptRelease) -> bytes | None:
    """The statement in the bundle; None where there is none, or half a one of a process that was cut off."""
    with suppress(TableError):
        return home.release_file(release.place, APPROVAL)
    return None


def _require_verified(home: Home, release: KeptRelease, subject: Subject) -> None:
    key = _known_key(home, subject.requester)
    if key is None:
        raise ApprovalRefused(
            f"{release.name}: was signed by key {subject.requester}, which this installation does not know; put its .pub file"
            f" into {home.folder / KEYS_FOLDER}, if you trust it"
        )
    with tempfile.TemporaryDirectory(dir=home.scratch) as scratch:
        bundle = home.fetch_release(release.place, Path(scratch))
        verified = verify_bundle(bundle, key=key)
        # Earlier decisions are judged by the chain.
        wrong = [fault for fault in verified.faults if fault.file != APPROVAL]
        is_same = not wrong and file_digest(bundle / CERTIFICATE) == subject.certificate
    if wrong:
        faults = "; ".join(map(str, wrong[:3]))
        raise ApprovalRefused(f"{release.name}: does not verify: {faults}; restore the bundle, or make a new release")
    if not is_same:
        raise ApprovalRefused(f"{release.name}: its bundle was exchanged meanwhile; look at it, and decide again")


def _known_key(home: Home, wanted: str) -> PublicKey | None:
    """The public key of an id, among those of the home's folder of keys and the installation's own."""
    own = os.environ.get(SIGNING_KEY_VARIABLE)
    files = sorted((home.folder / KEYS_FOLDER).glob(f"*{PUBLIC_SUFFIX}"))
    files += [Path(f"{own}{PUBLIC_SUFFIX}").expanduser()] if own else []
    for path in files:
        with suppress(SigningError, OSError):  # another file of that name takes nothing from the keys beside it
            text = public_text(path) if path.is_file() else b""
            if key_id(public_key_of(text, where=str(path))) == wanted:
                return PublicKey(text, path.name)
    return None


def _records(home: Home, dataset: str) -> list[Entry]:
    entries = open_ledger(home.ledger).history(dataset)
    return [entry for entry in entries if entry.kind == "record" and entry.body["what"] in _DECISIONS]


def _is_about(entry: Entry, release: KeptRelease) -> bool:
    return entry.kind == "record" and entry.body.get("release") == release.name


def _ledger(home: Home, now: datetime | None) -> StoredLedger:
    """The ledger, which tells the time itself unless it is told."""
    return open_ledger(home.ledger, clock=None if now is None else lambda: now)


def _latest(now: datetime, entries: Sequence[Entry]) -> datetime:
    return max(now, datetime.fromisoformat(entries[-1].at)) if entries else now
