"""The hash chain: every entry carries the digest of the one before, so that a change shows.

Belongs here: digests and verification. Does not: storage.

What verification finds: an entry that was edited, removed, added in the middle or moved, and a tail that was cut off while
the stored head was left alone. What it cannot find by itself: a chain whose later entries and head were all computed anew,
or a whole file put back to an earlier state, by someone who can write to it. An anchor kept elsewhere (each certificate
holds the head of its day) finds those up to the anchor: pass it to `verify_chain`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain has come: the number of its entries and the digest of the last."""

    entries: int
    digest: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What verification found.

    Attributes:
        entries: how many entries were read.
        faults: one line a fault; empty when the chain is intact.
    """

    entries: int
    faults: tuple[str, ...]

    @property
    def is_intact(self) -> bool:
        """Whether no fault was found."""
        return not self.faults


def canonical_json(values: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN.

    Example:
        >>> canonical_json({"b": 1, "a": 0.5})
        '{"a":0.5,"b":1}'
    """
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def entry_digest(fields: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an entry's fields, `digest` itself left out."""
    content = {name: value for name, value in fields.items() if name != "digest"}
    return hashlib.sha256(canonical_json(content).encode("ascii")).hexdigest()


def verify_chain(entries: Sequence[Mapping[str, Any]], head: Head, anchors: Sequence[Head] = ()) -> ChainReport:
    """Check entries, in stored order, against one another, the stored head and anchors kept elsewhere.

    Args:
        entries: the fields of each entry, `digest` included.
        head: the stored head.
        anchors: heads noted at earlier times.
    """
    faults: list[str] = []
    previous, expected = GENESIS, 1
    for fields in entries:
        sequence = fields["sequence"]
        if sequence != expected:
            faults.append(f"entry {expected} is missing or out of order: entry {sequence} stands in its place")
        if fields["previous"] != previous:
            faults.append(f"entry {sequence} does not follow the entry before it")
        if entry_digest(fields) != fields["digest"]:
            faults.append(f"entry {sequence} was changed after it was written")
        previous, expected = fields["digest"], sequence + 1
    if len(entries) != head.entries:
        faults.append(f"the ledger has {len(entries)} entries but its head counts {head.entries}")
    elif previous != head.digest:
        faults.append("the last entry is not the one that the head names")
    faults.extend(_anchor_faults(entries, anchors))
    return ChainReport(len(entries), tuple(faults))


def _anchor_faults(entries: Sequence[Mapping[str, Any]], anchors: Sequence[Head]) -> list[str]:
    digests = {fields["sequence"]: fields["digest"] for fields in entries} | {0: GENESIS}
    return [
        f"the chain no longer holds the head noted elsewhere after {anchor.entries} entries"
        for anchor in anchors
        if digests.get(anchor.entries) != anchor.digest
    ]
