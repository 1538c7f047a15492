"""The certificate: an in-toto statement that says what was promised about which files.

Digests form a chain without a circle. The *claim* (predicate type and predicate) knows no file; its digest is written into the key-value
metadata of data.parquet as `synth_pipeline.certificate_digest`. The statement's *subjects* are the finished files with their plain SHA-256,
as `sha256sum` prints it. So a file names the claim it was released under, and the statement names the files, and either can be checked
offline. The statement is not signed yet, and says so.

Source:
    in-toto Attestation Framework, Statement v1.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth_pipeline.release.facts import NEIGHBOURS, ReleaseFacts, mechanism_words

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:synth-pipeline:differentially-private-release:v1"


def claim(facts: ReleaseFacts) -> dict[str, Any]:
    """The part of the certificate that knows no file: predicate type and predicate."""
    return {"predicateType": PREDICATE_TYPE, "predicate": _predicate(facts)}


def claim_digest(claimed: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces, UTF-8) of a claim, or of the claim in a statement."""
    bare = {key: claimed[key] for key in ("predicateType", "predicate")}
    canonical = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def statement(claimed: Mapping[str, Any], files: list[Path]) -> dict[str, Any]:
    """The whole certificate over finished files."""
    subject = [{"name": path.name, "digest": {"sha256": file_digest(path)}} for path in files]
    return {"_type": STATEMENT_TYPE, "subject": subject, **claimed}


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        "ledger": {"entry": facts.ledger_entry},
        "validation": _validation(facts),
        "audit": "not audited" if facts.audit is None else dict(facts.audit),
        "approval": {"required": facts.spec.release.approval, "state": "not approved"},
        "signature": "unsigned",
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
