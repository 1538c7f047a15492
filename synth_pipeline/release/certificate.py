"""The certificate: an in-toto statement that says what was promised about which files.

Digests form a chain without a circle. The *claim* (predicate type and predicate) knows no file; its digest is written into the key-value
metadata of data.parquet as `synth_pipeline.certificate_digest`. The statement's *subjects* are the finished files with their plain SHA-256,
as `sha256sum` prints it. So a file names the claim it was released under, and the statement names the files, and either can be checked
offline. The claim says who signs the statement, and that it
is a candidate: whoever approves signs a statement of his own over the finished certificate (see `approval`).

Source:
    in-toto Attestation Framework, Statement v1.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth_pipeline.release.facts import NEIGHBOURS, ReleaseFacts, mechanism_words
from synth_pipeline.release.statement import (
    CANDIDATE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    UNSIGNED,
    claim_digest,
    file_digest,
)

__all__ = ["claim", "claim_digest", "statement"]


def claim(facts: ReleaseFacts) -> dict[str, Any]:
    """The part of the certificate that knows no file: predicate type and predicate."""
    return {"predicateType": PREDICATE_TYPE, "predicate": _predicate(facts)}


def statement(claimed: Mapping[str, Any], files: list[Path]) -> dict[str, Any]:
    """The whole certificate over finished files."""
    subject = [{"name": path.name, "digest": {"sha256": file_digest(path)}} for path in files]
    return {"_type": STATEMENT_TYPE, "subject": subject, **claimed}


def _predicate(facts: ReleaseFacts) -> dict[str, Any]:
    return {
        "dataset": facts.dataset,
        "version": facts.version,
        "createdAt": facts.created_at,
        "rows": facts.rows,
        "epsilon": facts.epsilon,
        "delta": facts.delta,
        "composedEpsilon": facts.composed_epsilon,
        "unit": facts.unit,
        "neighbours": NEIGHBOURS,
        "accountant": facts.accountant,
        "mechanisms": [{**event, "words": mechanism_words(event)} for event in facts.events],
        "generator": dict(facts.generator),
        "specDigest": {"sha256": facts.spec.digest},
        "codeVersion": facts.code_version,
        "snapshot": {"hmac": facts.snapshot_fingerprint},
        "ledger": {"entry": facts.ledger_entry, **({"head": dict(facts.ledger_head)} if facts.ledger_head else {})},
        **({"links": dict(facts.links)} if facts.links else {}),
        "validation": _validation(facts),
        "audit": "not audited" if facts.audit is None else dict(facts.audit),
        "approval": {"required": facts.spec.release.approval, "state": CANDIDATE},
        "signature": UNSIGNED if facts.signed_by is None else {"keyid": facts.signed_by},
        **({"extra": dict(facts.extra)} if facts.extra else {}),
    }


def _validation(facts: ReleaseFacts) -> dict[str, Any]:
    failed = [outcome for outcome in facts.outcomes if not outcome.passed]
    return {
        "expectations": len(facts.outcomes),
        "passed": len(facts.outcomes) - len(failed),
        "blockingFailures": [outcome.expectation.name for outcome in failed if outcome.is_blocking_failure],
        "warnings": [outcome.expectation.name for outcome in failed if not outcome.is_blocking_failure],
        "outcomes": [outcome.to_dict() for outcome in facts.outcomes],
    }
