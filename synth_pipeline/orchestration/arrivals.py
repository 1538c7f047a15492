"""Snapshot files as they arrive: which are complete, what partition each belongs to, and where a partition's file lies.

Belongs here: files and partition keys. Does not: reading rows (snapshot).

A partition is named after its file, never after its contents: a corrected file under the same name holds the same people, so its walk
is charged to the same people again. With disjoint cohorts the same rows under another name are refused, for they would be charged as
other people.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from synth_pipeline.errors import SpecError, TableError
from synth_pipeline.integrations.stores import Home, child_names, partition_key
from synth_pipeline.spec import Spec

_SOURCE, _SEAL, _TAKEN, _TEXT = "source", "fingerprint", "taken", "value.txt"


@dataclass(frozen=True)
class Arrival:
    """A snapshot file.

    Attributes:
        path: where it lies.
        stamp: keyed hash of modification time and size, which change while the file is written.
    """

    path: Path
    stamp: str

    @property
    def partition(self) -> str:
        """Partition key of the snapshot."""
        return partition_key(self.path.stem)


def list_arrivals(spec: Spec, home: Home) -> tuple[Arrival, ...]:
    """The snapshot files of a dataset's source folder, oldest first; hidden ones are left out.

    Raises:
        SpecError: if the specification names no source.
    """
    if spec.source is None:
        raise SpecError(f"{spec.dataset}: the specification has no `source`; add one, or name a snapshot file")
    folder = home.resolve(spec.source.uri)
    found = [path for path in folder.glob(spec.source.pattern) if path.is_file() and not path.name.startswith(".")]
    ordered = sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))
    key = home.key()
    return tuple(Arrival(path, _stamp(path, key)) for path in ordered)


def settled(arrivals: tuple[Arrival, ...], before: Mapping[str, str]) -> tuple[Arrival, ...]:
    """The files that have not changed since an earlier look (file name to stamp); others may still be being written."""
    return tuple(arrival for arrival in arrivals if before.get(arrival.path.name) == arrival.stamp)


def register(spec: Spec, home: Home, path: Path) -> str:
    """Note which file a partition stands for; the file is not opened.

    Returns:
        The partition key.

    Raises:
        TableError: if there is no such file.
    """
    if not path.is_file():
        raise TableError(f"{path}: no such file; give the path of a snapshot")
    partition = partition_key(path.stem)
    text = str(path.resolve())
    home.private.write(lambda folder: _write_text(folder, text), spec.dataset, partition, _SOURCE)
    return partition


def locate(spec: Spec, home: Home, partition: str) -> Path:
    """The file of a partition: as registered, else the file of that name in the source folder.

    Raises:
        TableError: if there is none.
    """
    if home.private.has(spec.dataset, partition, _SOURCE):
        path = Path(home.private.read(_read_text, spec.dataset, partition, _SOURCE))
        if path.is_file():
            return path
    found = [arrival.path for arrival in list_arrivals(spec, home) if arrival.partition == partition]
    if not found:
        raise TableError(
            f"snapshot {partition!r} of {spec.dataset}: its file is not there; put it back, or name another snapshot"
        )
    return found[0]


def refuse_copy(spec: Spec, home: Home, partition: str, fingerprint: str) -> None:
    """Note the fingerprint of a snapshot, and refuse one that another snapshot has where people must be in one snapshot only.

    Raises:
        TableError: if another snapshot of the dataset holds the same rows.
    """
    if spec.privacy.cohorts.by == "disjoint":
        for other in child_names(home.private.place(spec.dataset)):
            if other == partition or not home.private.has(spec.dataset, other, _SEAL):
                continue
            if hmac.compare_digest(home.private.read(_read_text, spec.dataset, other, _SEAL), fingerprint):
                raise TableError(
                    f"snapshot {partition!r}: holds the same rows as snapshot {other!r}, but cohorts are declared as disjoint;"
                    f" walk snapshot {other!r} instead"
                )
    home.private.write(lambda folder: _write_text(folder, fingerprint), spec.dataset, partition, _SEAL)


def note_taken(spec: Spec, home: Home, partition: str, path: Path) -> None:
    """Note which state of a file a partition's walk has read."""
    stamp = _stamp(path, home.key())
    home.private.write(lambda folder: _write_text(folder, stamp), spec.dataset, partition, _TAKEN)


def is_taken(spec: Spec, home: Home, arrival: Arrival) -> bool:
    """Whether a walk has read the file as it is now, however that walk was started."""
    place = (spec.dataset, arrival.partition, _TAKEN)
    return home.private.has(*place) and home.private.read(_read_text, *place) == arrival.stamp


def _stamp(path: Path, key: bytes) -> str:
    """Keyed hash of modification time and size: the sensor's cursor is shown to everybody, and a size tells of the number of rows."""
    facts = path.stat()
    return hmac.digest(key, f"arrival/{facts.st_mtime_ns}/{facts.st_size}".encode(), "sha256").hex()[:16]


def _write_text(folder: Path, text: str) -> None:
    (folder / _TEXT).write_text(text, encoding="utf-8")


def _read_text(folder: Path) -> str:
    return (folder / _TEXT).read_text(encoding="utf-8")
