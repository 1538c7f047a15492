"""One look at a source: what of it is new and complete, noted in the book before anything is made of it.

The position between two looks is small and public: a keyed digest of the whole listing, how many contents wait, and the book's last batch.
A listing that is as it was, with nobody waiting, is over without a look into the book. Since the digest is of everything that is there,
nothing depends on clocks: an arrival that is late, or out of order, changes it like any other.

A batch is noted in the book first and given out second. If the process dies between, the position is still that of the look before, so
the next look finds that it does not know the book's batch, and gives that out again; an orchestrator drops runs whose key it has seen.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from synth_pipeline.integrations.sources.book import (
    Book,
    Version,
    adopted,
    book_lock,
    read_book,
    read_json,
    write_book,
    write_json,
)
from synth_pipeline.integrations.sources.contract import Arrival, SnapshotSource, listing_digest
from synth_pipeline.integrations.sources.postgres import is_after
from synth_pipeline.integrations.stores import Home

MOST_AT_ONCE = 20
"""Snapshots that one look gives out; a first look at thousands would otherwise start thousands of walks."""

_LAST_LOOK, _FILE = "arrivals.look", "look.json"


@dataclass(frozen=True)
class Position:
    """Where the last look ended; everybody may see it.

    Attributes:
        listing: keyed digest of all that was there.
        waiting: contents that were there and had not become snapshots yet.
        batch: the book's batch at the end of the look.
    """

    listing: str = ""
    waiting: int = 0
    batch: str = ""

    @classmethod
    def read(cls, text: str | None) -> "Position":
        """The position that `str` gave; one of an older version, or none, is a fresh start."""
        try:
            content: Any = json.loads(text or "{}")
        except ValueError:
            content = {}
        return cls(**content) if isinstance(content, dict) and set(content) <= set(asdict(cls())) else cls()

    def __str__(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Look:
    """What one look found.

    Attributes:
        seen: how many contents are there.
        fresh: new snapshots to walk.
        faulty: new contents that can be no snapshot; their `fault` says why.
        waiting: complete contents that are left for the next looks.
        unsettled: contents that one more look must show unchanged.
        position: where the next look begins.
    """

    seen: int
    fresh: tuple[Version, ...]
    faulty: tuple[Version, ...]
    waiting: int
    unsettled: int
    position: Position


@dataclass(frozen=True)
class Watched:
    """A source of a dataset, and where its arrivals are noted.

    Attributes:
        source: where they arrive.
        home: where they are noted.
        dataset: whose they are.
        taken: the stamp of the content that a partition's walk has read, however it was started, or None.
    """

    source: SnapshotSource
    home: Home
    dataset: str
    taken: Callable[[str], str | None]


def watch(watched: Watched, position: Position, *, most: int = MOST_AT_ONCE) -> Look:
    """Look at a source once.

    Args:
        watched: the source.
        position: where the last look ended.
        most: how many new snapshots to give out at once; the oldest first.

    Raises:
        SourceError: if the source cannot be read; nothing was noted, and the position stays as it was.
    """
    found = list(watched.source.look())
    listing = listing_digest(watched.home.key(), found)
    if listing == position.listing and not position.waiting:
        return Look(len(found), (), (), 0, 0, position)
    with book_lock(watched.home, watched.dataset):
        return _news(watched, found, listing, before=position, most=most)


def _news(watched: Watched, found: Sequence[Arrival], listing: str, *, before: Position, most: int) -> Look:
    home, dataset = watched.home, watched.dataset
    kept, seen = read_book(home, dataset), _last_look(home, dataset)
    news = [arrival for arrival in found if _is_news(kept, arrival)]
    is_same = listing == before.listing
    ready = [one for one in news if one.is_settled or is_same or seen.get(one.name) == one.stamp]
    again = _given_out_before(watched, kept, before)
    # What was lost comes first and alone: another batch in the book would make it forgotten, were this look lost too.
    book, batch = (kept, []) if again else _chosen(watched, kept, ready, most=most)
    book, made = book.with_batch(batch) if batch else (book, ())
    if book is not kept:
        write_book(home, dataset, book)
    left = [one for one in news if not book.knows(one)]
    unsettled = {one.name: one.stamp for one in left if not one.is_settled}
    if unsettled != seen:
        home.private.write(lambda folder: write_json(folder / _FILE, unsettled), dataset, _LAST_LOOK)
    waiting = sum(not book.knows(one) for one in ready)
    return Look(
        seen=len(found),
        fresh=tuple(version for version in (*again, *made) if version.fault is None),
        faulty=tuple(version for version in (*again, *made) if version.fault is not None),
        waiting=waiting,
        unsettled=len(left) - waiting,
        position=Position(listing, len(left), book.batch),
    )


def _chosen(watched: Watched, book: Book, ready: Sequence[Arrival], *, most: int) -> tuple[Book, list[Arrival]]:
    """The oldest arrivals that were not walked, and the book with what was walked before there was a book."""
    batch: list[Arrival] = []
    for arrival in sorted(ready, key=lambda one: (one.changed, one.name)):
        if len(batch) == most:
            break
        book = adopted(book, arrival, taken=watched.taken)
        if not book.knows(arrival):
            batch.append(arrival)
    return book, batch


def _is_news(book: Book, arrival: Arrival) -> bool:
    """Whether a content is not in the book; a watermark that went back is no news."""
    if book.knows(arrival):
        return False
    last = book.latest(arrival.name)
    return arrival.mark is None or last is None or is_after(arrival.mark, last.mark)


def _given_out_before(watched: Watched, book: Book, before: Position) -> list[Version]:
    """The last batch, if the look that noted it never told of it: what its walks have not read."""
    if book.batch == before.batch:
        return []
    found = [book.find(partition) for partition in book.last]
    versions = [known[1] for known in found if known is not None]
    return [version for version in versions if watched.taken(version.partition) != version.stamp]


def _last_look(home: Home, dataset: str) -> Mapping[str, str]:
    if not home.private.has(dataset, _LAST_LOOK):
        return {}
    return home.private.read(lambda folder: read_json(folder / _FILE), dataset, _LAST_LOOK)
