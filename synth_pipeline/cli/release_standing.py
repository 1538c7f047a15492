"""What is known of a release beside its lineage: who signed it, who approved it, what was tried against it.

Belongs here: putting it together for `lineage`. Does not: what a state means (release.approval), or who may decide (approve).
"""

import hashlib
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pipeline.errors import ApprovalRefused, SigningError, TableError

if TYPE_CHECKING:
    from synth_pipeline.integrations.approvals import KeptRelease
    from synth_pipeline.integrations.release_place import ReleaseBundle
    from synth_pipeline.integrations.stores import Home
    from synth_pipeline.release.approval import Standing

_BY_LEDGER = "the ledger of this installation"
_BY_FOLDER = "the release's folder alone: whether it was withdrawn since, only its owner knows"


def release_standing(bundle: "ReleaseBundle", home: "Home") -> dict[str, Any]:
    """Signature, approval and audit of a release as plain data; public and released facts only.

    Args:
        bundle: the release.
        home: the installation; its ledger is asked where it keeps this very release, else the file `approval` of the folder.
    """
    signature, audit = bundle.predicate.get("signature"), bundle.predicate.get("audit")
    return {
        "signed_by": signature.get("keyid") if isinstance(signature, dict) else None,
        "approval": _approval(bundle, home),
        "audit": audit if isinstance(audit, dict) else None,
    }


def _approval(bundle: "ReleaseBundle", home: "Home") -> dict[str, Any]:
    from synth_pipeline.integrations.approvals import release_in, standing
    from synth_pipeline.release.approval import Standing, standing_of
    from synth_pipeline.release.statement import APPROVAL

    kept = _kept(bundle, home)
    if kept is not None:
        return _plain(standing(home, kept), known_by=_BY_LEDGER)
    try:
        subject = release_in(bundle.folder).subject
    except (ApprovalRefused, SigningError) as fault:
        return {"state": "unknown", "words": str(fault), "known_by": _BY_FOLDER}
    statement = bundle.folder / APPROVAL
    envelopes = [statement.read_bytes()] if statement.is_file() else []
    found = Standing("candidate") if subject is None else standing_of(subject, envelopes, now=datetime.now(UTC))
    return _plain(found, known_by=_BY_FOLDER)


def _kept(bundle: "ReleaseBundle", home: "Home") -> "KeptRelease | None":
    """The release as the installation keeps it; None where it keeps none of this name, or another one."""
    from synth_pipeline.integrations.approvals import find_release

    with suppress(ApprovalRefused, SigningError, TableError):
        kept = find_release(home, f"{bundle.lineage['dataset']}/{bundle.lineage['version']}")
        if kept.subject is None or kept.subject.certificate == _digest(bundle.folder):
            return kept
    return None


def _digest(folder: Path) -> str:
    from synth_pipeline.release.statement import CERTIFICATE

    return hashlib.sha256((folder / CERTIFICATE).read_bytes()).hexdigest()


def _plain(found: "Standing", *, known_by: str) -> dict[str, Any]:
    from synth_pipeline.integrations.approvals import state_words

    approval, withdrawal = found.approval, found.withdrawal
    told: dict[str, Any] = {"state": found.state, "words": state_words(found), "known_by": known_by}
    if approval is not None:
        told |= {
            "approved_by": approval.key_id,
            "purpose": approval.words,
            "conditions": approval.conditions,
            "expires": None if approval.expires is None else approval.expires.isoformat(),
            "approved_at": approval.decided_at.isoformat(),
        }
    if withdrawal is not None:
        told |= {
            "withdrawn_by": withdrawal.key_id,
            "reason": withdrawal.words,
            "withdrawn_at": withdrawal.decided_at.isoformat(),
        }
    return told
