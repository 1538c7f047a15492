"""The bundle of a release: data, schema, certificate, datasheet and report in one folder, written whole or not at all.

Only public and released facts are in it. An existing version is never overwritten. A walk that was cut off after its release was there
makes it once more: then the one that is there stands.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from synth_pipeline.errors import CheckFailed, SynthPipelineError
from synth_pipeline.privacy.gate import refuse_private
from synth_pipeline.release.certificate import claim, claim_digest, statement
from synth_pipeline.release.datasheet import datasheet
from synth_pipeline.release.facts import NEIGHBOURS, ReleaseFacts
from synth_pipeline.release.schema import released_schema
from synth_pipeline.release.verify import CERTIFICATE, DATA, METADATA_PREFIX, same_release, verify_digests

__all__ = ["ReleaseFacts", "verify_digests", "write_bundle"]


def write_bundle(folder: Path, facts: ReleaseFacts, frame: pd.DataFrame, *, report: str) -> Path:
    """Write a release into a new folder.

    Args:
        folder: where; its name is the version. Its parent is made where it is missing.
        facts: what the release states.
        frame: the synthetic table.
        report: the publishable HTML page (see `report.release_report`).

    Returns:
        The folder; where the same release is in it already, that one, untouched.

    Raises:
        SynthPipelineError: if the folder holds anything else, or the facts are about another table.
        CheckFailed: if a blocking expectation failed.
        PrivacyError: if the table is marked as private.

    Privacy:
        Post-processing of released values; nothing computed from real rows goes in.
    """
    refuse_private(frame, where=str(folder))
    _require_releasable(folder, facts, frame)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _write_files(draft, facts, frame, report)
        draft.chmod(0o755)
        _publish(draft, folder)
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


def _write_files(draft: Path, facts: ReleaseFacts, frame: pd.DataFrame, report: str) -> None:
    claimed = claim(facts)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    stated = privacy_metadata(facts, claim_digest(claimed))
    own = {key.encode(): value.encode() for key, value in stated.items()}
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **own}), draft / DATA)
    schema = released_schema(facts, {name: str(table.schema.field(name).type) for name in frame.columns})
    (draft / "schema.json").write_text(_json(schema), encoding="utf-8")
    (draft / "datasheet.md").write_text(datasheet(facts, schema), encoding="utf-8")
    (draft / "report.html").write_text(report, encoding="utf-8")
    signed = statement(claimed, [draft / name for name in (DATA, "schema.json", "datasheet.md", "report.html")])
    (draft / CERTIFICATE).write_text(_json(signed), encoding="utf-8")
    for path in draft.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


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


def _publish(draft: Path, folder: Path) -> None:
    """Give the finished draft its name; a folder that is there wins, and has to hold the same release."""
    try:
        draft.rename(folder)  # fails where a folder with anything in it has the name
    except OSError:
        if not folder.exists():
            raise
        if not same_release(folder, draft):
            raise SynthPipelineError(
                f"{folder}: this version exists; a release is never overwritten: make a new version"
            ) from None
        shutil.rmtree(draft)


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
