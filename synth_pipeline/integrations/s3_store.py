"""Values in an S3 bucket: the files of a value under a version of their own, and one small object that points at the version in force.

    s3://bucket/prefix/<parts>/current.json          {"version": "...", "files": {name: {"bytes", "sha256"}}}
    s3://bucket/prefix/<parts>/.<version>/<file>

A write uploads every file under a fresh version and then puts the pointer in one request, so a reader sees the old value or the new,
never half of it. A reader follows the pointer and checks size and SHA-256 of every file. The version that was replaced is removed; what a
killed writer left is removed by a write of the same value a day later.

No request sets an access-control list: what a bucket does not show to strangers stays so. Credentials and region are boto3's own affair.
"""

import re
import secrets
import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from synth_pipeline.errors import StoreError, TableError
from synth_pipeline.integrations.s3_objects import S3Objects, folder_facts
from synth_pipeline.integrations.s3_place import S3Options, S3Place
from synth_pipeline.integrations.store_contract import nothing_there, require_names, told_disk_faults
from synth_pipeline.release.draft import draft_prefix, sweep_drafts
from synth_pipeline.release.statement import STORE_NOTE
from synth_pipeline.release.verify import same_release

POINTER, COMPLETE = "current.json", STORE_NOTE
_VALUE = "value"
_OLD_SECONDS = 24 * 3600
_LOOKS = 10
_VERSION = re.compile(r"\.v(\d{13})-[0-9a-f]{12}")

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class S3Store:
    """A store of values in a bucket.

    Attributes:
        base: bucket and prefix that hold everything.
        root: folder on this machine for what is on its way, and for what is written line by line; readable by its owner alone.
        is_private: which zone's values it holds.
        options: how the bucket is spoken to.
    """

    base: S3Place
    root: Path
    is_private: bool
    options: S3Options = field(default_factory=S3Options)

    def place(self, *parts: str) -> S3Place:
        """Where a value lies, whether or not there is one; its files are a version below.

        Raises:
            TableError: for a part that is no name.
        """
        require_names(parts)
        place = self.base
        for part in parts:
            place /= part
        return place

    def found(self, *parts: str) -> S3Place:
        """Where the files of the value lie that is stored now.

        Raises:
            TableError: if there is none.
            StoreError: if the bucket cannot be read.
        """
        place = self.place(*parts)
        pointer = self._pointer(place)
        if pointer is None:
            raise nothing_there(parts)
        return place / pointer["version"]

    def has(self, *parts: str) -> bool:
        """Whether a value is stored there.

        Raises:
            StoreError: if the bucket cannot be read.
        """
        return self._pointer(self.place(*parts)) is not None

    def names(self, *parts: str) -> Sequence[str]:
        """Names of what is stored under a place, sorted; hidden ones left out."""
        place = self.place(*parts)
        return sorted(name for name in self._objects.names(place) if not name.startswith("."))

    @contextmanager
    def writing(self, *parts: str) -> Generator[Path]:
        """An empty folder to write into, which is stored as the value when the block ends well; it is gone afterwards in any case.

        Raises:
            StoreError: if the bucket or this machine's disk cannot be written; the value stored before stands.
        """
        place = self.place(*parts)
        with self._scratch(place) as folder:
            yield folder
            self._put(folder, place)

    def write(self, save: Callable[[Path], object], *parts: str) -> S3Place:
        """Write a value with `save(folder)` in place of the one stored before; the address of its files."""
        place = self.place(*parts)
        with self._scratch(place) as folder:
            save(folder)
            return self._put(folder, place)

    def read(self, load: Callable[[Path], _Value], *parts: str) -> _Value:
        """Read a value with `load(folder)` from a copy that is gone afterwards.

        Raises:
            TableError: if there is none, or a file is not what was written.
            StoreError: if the bucket cannot be read.
        """
        place = self.place(*parts)
        for looks_left in reversed(range(_LOOKS)):
            pointer = self._pointer(place)
            if pointer is None:
                break
            with self._scratch(place) as folder:
                try:
                    self._fetch(pointer, place, folder)
                except TableError:
                    if not looks_left or self._pointer(place) == pointer:
                        raise
                    continue  # it was replaced between the look at its pointer and the last file
                return load(folder)
        raise nothing_there(parts)

    def keep_bundle(self, folder: Path, *parts: str) -> S3Place:
        """Store a finished release under its plain name: its files first, and last an object that says that they are all there.

        A walk that was cut off afterwards makes its release once more: then the one that is stored stands.

        Raises:
            StoreError: if another release is stored there, or the bucket cannot be written.
        """
        place = self.place(*parts)
        files = folder_facts(folder)
        before = self._objects.get_json(place / COMPLETE)
        if before is not None and before["files"] != files:
            with self._scratch(place) as stored:
                if same_release(self.fetch_bundle(place, stored), folder):
                    return place
            raise StoreError(f"store: {place}: this version exists; a release is never overwritten: make a new version")
        self._objects.upload(folder, place, files)
        self._objects.put_json(place / COMPLETE, {"files": files})
        return place

    def fetch_bundle(self, place: S3Place, folder: Path) -> Path:
        """Copy a release from the bucket into a folder, its files checked.

        Raises:
            TableError: if there is none, or a file is not what was stored.
            StoreError: if the bucket cannot be read.
        """
        complete = self._objects.get_json(place / COMPLETE)
        if complete is None:
            raise TableError(f"store: {place}: no release there; look at the names under {self.base}")
        with told_disk_faults(folder):
            for name, facts in complete["files"].items():
                self._objects.download(place / name, folder / name, facts)
        return folder

    def bundle_file(self, place: S3Place, name: str) -> bytes | None:
        """Content of one file of a release, checked; None where there is no such release, or no such file in it.

        Raises:
            TableError: if the file is not what was stored.
            StoreError: if the bucket cannot be read.
        """
        complete = self._objects.get_json(place / COMPLETE)
        if complete is None or name not in complete["files"]:
            return None
        with self._scratch(place) as folder:
            self._objects.download(place / name, folder / name, complete["files"][name])
            return (folder / name).read_bytes()

    def add_to_bundle(self, place: S3Place, name: str, content: bytes) -> None:
        """Put a file into a stored release, in place of one of that name, and then name it among those that are there.

        A reader between the two steps finds a file that is not what was stored, and may look again.

        Raises:
            TableError: if there is no such release.
            StoreError: if the bucket cannot be read or written.
        """
        complete = self._objects.get_json(place / COMPLETE)
        if complete is None:
            raise TableError(f"store: {place}: no release there; look at the names under {self.base}")
        with self._scratch(place) as folder:
            (folder / name).write_bytes(content)
            added = folder_facts(folder)
            self._objects.upload(folder, place, added)
            self._objects.put_json(place / COMPLETE, {"files": {**complete["files"], **added}})

    @property
    def _objects(self) -> S3Objects:
        return S3Objects(self.options)

    @contextmanager
    def _scratch(self, place: S3Place) -> Generator[Path]:
        """A folder of its owner alone for what is on its way to or from a place."""
        around = self.root / ".scratch"
        with told_disk_faults(f"{place}, on its way in {around}"):
            for outer in (self.root.parent, self.root, around):
                outer.mkdir(mode=0o700, parents=True, exist_ok=True)
            sweep_drafts(around, _VALUE)
            folder = around / f"{draft_prefix(_VALUE)}{secrets.token_hex(6)}"
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _pointer(self, place: S3Place) -> dict[str, Any] | None:
        return self._objects.get_json(place / POINTER)

    def _put(self, folder: Path, place: S3Place) -> S3Place:
        before = self._pointer(place)
        version = f".v{int(time.time() * 1000):013d}-{secrets.token_hex(6)}"
        files = folder_facts(folder)
        try:
            self._objects.upload(folder, place / version, files)
        except BaseException:
            with suppress(StoreError):
                self._objects.remove(place / version)
            raise
        # From here on the version may be in force, whatever the answer says: its files stay.
        self._objects.put_json(place / POINTER, {"version": version, "files": files})
        with suppress(StoreError):  # the value is whole all the same
            self._sweep(place, version, before["version"] if before else None)
        return place / version

    def _fetch(self, pointer: Mapping[str, Any], place: S3Place, folder: Path) -> None:
        for name, facts in pointer["files"].items():
            self._objects.download(place / pointer["version"] / name, folder / name, facts)

    def _sweep(self, place: S3Place, current: str, replaced: str | None) -> None:
        """Remove the version that was replaced, and those that a killed writer left a day ago."""
        for version in list(self._objects.names(place)):
            began = _VERSION.fullmatch(version)
            is_old = began is not None and int(began[1]) / 1000 < time.time() - _OLD_SECONDS
            if version != current and (version == replaced or is_old):
                self._objects.remove(place / version)
