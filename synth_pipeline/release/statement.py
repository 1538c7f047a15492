"""Signed statements about releases: what they are called, and the digests in them.

Belongs here: names and digests that whoever writes a bundle and whoever checks one have in common. Does not: what a release states
(certificate, approval). It loads nothing but the standard library, so that a bundle is checked where little is installed.

Source:
    in-toto Attestation Framework, Statement v1.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:synth-pipeline:differentially-private-release:v1"
APPROVAL_TYPE = "urn:synth-pipeline:release-approval:v1"

DATA = "data.parquet"
SCHEMA = "schema.json"
DATASHEET = "datasheet.md"
REPORT = "report.html"
CROISSANT = "croissant.json"
CARD = "card.json"
LINEAGE = "lineage.json"
TRUST_MAP = "trust_map.json"
CERTIFICATE = "certificate.json"
SIGNATURE = "signature"
APPROVAL = "approval"

CORE_FILES = (DATA, SCHEMA, DATASHEET, REPORT)
"""The files that every certificate names; what more it names (see `bundle.BUNDLE_FILES`) has to be there too."""

SEALS = (CERTIFICATE, SIGNATURE, APPROVAL)
"""The files of a bundle that no certificate names: itself, and what is signed over it."""

METADATA_PREFIX = "synth_pipeline."
"""How the keys begin under which data.parquet states its guarantee."""

UNSIGNED = "unsigned"
"""What a certificate says of its signature where nobody signs it."""

STORE_NOTE = "complete.json"
"""The list of a bundle's files that a store in S3 keeps beside them; whoever copies a whole prefix gets it too, and it is no part of it."""

CANDIDATE = "candidate"
"""What a certificate says of its approval: it is written before anybody approves."""


LARGEST_STATEMENT = 64 * 2**20
"""Bytes of the largest certificate or envelope that is read; what is larger is none of this program's."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a bundle.

    Attributes:
        file: name of the file at fault.
        words: what is wrong with it.
    """

    file: str
    words: str

    def __str__(self) -> str:
        """One line, whatever the file is called, and whatever of it the words repeat."""
        return f"{shown_name(self.file)}: {shown_name(self.words)}"


def shown_name(name: str) -> str:
    r"""A name or text of somebody else's for people; one with characters that a terminal would act on is escaped.

    Example:
        >>> shown_name("data.parquet"), shown_name("a\x1bb")
        ('data.parquet', "'a\\x1bb'")
    """
    return name if name.isprintable() else ascii(name)


def is_expired(expires: str | None, now: datetime) -> bool:
    """Whether an approval holds no more: from the day after `expires` (an ISO date) on, in UTC; one without a date never does.

    Args:
        expires: the last day, such as `2027-01-31`, or None.
        now: the time, with its zone.

    Raises:
        ValueError: if it is no such date, spelt in this one way.

    Example:
        >>> from datetime import UTC
        >>> [is_expired("2027-01-31", datetime(2027, month, day, tzinfo=UTC)) for month, day in ((1, 31), (2, 1))]
        [False, True]
    """
    return expires is not None and now.astimezone(UTC).date() > iso_day(expires)


def iso_day(text: str) -> date:
    """A day from its one spelling, such as `2027-01-31`; other readers may take `2027-W04-7` for something else, or for nothing.

    Raises:
        ValueError: if it is spelt in another way, or is no day.
    """
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError("another spelling of a day")
    return day


def read_json(text: bytes) -> Any:
    """What a signed text says, if every reader of JSON reads it alike.

    It is UTF-8, names nothing twice in an object, and holds no NaN, no infinity, no number too large to be one, and no half of a
    surrogate pair, for which one reader puts a mark and another nothing.

    Raises:
        ValueError: if it is none, or readers may differ about it.
        RecursionError: if it is nested too deep.
    """
    content = json.loads(
        text.decode(), object_pairs_hook=_named_once, parse_constant=_refuse_constant, parse_float=_finite
    )
    if b"\\ud" in text.lower():
        json.dumps(content, ensure_ascii=False).encode()  # half a pair has no bytes: UnicodeEncodeError, a ValueError
    return content


def claim_digest(claimed: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces, UTF-8) of a claim, or of the claim in a statement."""
    bare = {key: claimed[key] for key in ("predicateType", "predicate")}
    canonical = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) != len(pairs):
        raise ValueError("a name twice in an object")
    return named


def _finite(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word[:40]} is larger than a number can be")
    return number


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
