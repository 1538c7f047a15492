"""Offline check of a bundle: its requester signed its certificate, every file is the one named there, and a second key approved it.

Belongs here: what a stranger runs, who has the folder and public keys alone. Does not: who may approve, or withdrawals after the bundle
was handed out, which no copy can know of. It loads cryptography and pyarrow, and nothing else that is not in the standard library.

Nothing is believed before what vouches for it: the certificate is read from the signed payload, and data.parquet is opened only after its
digest was found to be the one that is named there.

| what is wrong | the file that is said to be at fault |
|---|---|
| a byte of a file changed; a file is missing, a link or a folder; no certificate names it | that file |
| certificate.json is not what was signed | certificate.json |
| the envelope is damaged, missing, or by another key than the one that was given | signature |
| the metadata of data.parquet states another guarantee than the certificate | data.parquet |
| the approval is damaged, of another release, by the requester, by another key, or expired | approval |
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from synth_pipeline.errors import SigningError, SynthPipelineError
from synth_pipeline.release.approval_check import Approved, PublicKey, check_approval, withdrawal_in
from synth_pipeline.release.certificate_check import Certificate, data_faults, form_faults, read_certificate
from synth_pipeline.release.envelope import envelope_parts, open_envelope
from synth_pipeline.release.keys import key_id, public_key_of
from synth_pipeline.release.statement import (
    APPROVAL,
    CERTIFICATE,
    DATA,
    LARGEST_STATEMENT,
    SEALS,
    SIGNATURE,
    STORE_NOTE,
    Fault,
    file_digest,
)

_UNREADABLE = "cannot be read as a certificate"
_THERE = ("is no plain file", "cannot be read (", "is larger than")
NOT_CHECKED = "not checked: give --approver"


@dataclass(frozen=True, eq=False)
class Verified:
    """What a check found.

    Attributes:
        faults: what is wrong; empty where everything holds.
        certificate: the certificate, where the key that was given signed it; None otherwise, for then nothing vouches for it.
        approval: predicate of an approval that holds; None where there is none, or it was not checked.
        approval_words: the approval in a few words.
    """

    faults: tuple[Fault, ...]
    certificate: Certificate | None
    approval: Mapping[str, Any] | None
    approval_words: str

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verify_bundle(
    folder: Path, *, key: PublicKey | bytes, approver: PublicKey | bytes | None = None, now: datetime | None = None
) -> Verified:
    """Check a bundle from its folder and public keys alone; nothing else is read, and no network is used.

    Args:
        folder: a release.
        key: the requester's public key, as the text of its file; with a name, messages use it.
        approver: the approver's; without it an approval is not checked, and with it there has to be one.
        now: the time by which approvals expire, with its zone; default: the clock of this machine.

    Raises:
        SigningError: if a key is not the text of a public key's file.
        SynthPipelineError: if there is no such folder.
    """
    key = key if isinstance(key, PublicKey) else PublicKey(key, "the public key")
    approver = PublicKey(approver, "the approver's public key") if isinstance(approver, bytes) else approver
    requester = key_id(public_key_of(key.text, where=key.name))
    if approver is not None:
        public_key_of(approver.text, where=approver.name)
    files, faults = _files_in(folder)
    seals, unread = _seals_in(files)
    payload, signing = _signed_payload(seals, key)
    faults += [*unread, *signing]
    text = payload if payload is not None else seals.get(CERTIFICATE)
    certificate = read_certificate(text) if text is not None else None
    if certificate is None:
        faults += [] if text is None else [Fault(CERTIFICATE, _UNREADABLE)]
        return Verified(_in_order(faults), None, None, "not checked")
    faults += _content_faults(files, certificate, is_vouched_for=payload is not None)
    if payload is not None and certificate.signed_by != requester:
        faults.append(Fault(CERTIFICATE, "says that another key signs it than the one that did"))
    about = Approved(
        certificate,
        hashlib.sha256(text or b"").hexdigest(),
        frozenset({requester, certificate.signed_by or requester}),
        now or datetime.now(UTC),
    )
    found, approval, words = _approval(seals.get(APPROVAL), approver, about)
    faults += found
    return Verified(_in_order(faults), certificate if payload is not None else None, approval, words)


def verify_digests(folder: Path) -> list[str]:
    """Faults of a bundle, one line each; empty if every file is what the certificate says.

    A digest proves that nothing changed since the certificate was written, not who wrote it: that takes a public key, and
    `verify_bundle`. The signature is looked at for what it is over, not for whether it holds.

    Args:
        folder: a release.
    """
    files, faults = _files_in(folder)
    seals, unread = _seals_in(files)
    faults += unread
    text = seals.get(CERTIFICATE)
    certificate = read_certificate(text) if text is not None else None
    if certificate is None:
        faults.append(Fault(CERTIFICATE, "missing" if text is None else _UNREADABLE))
        return [str(fault) for fault in _in_order(faults)]
    faults += _content_faults(files, certificate, is_vouched_for=True)
    faults += _sealing_faults(seals.get(SIGNATURE), text or b"", certificate)
    return [str(fault) for fault in _in_order(faults)]


def same_release(first: Path, second: Path) -> bool:
    """Whether two folders hold the same release, made twice: whole bundles of one table and one claim, but for when each was made.

    The claim says which key signs, so that a release that is signed and one that is not are two.

    Args:
        first: a release.
        second: another, or the same.
    """
    if verify_digests(first) or verify_digests(second):
        return False
    import pyarrow.parquet as pq

    return _bare_claim(first) == _bare_claim(second) and pq.read_table(first / DATA).equals(
        pq.read_table(second / DATA)
    )


def _bare_claim(folder: Path) -> Mapping[str, Any]:
    """The claim of a release that is whole, without when it was made: at what time, at which head of the ledger, by which runs."""
    predicate: dict[str, Any] = json.loads((folder / CERTIFICATE).read_text(encoding="utf-8"))["predicate"]
    predicate["ledger"] = {"entry": predicate["ledger"]["entry"]}
    return {name: fact for name, fact in predicate.items() if name not in ("createdAt", "links")}


def _files_in(folder: Path) -> tuple[dict[str, Path], list[Fault]]:
    """The plain files of a folder, and what else lies there."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise SynthPipelineError(
            f"{folder}: cannot be listed ({type(error).__name__}); give the folder of a release, unpacked"
        ) from None
    plain = {entry.name: Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False)}
    strange = [entry.name for entry in entries if entry.name not in plain]
    return plain, [Fault(name, "is no plain file; a bundle holds no links and no folders") for name in strange]


def _seals_in(files: Mapping[str, Path]) -> tuple[dict[str, bytes], list[Fault]]:
    """Certificate, signature and approval, as far as they are there and can be read; each is small, and a larger one is not read."""
    seals: dict[str, bytes] = {}
    faults: list[Fault] = []
    for name in SEALS:
        if name not in files:
            continue
        try:
            with files[name].open("rb") as file:
                content = file.read(LARGEST_STATEMENT + 1)
        except OSError as error:
            faults.append(Fault(name, f"cannot be read ({type(error).__name__})"))
            continue
        if len(content) > LARGEST_STATEMENT:
            faults.append(Fault(name, f"is larger than {LARGEST_STATEMENT >> 20} MiB, which none of this program's is"))
            continue
        seals[name] = content
    return seals, faults


def _signed_payload(seals: Mapping[str, bytes], key: PublicKey) -> tuple[bytes | None, list[Fault]]:
    """What the key signed, or None; and the faults of signature and certificate.json."""
    text = seals.get(CERTIFICATE)
    missing = [Fault(CERTIFICATE, "missing")] if text is None else []
    envelope = seals.get(SIGNATURE)
    if envelope is None:
        return None, [*missing, Fault(SIGNATURE, "missing: nothing says who made this bundle")]
    public = public_key_of(key.text, where=key.name)
    try:
        named = envelope_parts(envelope, where=SIGNATURE).key_id
        if named != key_id(public):
            words = f"was made by key {named}, not by key {key_id(public)} of {key.name}"
            return None, [*missing, Fault(SIGNATURE, f"{words}; get the key by another way than the bundle")]
        payload = open_envelope(envelope, public, where=SIGNATURE).payload
    except SigningError as refusal:
        return None, [*missing, Fault(SIGNATURE, str(refusal).removeprefix(f"{SIGNATURE}: "))]
    changed = [Fault(CERTIFICATE, "is not what was signed")] if text not in (None, payload) else []
    return payload, [*missing, *changed]


def _sealing_faults(envelope: bytes | None, text: bytes, certificate: Certificate) -> Iterator[Fault]:
    """Whether there is a signature where the certificate says so, over the certificate and by the key that it names."""
    if (envelope is None) != (certificate.signed_by is None):
        yield Fault(SIGNATURE, "missing" if envelope is None else "is there, though the certificate says unsigned")
    if envelope is None or certificate.signed_by is None:
        return
    try:
        parts = envelope_parts(envelope, where=SIGNATURE)
    except SigningError as refusal:
        yield Fault(SIGNATURE, str(refusal).removeprefix(f"{SIGNATURE}: "))
        return
    if parts.key_id != certificate.signed_by:
        yield Fault(SIGNATURE, "was made by another key than the certificate says")
    if parts.payload != text:
        yield Fault(SIGNATURE, f"is over another {CERTIFICATE}")


def _content_faults(files: Mapping[str, Path], certificate: Certificate, *, is_vouched_for: bool) -> Iterator[Fault]:
    """Whether the files are those of a certificate; what is in the table is read only where somebody vouches for the certificate."""
    yield from form_faults(certificate)
    for name, digest in certificate.subjects.items():
        path = files.get(name)
        if path is None:
            yield Fault(name, "missing")
        elif (found := _digest(path)) is None:
            yield Fault(name, "cannot be read")
        elif found != digest:
            yield Fault(name, "differs from what the certificate names")
        elif name == DATA and is_vouched_for:
            yield from data_faults(path, certificate)
    for name in files:
        if name == STORE_NOTE and name not in certificate.subjects:
            yield from _note_faults(files)
        elif name not in certificate.subjects and name not in SEALS:
            yield Fault(name, "not named by the certificate")


def _note_faults(files: Mapping[str, Path]) -> Iterator[Fault]:
    """Whether a store's list of the files, which came along with a copied prefix, says no more and no less than what lies here."""
    others = {name: path for name, path in files.items() if name != STORE_NOTE}
    try:
        facts = {
            name: {"bytes": path.stat().st_size, "sha256": file_digest(path)} for name, path in sorted(others.items())
        }
        with files[STORE_NOTE].open("rb") as file:
            found = file.read(LARGEST_STATEMENT + 1)
    except OSError as error:
        yield Fault(STORE_NOTE, f"cannot be read ({type(error).__name__})")
        return
    if found != json.dumps({"files": facts}, sort_keys=True).encode():
        yield Fault(STORE_NOTE, "a store's list of other files than lie here; it is no part of a bundle: remove it")


def _approval(
    envelope: bytes | None, approver: PublicKey | None, about: Approved
) -> tuple[tuple[Fault, ...], Mapping[str, Any] | None, str]:
    if envelope is None:
        missing = (Fault(APPROVAL, "missing: nobody approved this bundle, or the approval was taken out"),)
        return missing if approver else (), None, "none: a candidate, which nobody approved"
    withdrawal = withdrawal_in(envelope)
    if withdrawal is not None:
        return (withdrawal,), None, "withdrawn"
    if approver is None:
        return (), None, NOT_CHECKED
    faults, predicate = check_approval(envelope, approver, about)
    return faults, predicate, "does not hold" if faults else "approved"


def _digest(path: Path) -> str | None:
    try:
        return file_digest(path)
    except OSError:
        return None


def _in_order(faults: list[Fault]) -> tuple[Fault, ...]:
    """Each fault once, in the order in which it was found; what is there and is of no use is not missing as well."""
    strange = {fault.file for fault in faults if fault.words.startswith(_THERE)}
    return tuple(dict.fromkeys(one for one in faults if one.file not in strange or not one.words.startswith("missing")))
