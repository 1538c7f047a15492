"""Values as folders of files under one root.

The private zone is readable by its owner alone (folders 0700, files 0600). A write goes to a temporary neighbour first and takes its
place in one rename, so a reader sees the old content or the new, never half of it.
"""

import ctypes
import os
import secrets
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from synth_pipeline.integrations.store_contract import nothing_there, require_names, told_disk_faults
from synth_pipeline.release.draft import draft_prefix, replaced_prefix, sweep_drafts

_Value = TypeVar("_Value")
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
_SHARED_FOLDER, _SHARED_FILE = 0o755, 0o644
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux's <fcntl.h>


@dataclass(frozen=True)
class FolderStore:
    """A store of values, each a folder of files under one root.

    Attributes:
        root: folder that holds everything; made on the first write.
        is_private: whether only the owner may read what is written.
    """

    root: Path
    is_private: bool

    def place(self, *parts: str) -> Path:
        """The folder of a value, whether or not it exists.

        Raises:
            TableError: for a part that would leave the root or hide.
        """
        require_names(parts)
        return self.root.joinpath(*parts)

    def found(self, *parts: str) -> Path:
        """The folder of a value."""
        return self.place(*parts)

    def has(self, *parts: str) -> bool:
        """Whether a value is stored there.

        Raises:
            StoreError: if it cannot be seen.
        """
        place = self.place(*parts)
        with told_disk_faults(place):
            return place.is_dir()

    def names(self, *parts: str) -> Sequence[str]:
        """Names of what is stored under a place, sorted; hidden and unfinished ones left out."""
        folder = self.place(*parts)
        with told_disk_faults(folder):
            return child_names(folder)

    @contextmanager
    def writing(self, *parts: str) -> Generator[Path]:
        """An empty folder to write into, which becomes the value's folder when the block ends well, and vanishes when it does not.

        What a killed process left of the same value is removed once it is a day old: it may hold rows.

        Raises:
            StoreError: if the disk is full or the folder may not be written; the value stored before stands.
        """
        target = self.place(*parts)
        temporary = target.parent / f"{draft_prefix(target.name)}{secrets.token_hex(6)}"
        with told_disk_faults(target):
            self._make(target.parent)
            temporary.mkdir(mode=self._modes[0])
            try:
                yield temporary
                self._close(temporary)
                self._swap(temporary, target)
                sweep_drafts(target.parent, target.name)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def write(self, save: Callable[[Path], object], *parts: str) -> Path:
        """Write a value with `save(folder)` in place of the one stored before."""
        with self.writing(*parts) as folder:
            save(folder)
        return self.place(*parts)

    def read(self, load: Callable[[Path], _Value], *parts: str) -> _Value:
        """Read a value with `load(folder)`.

        Raises:
            TableError: if there is none.
            StoreError: if it may not be read.
        """
        if not self.has(*parts):
            raise nothing_there(parts)
        with told_disk_faults(self.place(*parts)):
            return load(self.place(*parts))

    @property
    def _modes(self) -> tuple[int, int]:
        return (PRIVATE_FOLDER, PRIVATE_FILE) if self.is_private else (_SHARED_FOLDER, _SHARED_FILE)

    def _make(self, folder: Path) -> None:
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        for place in reversed(missing):
            inside = place == self.root or self.root in place.parents
            place.mkdir(mode=self._modes[0] if inside else PRIVATE_FOLDER, exist_ok=True)

    def _close(self, folder: Path) -> None:
        for place in folder.rglob("*"):
            place.chmod(self._modes[0] if place.is_dir() else self._modes[1])
            if place.is_file():
                _flush(place)

    @staticmethod
    def _swap(temporary: Path, target: Path) -> None:
        """Put a folder in the place of another: in one step where the system can, else in two."""
        if target.exists() and _exchanged(temporary, target):
            _flush(target.parent)
            return  # the old value is now the temporary one, which the caller removes
        old = target.parent / f"{replaced_prefix(target.name)}{secrets.token_hex(6)}"
        if target.exists():
            os.utime(target)  # so that nobody takes it for an old leaving before the new value is in its place
            target.rename(old)
        try:
            temporary.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
        _flush(target.parent)


def _exchanged(first: Path, second: Path) -> bool:
    """Whether two places could be exchanged in one step, as Linux can: then not even a power cut leaves neither."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return rename(_HERE, os.fsencode(first), _HERE, os.fsencode(second), _EXCHANGE) == 0


def child_names(folder: Path) -> Sequence[str]:
    """Names of the values in a folder, hidden and unfinished ones left out."""
    return sorted(place.name for place in folder.iterdir() if not place.name.startswith(".")) if folder.is_dir() else []


def replace_file(path: Path, content: bytes) -> None:
    """Put a file that others may read in the place of what has its name, in one step; its folder exists.

    Raises:
        StoreError: if the disk is full or the folder may not be written; what was there before stands.
    """
    # Beside the folder, not in it: a bundle that is looked at meanwhile holds no file without a meaning.
    draft = path.parent.with_name(f"{draft_prefix(path.parent.name)}{secrets.token_hex(6)}")
    with told_disk_faults(path):
        try:
            draft.write_bytes(content)
            draft.chmod(_SHARED_FILE)
            _flush(draft)
            draft.replace(path)
            _flush(path.parent)
        finally:
            draft.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
