"""What an approval must be for a bundle to count as approved, checked offline.

Belongs here: an envelope, an approver's public key, and a certificate. Does not: making approvals, or withdrawing them (approval).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from synth_pipeline.errors import SigningError
from synth_pipeline.release.certificate_check import Certificate
from synth_pipeline.release.envelope import envelope_parts, open_envelope
from synth_pipeline.release.keys import key_id, public_key_of
from synth_pipeline.release.statement import (
    APPROVAL,
    APPROVAL_TYPE,
    CERTIFICATE,
    STATEMENT_TYPE,
    Fault,
    is_expired,
    read_json,
    shown_name,
)

_TEXTS = ("release", "decision", "requester", "purpose", "decidedAt")


@dataclass(frozen=True)
class PublicKey:
    """A public key as it was given.

    Attributes:
        text: content of its file.
        name: how messages call it, such as the name of its file.
    """

    text: bytes
    name: str


@dataclass(frozen=True, eq=False)
class Approved:
    """What an approval has to be about.

    Attributes:
        certificate: of the bundle.
        digest: SHA-256 of the certificate, byte for byte.
        requesters: ids of the keys that may not approve.
        now: the time, with its zone.
    """

    certificate: Certificate
    digest: str
    requesters: frozenset[str]
    now: datetime


def check_approval(
    envelope: bytes, approver: PublicKey, about: Approved
) -> tuple[tuple[Fault, ...], Mapping[str, Any] | None]:
    """Faults of an approval, and its predicate where there are none.

    Args:
        envelope: content of the file `approval`.
        approver: whose approval is expected.
        about: the bundle.

    Raises:
        SigningError: if the approver's key is none.
    """
    key = public_key_of(approver.text, where=approver.name)
    try:
        named = envelope_parts(envelope, where=APPROVAL).key_id
        if named != key_id(key):
            words = f"was made by key {named}, not by key {key_id(key)} of {approver.name}"
            return (Fault(APPROVAL, f"{words}; get the approver's key by another way than the bundle"),), None
        statement = open_envelope(envelope, key, where=APPROVAL).statement
    except SigningError as refusal:
        return (Fault(APPROVAL, str(refusal).removeprefix(f"{APPROVAL}: ")),), None
    faults = tuple(Fault(APPROVAL, words) for words in _faults(statement, named, about))
    return faults, None if faults else statement["predicate"]


def withdrawal_in(envelope: bytes) -> Fault | None:
    """The fault that a file `approval` is which withdraws the release, whoever signed it; None where it says anything else.

    No key is asked for: who put a forged withdrawal in a copy could as well have spoilt it, so a doubtful one stops its use too.
    """
    try:
        predicate = read_json(envelope_parts(envelope, where=APPROVAL).payload)["predicate"]
        if predicate["decision"] != "withdraw":
            return None
        return Fault(APPROVAL, _withdrawn(predicate))
    except (SigningError, ValueError, RecursionError, KeyError, TypeError):
        return None


def _withdrawn(predicate: Mapping[str, Any]) -> str:
    return f"withdraws the release: {shown_name(str(predicate.get('reason')))}; do not use it any more"


def _faults(statement: Mapping[str, Any], signer: str, about: Approved) -> Iterator[str]:
    if statement.get("_type") != STATEMENT_TYPE or statement.get("predicateType") != APPROVAL_TYPE:
        yield f"is no in-toto statement of type {APPROVAL_TYPE}"
        return
    if statement.get("subject") != [{"name": CERTIFICATE, "digest": {"sha256": about.digest}}]:
        yield f"is about another {CERTIFICATE}"
    if signer in about.requesters:
        yield "was made with the requester's own key; a release takes two"
    predicate = statement.get("predicate")
    if isinstance(predicate, dict) and predicate.get("decision") == "withdraw":
        yield _withdrawn(predicate)
        return
    if not isinstance(predicate, dict) or not all(isinstance(predicate.get(name), str) for name in _TEXTS):
        yield f"does not state {', '.join(_TEXTS)}"
        return
    if predicate["release"] != about.certificate.release:
        yield f"is of another release than {about.certificate.release}"
    if predicate["decision"] != "approve":
        yield "does not approve"
    if predicate["requester"] != about.certificate.signed_by:
        yield "names another requester than the certificate's signer"
    yield from _expiry(predicate.get("expires"), about.now)


def _expiry(expires: object, now: datetime) -> Iterator[str]:
    try:
        if expires is not None and not isinstance(expires, str):
            raise ValueError
        if is_expired(expires, now):
            yield f"expired: it held until {expires}; ask the owner for a release that is approved today"
    except ValueError:
        yield "its expires is neither null nor a date such as 2027-01-31"
