"""What a certificate must be, and what data.parquet must say of it.

Belongs here: reading a certificate as a checked value, and the metadata that repeats it. Does not: signatures (verify), or how a
certificate is made (certificate).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_pipeline.release.statement import (
    CERTIFICATE,
    CORE_FILES,
    DATA,
    METADATA_PREFIX,
    PREDICATE_TYPE,
    SEALS,
    STATEMENT_TYPE,
    Fault,
    claim_digest,
    read_json,
    shown_name,
)

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class Certificate:
    """A certificate that was read.

    Attributes:
        statement: the whole of it.
        subjects: digest of each file that it names.
        metadata: what data.parquet has to state, by key.
        rows: rows of data.parquet.
        signed_by: id of the key that it says signs it; None where it says that nobody does.
    """

    statement: Mapping[str, Any]
    subjects: Mapping[str, str]
    metadata: Mapping[str, str]
    rows: int
    signed_by: str | None

    @property
    def predicate(self) -> Mapping[str, Any]:
        """What is claimed."""
        return self.statement["predicate"]

    @property
    def release(self) -> str:
        """Dataset and version, as `dataset/version`."""
        return f"{self.predicate['dataset']}/{self.predicate['version']}"


def read_certificate(text: bytes) -> Certificate | None:
    """A certificate from its text; None where it is none.

    Args:
        text: content of certificate.json, or the payload that was signed.
    """
    try:
        content: dict[str, Any] = read_json(text)
        subjects = {str(item["name"]): str(item["digest"]["sha256"]) for item in content["subject"]}
        predicate: dict[str, Any] = content["predicate"]
        words = {key: _text(predicate[key]) for key in ("unit", "neighbours", "dataset", "version")}
        metadata = {
            "certificate_digest": claim_digest(content),
            "epsilon": repr(_number(predicate["epsilon"])),
            "delta": repr(_number(predicate["delta"])),
            **words,
        }
        signature = predicate["signature"]
        signed_by = str(signature["keyid"]) if isinstance(signature, dict) else None
        is_whole = len(subjects) == len(content["subject"])
        return Certificate(content, subjects, metadata, _count(predicate["rows"]), signed_by) if is_whole else None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _number(value: object) -> float:
    """An ε or δ: a number, for a text such as `nan` would be one to this program and none to another."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise TypeError("no number of zero or more")
    return float(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError("no number of rows")
    return value


def form_faults(certificate: Certificate) -> Iterator[Fault]:
    """Faults of a certificate as such."""
    if certificate.statement.get("_type") != STATEMENT_TYPE:
        yield Fault(CERTIFICATE, "not an in-toto Statement v1")
    if certificate.statement["predicateType"] != PREDICATE_TYPE:
        yield Fault(CERTIFICATE, f"its predicate is not {PREDICATE_TYPE}")
    for name in CORE_FILES:
        if name not in certificate.subjects:
            yield Fault(CERTIFICATE, f"does not name {name}")
    for name, digest in certificate.subjects.items():
        if not name or Path(name).name != name or name in SEALS:
            yield Fault(CERTIFICATE, f"names {shown_name(name)}, which is no file that a certificate may name")
        if not _DIGEST.fullmatch(digest):
            yield Fault(CERTIFICATE, f"names no SHA-256 for {shown_name(name)}")


def data_faults(path: Path, certificate: Certificate) -> Iterator[Fault]:
    """Faults of a data.parquet whose digest is the one that is named: whether its metadata states the same guarantee.

    Args:
        path: the file.
        certificate: what it has to state.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.read_metadata(path)
        stated = {
            key.decode(): value.decode()
            for key, value in (parquet.metadata or {}).items()
            if key.startswith(METADATA_PREFIX.encode())
        }
    except (OSError, UnicodeDecodeError, pa.ArrowException):
        yield Fault(DATA, "not a parquet file, or not with metadata that is text")
        return
    expected = {METADATA_PREFIX + key: value for key, value in certificate.metadata.items()}
    for key in sorted(expected.keys() | stated.keys()):
        if expected.get(key) != stated.get(key):
            words = key.removeprefix(METADATA_PREFIX).replace("_", " ")
            yield Fault(DATA, f"its metadata states another {shown_name(words)} than the certificate")
    if parquet.num_rows != certificate.rows:
        yield Fault(DATA, f"has {parquet.num_rows} rows, the certificate says {certificate.rows}")
