"""The book of a dataset's arrivals: which contents of which names have become snapshots, and under which partitions.

One value of the private store a dataset. It knows every content for good, so none is walked twice, whatever order they came in. A first
content of a name becomes the partition of that name, another content `name@2`, `name@3`: the same people, another snapshot.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from synth_pipeline.integrations.sources.contract import Arrival
from synth_pipeline.integrations.sources.name import partition_title
from synth_pipeline.integrations.stores import Home, partition_key

BOOK = "arrivals.book"
_FILE = "book.json"


@dataclass(frozen=True, slots=True)
class Version:
    """One content that became a snapshot; private, for the marks.

    Attributes:
        stamp: keyed hash of the content.
        partition: its partition.
        same_as: the partition of an earlier content of the same rows, if it turned out to be a copy.
        fault: why it can be no snapshot, if that showed without opening it.
        path: where the file lies, if it was named by hand.
        mark: its watermark, for a database.
        since: the watermark of the snapshot before.
    """

    stamp: str
    partition: str
    same_as: str | None = None
    fault: str | None = None
    path: str | None = None
    mark: str | None = field(default=None, repr=False)
    since: str | None = field(default=None, repr=False)

    @property
    def run_key(self) -> str:
        """What the orchestrator knows its run by: the same content is not run twice."""
        return f"{self.partition}:{self.stamp}"


@dataclass(frozen=True)
class Book:
    """All arrivals of one dataset.

    Attributes:
        versions: contents of each name, oldest first.
        batch: which batch was noted last; changes with every batch.
        last: partitions of that batch.
    """

    versions: Mapping[str, tuple[Version, ...]] = field(default_factory=dict[str, tuple[Version, ...]], repr=False)
    batch: str = ""
    last: tuple[str, ...] = ()

    def knows(self, arrival: Arrival) -> bool:
        """Whether this content of this name was a snapshot already."""
        return any(version.stamp == arrival.stamp for version in self.versions.get(arrival.name, ()))

    def version_of(self, arrival: Arrival) -> Version | None:
        """The version that an arrival is, if it is in the book."""
        return next((known for known in self.versions.get(arrival.name, ()) if known.stamp == arrival.stamp), None)

    def latest(self, name: str) -> Version | None:
        """The last content of a name."""
        return self.versions[name][-1] if self.versions.get(name) else None

    def find(self, partition: str) -> tuple[str, Version] | None:
        """Name and version of a partition."""
        found = (
            (name, known) for name, kept in self.versions.items() for known in kept if known.partition == partition
        )
        return next(found, None)

    def with_batch(self, arrivals: Sequence[Arrival]) -> tuple["Book", tuple[Version, ...]]:
        """The book with more contents, and the versions they are."""
        made: list[Version] = []
        versions, used = dict(self.versions), set(self.partitions)
        for arrival in arrivals:
            before = versions.get(arrival.name, ())
            version = _version(arrival, before, used)
            versions[arrival.name] = (*before, version)
            used.add(version.partition)
            made.append(version)
        names = tuple(version.partition for version in made)
        number = hashlib.sha256("/".join([self.batch, *(one.run_key for one in made)]).encode()).hexdigest()[:12]
        return Book(versions, number, names), tuple(made)

    def with_one(self, arrival: Arrival, *, path: str | None = None) -> tuple["Book", Version]:
        """The book with a content that is asked for by hand, outside of any batch, and the version that it is."""
        version = replace(_version(arrival, self.versions.get(arrival.name, ()), set(self.partitions)), path=path)
        return self.with_version(arrival.name, version), version

    def with_version(self, name: str, version: Version) -> "Book":
        """The book with one content more, or with facts of one replaced."""
        kept = {known.partition: known for known in self.versions.get(name, ())}
        kept[version.partition] = version
        return replace(self, versions={**self.versions, name: tuple(kept.values())})

    @property
    def partitions(self) -> frozenset[str]:
        """All partitions in the book."""
        return frozenset(version.partition for kept in self.versions.values() for version in kept)

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        kept = {name: [_plain(version) for version in versions] for name, versions in self.versions.items()}
        return {"versions": kept, "batch": self.batch, "last": list(self.last)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Book":
        """The book that `to_json` wrote."""
        kept = {name: tuple(Version(**facts) for facts in found) for name, found in content["versions"].items()}
        return cls(kept, content["batch"], tuple(content["last"]))


_FIELDS = tuple(one.name for one in fields(Version))


def read_book(home: Home, dataset: str) -> Book:
    """The book of a dataset; an empty one where nothing has arrived."""
    if not home.private.has(dataset, BOOK):
        return Book()
    return home.private.read(lambda folder: Book.from_json(read_json(folder / _FILE)), dataset, BOOK)


def write_book(home: Home, dataset: str, book: Book) -> None:
    """Write the book of a dataset, whole or not at all."""
    home.private.write(lambda folder: write_json(folder / _FILE, book.to_json()), dataset, BOOK)


@contextmanager
def book_lock(home: Home, dataset: str) -> Generator[None]:
    """Keep other processes of this machine from changing a dataset's book meanwhile: a sensor and a command may come at once."""
    home.make()
    descriptor = os.open(home.folder / f".{dataset}.arrivals.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def changing_book(home: Home, dataset: str, change: Callable[[Book], Book]) -> Book:
    """Change the book of a dataset under its lock; it is written only if the change makes another one."""
    with book_lock(home, dataset):
        before = read_book(home, dataset)
        after = change(before)
        if after is not before:
            write_book(home, dataset, after)
    return after


def write_json(path: Path, content: object) -> None:
    """Write plain data as a small JSON file."""
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _plain(version: Version) -> dict[str, Any]:
    values = ((name, getattr(version, name)) for name in _FIELDS)
    return {name: value for name, value in values if value is not None}


def title_of(arrival: Arrival) -> str:
    """What the first partition of a name is called, if no other has that name already."""
    return partition_key(arrival.title) if arrival.title else partition_title(arrival.name)


def adopted(book: Book, arrival: Arrival, *, taken: Callable[[str], str | None]) -> Book:
    """The book with what a walk has read under an arrival's name before there was a book, so that it is not walked again.

    Args:
        book: the book.
        arrival: an arrival whose name may be new to it.
        taken: the stamp of the content that a partition's walk has read, or None.
    """
    title = title_of(arrival)
    if arrival.name in book.versions or title in book.partitions:
        return book
    stamp = taken(title)
    return book if stamp is None else book.with_version(arrival.name, Version(stamp, title))


def _version(arrival: Arrival, before: Sequence[Version], used: set[str]) -> Version:
    since = before[-1].mark if before else None
    partition = _partition(arrival, before, used)
    return Version(arrival.stamp, partition, fault=arrival.fault, mark=arrival.mark, since=since)


def _partition(arrival: Arrival, before: Sequence[Version], used: set[str]) -> str:
    """A partition of its own: `name`, then `name@2`; names that look alike get a hash of theirs."""
    if before and arrival.title is None:
        stem = before[0].partition.partition("@")[0]
        taken = [int(known.partition.partition("@")[2] or 1) for known in before]
        return f"{stem}@{max(taken) + 1}"
    stem = title_of(arrival)
    if stem not in used:
        return stem
    digest = hashlib.sha256(f"{arrival.name}/{len(before)}".encode(errors="surrogateescape")).hexdigest()
    return next(name for name in (f"{stem}-{digest[:size]}" for size in range(6, 65)) if name not in used)
