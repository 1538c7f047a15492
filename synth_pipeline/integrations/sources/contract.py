"""What every source of snapshots can do: tell what is there, and hand over one content of it.

Belongs here: the protocol, and how a content is identified without telling of it. Does not: any one kind of source.
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Arrival:
    """One content of one name in a source: a file, an object, or what a query yields at a watermark.

    Attributes:
        name: what the source calls it: a path relative to the folder or prefix; public.
        stamp: keyed hash of what changes with the content; public, and tells nothing without the key.
        changed: when it changed last, in nanoseconds since 1970; orders arrivals, and is not shown.
        is_settled: whether one look is enough to know that it is complete (a file may still be being written).
        fault: why it can be no snapshot, as far as that shows without opening it.
        title: what its partition is named after, in place of the name.
        mark: the watermark, as JSON; it may be a value of a row, so it stays in the private store.
        since: the watermark of the snapshot before; the same.
    """

    name: str
    stamp: str
    changed: int = field(default=0, repr=False)
    is_settled: bool = True
    fault: str | None = None
    title: str | None = None
    mark: str | None = field(default=None, repr=False)
    since: str | None = field(default=None, repr=False)


class SnapshotSource(Protocol):
    """Somewhere that snapshots arrive."""

    @property
    def place(self) -> str:
        """The source in words, without credentials."""
        ...

    def look(self) -> Iterator[Arrival]:
        """Everything that is there now, in no particular order; read in pages.

        Raises:
            SourceError: if it cannot be reached or read.
        """
        ...

    def fetch(self, arrival: Arrival, folder: Path) -> Path:
        """A file with this content; a source that is not local writes it into the folder.

        Raises:
            SourceError: if it cannot be reached, is gone, or holds another content by now.
        """
        ...

    def confirm(self, arrival: Arrival) -> None:
        """Refuse if a file that `fetch` gave out has changed while it was read.

        Raises:
            SourceError: if so.
        """
        ...


def keyed_stamp(key: bytes, *facts: object) -> str:
    """A short keyed hash of facts that change with a content.

    Privacy: sizes tell of numbers of rows, ETags are digests of contents; neither may be shown, a keyed hash may.
    """
    text = "/".join(["arrival", *(str(fact) for fact in facts)])
    return hmac.digest(key, text.encode(errors="surrogateescape"), "sha256").hex()[:16]


def listing_digest(key: bytes, found: "list[Arrival]") -> str:
    """A keyed digest of a whole listing, whatever its order: a sum of keyed hashes."""
    total = 0
    for arrival in found:
        content = f"{arrival.name}\0{arrival.stamp}".encode(errors="surrogateescape")
        total += int.from_bytes(hmac.digest(key, content, "sha256"))
    return f"{total % 2**256:064x}"[:32]
