"""Approval by a second person: signed statements about a release, and what follows from them.

Belongs here: statements, who may make which, and the state that they leave a release in; all of it pure. Does not: where statements are
kept (integrations.approvals), or what is done about them (orchestration).

A statement is an in-toto statement about one certificate, in an envelope sealed by whoever decides; it carries the public half of that
key, which the key's id proves. The state of a release follows from signed statements and the time, and from nothing else.

| state | there is |
|---|---|
| candidate | no approval |
| approved | an approval by another key than the requester's, not expired |
| expired | such an approval, whose time is over |
| withdrawn | a withdrawal, whatever else there is; it is final |
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from synth_pipeline.errors import ApprovalRefused, SigningError
from synth_pipeline.release.envelope import envelope_parts, open_envelope, seal
from synth_pipeline.release.keys import key_id, public_bytes, public_key_of
from synth_pipeline.release.statement import (
    APPROVAL_TYPE,
    CERTIFICATE,
    STATEMENT_TYPE,
    is_expired,
    iso_day,
    read_json,
    shown_name,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

State: TypeAlias = Literal["candidate", "approved", "expired", "withdrawn"]
Kind: TypeAlias = Literal["approve", "withdraw"]
LONGEST_WORDS = 1000
LONGEST_STATEMENT = 2**20  # bytes of an envelope that is read; each is a few kilobytes
_CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True)
class Subject:
    """What a statement is about.

    Attributes:
        release: `<dataset>/<version>`.
        certificate: SHA-256 of its certificate.json.
        requester: id of the key that signed the bundle.
    """

    release: str
    certificate: str
    requester: str


@dataclass(frozen=True)
class Wish:
    """What somebody decides about a release, before it is signed.

    Attributes:
        kind: approve or withdraw.
        words: the purpose of an approval, the reason of a withdrawal.
        conditions: under which it is approved; empty: none.
        expires: the last day, in UTC, on which the approval holds; None: it holds until it is withdrawn.

    Raises:
        SigningError: if the words are missing, too long, or not printable.
    """

    kind: Kind
    words: str
    conditions: str = ""
    expires: date | None = None

    def __post_init__(self) -> None:
        needed = "purpose" if self.kind == "approve" else "reason"
        for what, text in ((needed, self.words), ("conditions", self.conditions)):
            if (what == needed and not text.strip()) or not _is_one_line(text):
                least = 1 if what == needed else 0
                raise SigningError(f"{what}: give {least} to {LONGEST_WORDS} printable characters; it is kept for good")


@dataclass(frozen=True)
class Decision:
    """A signed statement about a release, its signature checked.

    Attributes:
        kind: approve or withdraw.
        subject: what it is about.
        key_id: who signed it.
        words: the purpose of an approval, the reason of a withdrawal.
        conditions: under which it was approved; empty: none.
        expires: the last day, in UTC, on which an approval holds; None: it holds until it is withdrawn.
        decided_at: when it was signed, by the signer's clock.
        envelope: the text of the envelope.
    """

    kind: Kind
    subject: Subject
    key_id: str
    words: str
    conditions: str
    expires: date | None
    decided_at: datetime
    envelope: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the envelope's text, as `sha256sum` prints it of the file."""
        return hashlib.sha256(self.envelope).hexdigest()

    def holds_at(self, now: datetime) -> bool:
        """Whether an approval's time is not over."""
        return not is_expired(_day(self.expires), now)


@dataclass(frozen=True)
class Standing:
    """Where a release stands at a moment.

    Attributes:
        state: see the module.
        approval: the newest approval; None before there is one.
        withdrawal: the withdrawal, if there is one.
    """

    state: State
    approval: Decision | None = None
    withdrawal: Decision | None = None

    @property
    def decision(self) -> Decision | None:
        """The statement that the state rests on; None for a candidate."""
        return self.withdrawal or self.approval

    @property
    def mark(self) -> str:
        """One text for the state and the statement that it rests on, by which what was told of it is found again."""
        return self.state if self.decision is None else f"{self.state} {self.decision.digest}"


@dataclass(frozen=True)
class ApprovedRelease:
    """An approved release, as assets after it get it; it was looked at again when it was loaded.

    Attributes:
        dataset: which dataset.
        version: its version.
        place: where its bundle lies, a path or `s3://…`.
        approver: id of the key that approved it.
        purpose: for what.
        conditions: under which conditions; empty: none.
        expires: the last day, in UTC, as an ISO date; None: until it is withdrawn.
        statement: SHA-256 of the statement.
    """

    dataset: str
    version: str
    place: str
    approver: str
    purpose: str
    conditions: str
    expires: str | None
    statement: str


def state_of(subject: Subject, envelopes: Iterable[bytes], *, now: datetime) -> State:
    """The state of a release: what everybody goes by. See `standing_of` for the statements behind it."""
    return standing_of(subject, envelopes, now=now).state


def standing_of(subject: Subject, envelopes: Iterable[bytes], *, now: datetime) -> Standing:
    """The state of a release, and the statements that it rests on.

    What is no statement of this program's, whose signature does not hold, that is about another release or another certificate, or
    approves by the requester's own key, does not count.

    Args:
        subject: the release, as it lies there now.
        envelopes: statements that were found, in the order in which they were kept.
        now: the time, in UTC.
    """
    found = [one for one in map(_decision_or_none, envelopes) if one is not None and one.subject == subject]
    withdrawal = next((one for one in found if one.kind == "withdraw"), None)
    approvals = [one for one in found if one.kind == "approve" and one.key_id != subject.requester]
    approval = approvals[-1] if approvals else None
    if withdrawal is not None:
        return Standing("withdrawn", approval, withdrawal)
    if approval is None:
        return Standing("candidate")
    return Standing("approved" if approval.holds_at(now) else "expired", approval)


def sign(subject: Subject, wish: Wish, key: "Ed25519PrivateKey", *, now: datetime) -> bytes:
    """The envelope of a decision about a release.

    Args:
        subject: what is decided about.
        wish: what is decided.
        key: whose decision it is.
        now: the time, in UTC.
    """
    day = _day(wish.expires)
    is_approval = wish.kind == "approve"
    told = (
        {"purpose": wish.words, "conditions": wish.conditions, "expires": day}
        if is_approval
        else {"reason": wish.words}
    )
    content = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": CERTIFICATE, "digest": {"sha256": subject.certificate}}],
        "predicateType": APPROVAL_TYPE,
        "predicate": {
            "release": subject.release,
            "decision": wish.kind,
            "requester": subject.requester,
            "approver": {"keyid": key_id(key.public_key()), "publicKey": public_bytes(key.public_key()).decode()},
            **told,
            "decidedAt": _moment(now),
        },
    }
    return seal((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode(), key)


def read_decision(envelope: bytes, *, where: str) -> Decision:
    """A signed statement, if it is one.

    Args:
        envelope: text of the envelope.
        where: name of its file, for messages.

    Raises:
        SigningError: if it is no statement about a release, or its signature does not hold.
    """
    try:
        content = read_json(envelope_parts(envelope, where=where).payload)
        public = content["predicate"]["approver"]["publicKey"].encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise SigningError(f"{where}: is no signed statement about a release; make one with --sign-only") from None
    opened = open_envelope(envelope, public_key_of(public, where=where), where=where)
    try:
        return _read(opened.statement, opened.key_id, envelope)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise SigningError(f"{where}: is signed, but is no statement about a release; refuse it") from None


def require_acceptable(
    decision: Decision, subject: Subject, standing: Standing, *, approvers: Sequence[str], now: datetime
) -> None:
    """Refuse a statement that may not be kept.

    Whether a key may approve is judged here, once, by the specification of this moment. Stopping takes two eyes only: the requester,
    the approver and every key that may approve may withdraw.

    Args:
        decision: the statement.
        subject: the release that it was given for.
        standing: where that release stands.
        approvers: ids of the keys that may approve; empty: any key but the requester's.
        now: the time, in UTC.

    Raises:
        ApprovalRefused: in one line.
    """
    name = subject.release
    if decision.subject != subject:
        raise ApprovalRefused(
            f"{name}: the statement is about {_about(decision, subject)}; sign one about this release"
        )
    if decision.decided_at > now + _CLOCKS_APART:
        raise ApprovalRefused(
            f"{name}: the statement was signed at {_moment(decision.decided_at)}, in the future; set the clocks"
        )
    if standing.withdrawal is not None:
        raise ApprovalRefused(
            f"{name}: was withdrawn ({standing.withdrawal.words}), which is final; make a new release"
        )
    if decision.kind == "withdraw":
        _require_may_withdraw(decision, standing, approvers)
    else:
        _require_may_approve(decision, standing, approvers, now)


def require_passed_checks(certificate: Mapping[str, Any], *, name: str) -> None:
    """Refuse a release whose own certificate says that a blocking check failed, or that its audit contradicts its guarantee.

    Raises:
        ApprovalRefused: naming what failed.
    """
    predicate = certificate["predicate"]
    failed = list(predicate["validation"]["blockingFailures"])
    audit = predicate["audit"]
    if failed:
        raise ApprovalRefused(
            f"{name}: blocking checks failed: {shown_name(', '.join(map(str, failed)))}; make a release that passes them"
        )
    if isinstance(audit, dict) and audit.get("contradicts"):
        raise ApprovalRefused(f"{name}: its audit contradicts its guarantee; do not hand out anything of that walk")


def parse_expiry(text: str) -> date:
    """The last day on which an approval holds, in UTC.

    Raises:
        SigningError: for a text that is no ISO date.

    Example:
        >>> parse_expiry("2026-12-31")
        datetime.date(2026, 12, 31)
    """
    try:
        return iso_day(text)
    except ValueError:
        raise SigningError(f"expires: {text!r} is no date; give the last day, such as 2026-12-31") from None


def _require_may_approve(decision: Decision, standing: Standing, approvers: Sequence[str], now: datetime) -> None:
    name, key = decision.subject.release, decision.key_id
    if key == decision.subject.requester:
        raise ApprovalRefused(
            f"{name}: key {key} signed this release itself; a second person approves it with another key"
        )
    if approvers and key not in approvers:
        raise ApprovalRefused(f"{name}: key {key} may not approve; release.approvers allows {', '.join(approvers)}")
    before = standing.approval
    if before is not None and standing.state == "expired":
        raise ApprovalRefused(f"{name}: its approval expired (last day {_day(before.expires)}); make a new release")
    if before is not None:
        raise ApprovalRefused(f"{name}: was approved already, by key {before.key_id} at {_moment(before.decided_at)}")
    if not decision.holds_at(now):
        raise ApprovalRefused(f"{name}: the approval's last day {_day(decision.expires)} is over; give a later one")


def _require_may_withdraw(decision: Decision, standing: Standing, approvers: Sequence[str]) -> None:
    allowed = {*approvers, decision.subject.requester}
    if standing.approval is not None:
        allowed.add(standing.approval.key_id)
    if approvers and decision.key_id not in allowed:
        raise ApprovalRefused(
            f"{decision.subject.release}: key {decision.key_id} may not withdraw; these may: {', '.join(sorted(allowed))}"
        )


def _about(decision: Decision, subject: Subject) -> str:
    other = decision.subject
    if other.release != subject.release:
        return f"release {other.release}"
    if other.certificate != subject.certificate:
        return "another certificate of that name"
    return f"a release that key {other.requester} signed"


def _read(statement: Mapping[str, Any], key: str, envelope: bytes) -> Decision:
    """The decision of a signed statement; each field of its type, or ValueError."""
    (item,), predicate = statement["subject"], statement["predicate"]
    kind: Any = predicate["decision"]
    is_approval = kind == "approve"
    words = predicate["purpose" if is_approval else "reason"]
    conditions = predicate["conditions"] if is_approval else ""
    expires = predicate["expires"] if is_approval else None
    subject = Subject(predicate["release"], item["digest"]["sha256"], predicate["requester"])
    texts = (words, conditions, *vars(subject).values())
    if (statement["_type"], statement["predicateType"], item["name"]) != (STATEMENT_TYPE, APPROVAL_TYPE, CERTIFICATE):
        raise ValueError("another kind of statement")
    if kind not in ("approve", "withdraw") or not all(isinstance(text, str) for text in texts):
        raise ValueError("a field of another type")
    if not words or not all(map(_is_one_line, texts)) or predicate["approver"]["keyid"] != key:
        raise ValueError("words that no command would sign, or the name of another key")
    until, at = None if expires is None else iso_day(expires), datetime.fromisoformat(predicate["decidedAt"])
    if at.tzinfo is None:
        raise ValueError("a time without its offset")
    return Decision(kind, subject, key, words, conditions, until, at.astimezone(UTC), envelope)


def _is_one_line(text: str) -> bool:
    """Whether a text may be shown and kept: a terminal or a page acts on nothing in it."""
    return text.isprintable() and len(text) <= LONGEST_WORDS


def _decision_or_none(envelope: bytes) -> Decision | None:
    try:
        return read_decision(envelope, where="statement")
    except SigningError:
        return None


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _day(last: date | None) -> str | None:
    return None if last is None else last.isoformat()
