"""Snapshots as they arrive: which there are, what partition each content belongs to, and how a partition's content is fetched.

Belongs here: a dataset's source and its partition keys. Does not: kinds of sources (integrations.sources), reading rows (snapshot).

A partition is named after what arrived, never after its contents: a corrected file under the same name (`name@2`) holds the same people,
so its walk is charged to the same people again. With disjoint cohorts the same rows under another name are refused, for they would be
charged as other people.
"""

import hmac
import secrets
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from synth_pipeline.errors import SourceError, TableError
from synth_pipeline.integrations.sources import (
    Arrival,
    Book,
    SnapshotSource,
    Version,
    changing_book,
    read_book,
    source_of,
)
from synth_pipeline.integrations.sources.book import adopted, title_of
from synth_pipeline.integrations.sources.folder import FolderSource
from synth_pipeline.integrations.sources.name import name_filter
from synth_pipeline.integrations.sources.news import Watched
from synth_pipeline.integrations.store_contract import told_disk_faults
from synth_pipeline.integrations.stores import Home, partition_key
from synth_pipeline.release.draft import draft_prefix, sweep_drafts
from synth_pipeline.spec import Spec

_SEAL, _TAKEN, _TEXT = "fingerprint", "taken", "value.txt"
_FETCHED = "snapshot"


@dataclass(frozen=True)
class Fetched:
    """A snapshot's content, for as long as it is read.

    Attributes:
        path: the file; one that was fetched is gone afterwards.
        stamp: which content it is.
        shown: what people call it.
        confirm: raises SourceError if the file has changed since it was seen.
    """

    path: Path
    stamp: str
    shown: str
    confirm: Callable[[], None]


def list_arrivals(spec: Spec, home: Home) -> tuple[Arrival, ...]:
    """What is in a dataset's source now, oldest first; hidden and unfinished files are left out.

    Raises:
        SpecError: if the specification names no source.
        SourceError: if it cannot be read.
    """
    return tuple(sorted(source_of(spec, home).look(), key=lambda arrival: (arrival.changed, arrival.name)))


def watched(spec: Spec, home: Home) -> Watched:
    """A dataset's source with the book of its arrivals, for a sensor.

    Raises:
        SpecError: if the specification names no source.
    """
    return Watched(source_of(spec, home), home, spec.dataset, lambda partition: taken_stamp(spec, home, partition))


def newest_partition(spec: Spec, home: Home) -> str | None:
    """The partition of the newest arrival that can be a snapshot, noted in the book; None where there is none.

    Raises:
        SpecError: if the specification names no source.
        SourceError: if it cannot be read.
    """
    found = [arrival for arrival in list_arrivals(spec, home) if arrival.fault is None]
    return _note(spec, home, found[-1]) if found else None


def register(spec: Spec, home: Home, path: Path) -> str:
    """Note a file that is named by hand as a snapshot; it is not opened.

    Returns:
        Its partition key: that of its name, or of its name and version if the name had another content before.

    Raises:
        TableError: if there is no such file.
    """
    path = path.absolute()
    if not path.is_file():
        raise TableError(f"{path}: no such file; give the path of a snapshot")
    found = FolderSource(path.parent, "*", home.key()).arrival(path.name)
    name = _name_in_source(spec, home, path)
    if name is not None:
        return _note(spec, home, replace(found, name=name))
    named = _named_alike(read_book(home, spec.dataset), partition_key(path.stem))
    return _note(spec, home, replace(found, name=named or str(path)), path=str(path.resolve()))


@contextmanager
def fetched(spec: Spec, home: Home, partition: str) -> Generator[Fetched]:
    """The content of a partition as a file, for the length of a block.

    What is not on this machine is copied into the private zone, for its owner alone, and removed when the block ends.

    Raises:
        SourceError: if it cannot be reached, is not there any more, or has changed since it was seen, also while it was read.
    """
    refusal: SourceError | None = None
    for name, version in _contents(spec, home, partition):
        source, arrival = _where(spec, home, name, version)
        with _scratch(home) as folder:
            try:
                with told_disk_faults(folder):
                    path = source.fetch(arrival, folder)
            except SourceError as error:
                refusal = refusal or error
                continue
            shown = f"{source.place} {name}" if path.parent == folder else str(path)
            found = Fetched(path, version.stamp, shown, partial(source.confirm, arrival))
            yield found
            found.confirm()
            return
    raise refusal or SourceError(
        f"snapshot {partition!r} of {spec.dataset}: its file is not there; put it back, or name another snapshot"
    )


def refuse_copy(spec: Spec, home: Home, partition: str, fingerprint: str) -> None:
    """Note the fingerprint of a snapshot, and refuse one that holds the rows of another.

    That is so for another content of the same name; and for any other snapshot where people must be in one only.

    Raises:
        TableError: if another snapshot of the dataset holds the same rows.
    """
    stem = partition.partition("@")[0]
    for other in home.private.names(spec.dataset):
        is_sibling = other.partition("@")[0] == stem
        if other == partition or not (is_sibling or spec.privacy.cohorts.by == "disjoint"):
            continue
        if not home.private.has(spec.dataset, other, _SEAL):
            continue
        if hmac.compare_digest(home.private.read(_read_text, spec.dataset, other, _SEAL), fingerprint):
            if is_sibling:
                _note_same(spec, home, partition, other)
                raise TableError(
                    f"snapshot {partition!r}: holds the same rows as snapshot {other!r}, so there is nothing new to walk;"
                    f" to walk them again, materialize snapshot {other!r}"
                )
            raise TableError(
                f"snapshot {partition!r}: holds the same rows as snapshot {other!r}, but cohorts are declared as disjoint;"
                f" walk snapshot {other!r} instead"
            )
    home.private.write(lambda folder: _write_text(folder, fingerprint), spec.dataset, partition, _SEAL)


def note_taken(spec: Spec, home: Home, partition: str, stamp: str) -> None:
    """Note which content a partition's walk has read."""
    home.private.write(lambda folder: _write_text(folder, stamp), spec.dataset, partition, _TAKEN)


def taken_stamp(spec: Spec, home: Home, partition: str) -> str | None:
    """The stamp of the content that a partition's walk has read, however that walk was started; None where none has."""
    place = (spec.dataset, partition, _TAKEN)
    return home.private.read(_read_text, *place) if home.private.has(*place) else None


def _note(spec: Spec, home: Home, arrival: Arrival, *, path: str | None = None) -> str:
    """The partition of an arrival, noted in the book if it is new; of a copy, that of the rows it holds."""

    def change(book: Book) -> Book:
        book = adopted(book, arrival, taken=lambda partition: taken_stamp(spec, home, partition))
        return book if book.knows(arrival) else book.with_one(arrival, path=path)[0]

    version = changing_book(home, spec.dataset, change).version_of(arrival)
    assert version is not None  # noqa: S101  (it was put in above)
    return version.same_as or version.partition


def _note_same(spec: Spec, home: Home, partition: str, other: str) -> None:
    def change(book: Book) -> Book:
        found = book.find(partition)
        return book if found is None else book.with_version(found[0], replace(found[1], same_as=other))

    changing_book(home, spec.dataset, change)


def _name_in_source(spec: Spec, home: Home, path: Path) -> str | None:
    """The name that the dataset's source folder has for a file, if it is one of its snapshots."""
    if spec.source is None or spec.source.scheme != "file":
        return None
    folder = home.resolve(spec.source.uri)
    if not path.is_relative_to(folder):
        return None
    name = path.relative_to(folder).as_posix()
    return name if name_filter(spec.source.pattern)(name) else None


def _named_alike(book: Book, stem: str) -> str | None:
    """The name in the book whose first content has a partition, so that a file of that name from elsewhere counts as another content."""
    found = book.find(stem)
    return found[0] if found else None


def _contents(spec: Spec, home: Home, partition: str) -> list[tuple[str, Version]]:
    """A partition's content, then contents that turned out to hold the same rows; one that nobody noted is looked for by its name."""
    book = read_book(home, spec.dataset)
    found = book.find(partition)
    if found is not None:
        name, version = found
        copies = [known for known in reversed(book.versions[name]) if known.same_as == partition]
        return [(name, known) for known in (version, *copies)]
    if spec.source is None:
        return []
    alike = [arrival for arrival in list_arrivals(spec, home) if title_of(arrival) == partition]
    return [(arrival.name, Version(arrival.stamp, partition, mark=arrival.mark)) for arrival in alike[:1]]


def _where(spec: Spec, home: Home, name: str, version: Version) -> tuple[SnapshotSource, Arrival]:
    if version.path is not None:
        path = Path(version.path)
        return FolderSource(path.parent, "*", home.key()), Arrival(path.name, version.stamp)
    return source_of(spec, home), Arrival(name, version.stamp, mark=version.mark, since=version.since)


@contextmanager
def _scratch(home: Home) -> Generator[Path]:
    """A folder of its owner alone; what a killed process left in one is removed after a day."""
    around = home.make().private.root / ".fetched"
    around.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep_drafts(around, _FETCHED)
    folder = around / f"{draft_prefix(_FETCHED)}{secrets.token_hex(6)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_text(folder: Path, text: str) -> None:
    (folder / _TEXT).write_text(text, encoding="utf-8")


def _read_text(folder: Path) -> str:
    return (folder / _TEXT).read_text(encoding="utf-8")
