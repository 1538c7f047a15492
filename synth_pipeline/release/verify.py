"""Offline check of a bundle: every file is the one that its certificate names, and the data names that certificate."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synth_pipeline.release.certificate import PREDICATE_TYPE, STATEMENT_TYPE, claim_digest, file_digest

DATA = "data.parquet"
CERTIFICATE = "certificate.json"
SIGNATURE = "signature"
METADATA_PREFIX = "synth_pipeline."


def verify_digests(folder: Path) -> list[str]:
    """Faults of a bundle, one line each; empty if every file is what the certificate says.

    A digest proves that nothing changed since the certificate was written, not who wrote it: that takes a signature.

    Args:
        folder: a release.
    """
    path = folder / CERTIFICATE
    try:
        certificate: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        subjects = {item["name"]: item["digest"]["sha256"] for item in certificate["subject"]}
        digest, predicate = claim_digest(certificate), certificate["predicate"]
        expected = {
            "certificate_digest": digest,
            "epsilon": repr(float(predicate["epsilon"])),
            "delta": repr(float(predicate["delta"])),
            "unit": predicate["unit"],
            "neighbours": predicate["neighbours"],
            "dataset": predicate["dataset"],
            "version": predicate["version"],
        }
        rows = predicate["rows"]
    except FileNotFoundError:
        return [f"{CERTIFICATE}: missing"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [f"{CERTIFICATE}: cannot be read as a certificate"]
    faults = [*_form(certificate), *_files(folder, subjects)]
    if DATA in subjects and (folder / DATA).is_file():
        faults += _data(folder / DATA, expected, rows)
    return faults


def same_release(first: Path, second: Path) -> bool:
    """Whether two folders hold the same release, made twice: whole bundles of one table and one claim, but for when each was made.

    Args:
        first: a release.
        second: another, or the same.
    """
    if verify_digests(first) or verify_digests(second):
        return False
    return _bare_claim(first) == _bare_claim(second) and pq.read_table(first / DATA).equals(
        pq.read_table(second / DATA)
    )


def _bare_claim(folder: Path) -> Mapping[str, Any]:
    """The claim of a release that is whole, without when it was made."""
    predicate: dict[str, Any] = json.loads((folder / CERTIFICATE).read_text(encoding="utf-8"))["predicate"]
    return {name: fact for name, fact in predicate.items() if name != "createdAt"}


def _form(certificate: Mapping[str, Any]) -> Iterator[str]:
    if certificate.get("_type") != STATEMENT_TYPE:
        yield f"{CERTIFICATE}: not an in-toto Statement v1"
    if certificate["predicateType"] != PREDICATE_TYPE:
        yield f"{CERTIFICATE}: its predicate is not {PREDICATE_TYPE}"


def _files(folder: Path, subjects: Mapping[str, str]) -> Iterator[str]:
    for name in (DATA, "schema.json", "datasheet.md", "report.html"):
        if name not in subjects:
            yield f"{CERTIFICATE}: does not name {name}"
    for name, digest in subjects.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            yield f"{name}: missing"
        elif file_digest(path) != digest:
            yield f"{name}: differs from what the certificate names"
    for path in sorted(folder.iterdir()):
        if path.name not in subjects and path.name not in (CERTIFICATE, SIGNATURE):
            yield f"{path.name}: not named by the certificate"


def _data(path: Path, expected: Mapping[str, str], rows: int) -> Iterator[str]:
    try:
        parquet = pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        yield f"{DATA}: not a parquet file"
        return
    found = {
        key.decode(): value.decode()
        for key, value in (parquet.metadata or {}).items()
        if key.startswith(METADATA_PREFIX.encode())
    }
    for key, value in expected.items():
        if found.get(METADATA_PREFIX + key) != value:
            yield f"{DATA}: its metadata states another {key.replace('_', ' ')} than the certificate"
    if parquet.num_rows != rows:
        yield f"{DATA}: has {parquet.num_rows} rows, the certificate says {rows}"
