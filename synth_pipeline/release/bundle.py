"""The bundle of a release: data, schema, certificate, datasheet, report and more in one folder, written whole or not at all.

The certificate names every file; where somebody signs, `signature` is the envelope over the certificate. Only public and released facts
are in it. An existing version is never overwritten. A walk that was cut off after its release was there makes it once more: then the one
that is there stands.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from synth_pipeline.errors import CheckFailed, SigningError, SynthPipelineError
from synth_pipeline.privacy.gate import refuse_private
from synth_pipeline.release.card import card
from synth_pipeline.release.certificate import claim, claim_digest, statement
from synth_pipeline.release.croissant import croissant
from synth_pipeline.release.datasheet import datasheet
from synth_pipeline.release.facts import NEIGHBOURS, ReleaseFacts
from synth_pipeline.release.lineage import released_lineage
from synth_pipeline.release.schema import released_schema, with_column_metadata
from synth_pipeline.release.signer import Signer
from synth_pipeline.release.statement import (
    CARD,
    CERTIFICATE,
    CROISSANT,
    DATA,
    DATASHEET,
    LINEAGE,
    METADATA_PREFIX,
    REPORT,
    SCHEMA,
    SIGNATURE,
    TRUST_MAP,
)
from synth_pipeline.release.verify import same_release, verify_digests

__all__ = ["ReleaseFacts", "verify_digests", "write_bundle"]


def write_bundle(
    folder: Path, facts: ReleaseFacts, frame: pd.DataFrame, *, report: str, signer: Signer | None = None
) -> Path:
    """Write a release into a new folder.

    Args:
        folder: where; its name is the version. Its parent is made where it is missing.
        facts: what the release states.
        frame: the synthetic table.
        report: the publishable HTML page (see `report.release_report`).
        signer: who signs it, as the facts say; without one it is unsigned, and says so.

    Returns:
        The folder; where the same release is in it already, that one, untouched.

    Raises:
        SynthPipelineError: if the folder holds anything else, or the facts are about another table.
        CheckFailed: if a blocking expectation failed.
        PrivacyError: if the table is marked as private.
        SigningError: if the key cannot be used, or is not the one that the facts name.

    Privacy:
        Post-processing of released values; nothing computed from real rows goes in.
    """
    refuse_private(frame, where=str(folder))
    _require_releasable(folder, facts, frame)
    _require_signer(folder, facts, signer)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _write_files(draft, facts, frame, report)
        if signer is not None:
            (draft / SIGNATURE).write_bytes(signer.seal((draft / CERTIFICATE).read_bytes()))
        _settle_on_disk(draft)
        draft.chmod(0o755)
        _publish(draft, folder, signer)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def _require_releasable(folder: Path, facts: ReleaseFacts, frame: pd.DataFrame) -> None:
    if len(frame) != facts.rows:
        raise SynthPipelineError(
            f"{folder}: the table has {len(frame)} rows and its facts say {facts.rows}; give the table they are about"
        )
    if list(frame.columns) != list(facts.spec.columns):
        raise SynthPipelineError(
            f"{folder}: the table's columns are not the specification's, in its order; give the synthetic table"
        )
    failed = [outcome.expectation.name for outcome in facts.outcomes if outcome.is_blocking_failure]
    if failed:
        raise CheckFailed(f"{folder}: blocking expectations failed: {', '.join(failed)}; nothing was released")


def _require_signer(folder: Path, facts: ReleaseFacts, signer: Signer | None) -> None:
    key_id = None if signer is None else signer.key_id
    if key_id != facts.signed_by:
        raise SigningError(
            f"{folder}: its facts name {facts.signed_by or 'no key'} as signer, and {key_id or 'no key'} would sign; give both the same"
        )


@dataclass(frozen=True, eq=False)
class Draft:
    """What the files of a bundle are made of.

    Attributes:
        folder: where the bundle is being written; data.parquet and the texts before one's own are in it already.
        facts: what the release states.
        table: the synthetic table, as it goes into data.parquet.
        schema: content of schema.json.
        report: the publishable page.
        certificate_digest: digest of the claim.
    """

    folder: Path
    facts: ReleaseFacts
    table: pa.Table
    schema: Mapping[str, Any]
    report: str
    certificate_digest: str


TEXTS: Mapping[str, Callable[[Draft], str]] = {
    SCHEMA: lambda draft: _json(draft.schema),
    DATASHEET: lambda draft: datasheet(draft.facts, draft.schema),
    REPORT: lambda draft: draft.report,
    CROISSANT: lambda draft: _json(
        croissant(draft.facts, draft.schema, draft.folder / DATA, certificate_digest=draft.certificate_digest)
    ),
    CARD: lambda draft: _json(card(draft.facts, certificate_digest=draft.certificate_digest)),
    LINEAGE: lambda draft: _json(released_lineage(draft.facts, draft.table.to_pandas()).to_json()),
    TRUST_MAP: lambda draft: _json({} if draft.facts.trust is None else draft.facts.trust.to_json()),
}
"""Each text file of a bundle and how it is made, in the order in which they are written; a new file of a bundle is one line here."""

BUNDLE_FILES = (DATA, *TEXTS)
"""The files that a certificate names, in its order."""


def _write_files(folder: Path, facts: ReleaseFacts, frame: pd.DataFrame, report: str) -> None:
    claimed = claim(facts)
    table = with_column_metadata(pa.Table.from_pandas(frame, preserve_index=False), facts.spec)
    schema = released_schema(facts, {name: str(table.schema.field(name).type) for name in frame.columns})
    draft = Draft(folder, facts, table, schema, report, claim_digest(claimed))
    _write_data(draft)
    for name, text in TEXTS.items():
        (folder / name).write_text(text(draft), encoding="utf-8")
    signed = statement(claimed, [folder / name for name in BUNDLE_FILES])
    (folder / CERTIFICATE).write_text(_json(signed), encoding="utf-8")


def _settle_on_disk(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _write_data(draft: Draft) -> None:
    stated = privacy_metadata(draft.facts, draft.certificate_digest)
    own = {key.encode(): value.encode() for key, value in stated.items()}
    kept = draft.table.schema.metadata or {}
    pq.write_table(draft.table.replace_schema_metadata({**kept, **own}), draft.folder / DATA)


def privacy_metadata(facts: ReleaseFacts, certificate_digest: str) -> dict[str, str]:
    """The privacy facts that data.parquet carries in its key-value metadata."""
    stated = {
        "epsilon": repr(facts.epsilon),
        "delta": repr(facts.delta),
        "unit": facts.unit,
        "neighbours": NEIGHBOURS,
        "certificate_digest": certificate_digest,
        "dataset": facts.dataset,
        "version": facts.version,
    }
    return {METADATA_PREFIX + key: value for key, value in stated.items()}


def _publish(draft: Path, folder: Path, signer: Signer | None) -> None:
    """Give the finished draft its name; a folder that is there wins, and has to hold the same release, by the same signer."""
    try:
        draft.rename(folder)  # fails where a folder with anything in it has the name
    except OSError:
        if not folder.exists():
            raise
        if not same_release(folder, draft) or not _is_sealed_by(signer, folder):
            raise SynthPipelineError(
                f"{folder}: this version exists; a release is never overwritten: make a new version"
            ) from None
        shutil.rmtree(draft)


def _is_sealed_by(signer: Signer | None, folder: Path) -> bool:
    """Whether a release that is whole carries the very envelope that the signer would write; so it does where nobody signs."""
    return signer is None or signer.seal((folder / CERTIFICATE).read_bytes()) == (folder / SIGNATURE).read_bytes()


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
