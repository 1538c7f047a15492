"""A small signed and approved bundle, and the keys of its requester, its approver and a stranger."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from synth_pipeline.release.bundle import write_bundle
from synth_pipeline.release.keys import new_key
from synth_pipeline.release.signer import Signer
from synth_pipeline_tests.released_example import example_facts, example_table

PASSPHRASE = "five words that nobody guesses"
PAGE = "<!DOCTYPE html><title>report</title>"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
_ROWS = 60


@dataclass(frozen=True)
class Keys:
    """The keys of three people."""

    requester: Signer
    approver: Signer
    stranger: Signer


def make_keys(folder: Path) -> Keys:
    """Three key pairs in a folder, `NAME.key` and `NAME.key.pub`."""
    for name in ("requester", "approver", "stranger"):
        new_key(folder / f"{name}.key", PASSPHRASE)
    return Keys(
        *(Signer(folder / f"{name}.key", passphrase=PASSPHRASE) for name in ("requester", "approver", "stranger"))
    )


@cache
def small_facts():
    """Facts of a table of few rows."""
    return example_facts(frame=small_table())


@cache
def small_table():
    """A table of few rows."""
    return example_table(_ROWS)


def small_bundle(folder: Path, signer: Signer | None, **changes) -> Path:
    """A release of the small table; its version is the name of its folder."""
    facts = replace(small_facts(), version=folder.name, signed_by=signer.key_id if signer else None, **changes)
    return write_bundle(folder, facts, small_table(), report=PAGE, signer=signer)


def approve(
    bundle: Path, keys: Keys, *, by: Signer | None = None, subject: str = "certificate.json", **changes
) -> None:
    """Write an approval into a bundle, as `synth-pipeline approve` does."""
    digest = hashlib.sha256((bundle / "certificate.json").read_bytes()).hexdigest()
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": subject, "digest": {"sha256": digest}}],
        "predicateType": "urn:synth-pipeline:release-approval:v1",
        "predicate": {
            "release": f"clinic/{bundle.name}",
            "decision": "approve",
            "requester": keys.requester.key_id,
            "purpose": "teaching",
            "conditions": [],
            "expires": "2026-12-31",
            "decidedAt": "2026-05-01T10:00:00+00:00",
            **changes,
        },
    }
    (bundle / "approval").write_bytes((by or keys.approver).seal(json.dumps(statement, indent=2).encode()))
