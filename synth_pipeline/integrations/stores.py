"""Where a walk's results lie: the home folder, and stores that write whole or not at all.

Belongs here: paths, file modes, atomic writes, the key that only this home knows. Does not: what is written (the walk's stages).

The private zone is readable by its owner alone (folders 0700, files 0600). A write goes to a temporary neighbour first and takes its
place in one rename, so a reader sees the old content or the new, never half of it.
"""

import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from synth_pipeline.errors import TableError
from synth_pipeline.privacy.ledger.place import LEDGER_VARIABLE
from synth_pipeline.release.draft import draft_prefix, replaced_prefix, sweep_drafts
from synth_pipeline.snapshot.key import load_or_create_key

HOME_VARIABLE = "SYNTH_PIPELINE_HOME"
DEFAULT_HOME = ".synth_pipeline"

_Value = TypeVar("_Value")
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600
_SHARED_FOLDER, _SHARED_FILE = 0o755, 0o644


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
        for part in parts:
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@=+-]{0,199}", part):
                raise TableError(
                    f"store: {part!r} is no name; use letters, digits and any of _ . @ = + - (first a letter, digit or _)"
                )
        return self.root.joinpath(*parts)

    def has(self, *parts: str) -> bool:
        """Whether a value is stored there."""
        return self.place(*parts).is_dir()

    @contextmanager
    def writing(self, *parts: str) -> Generator[Path]:
        """An empty folder to write into, which becomes the value's folder when the block ends well, and vanishes when it does not.

        What a killed process left of the same value is removed once it is a day old: it may hold rows.
        """
        target = self.place(*parts)
        self._make(target.parent)
        temporary = target.parent / f"{draft_prefix(target.name)}{secrets.token_hex(6)}"
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
        """
        if not self.has(*parts):
            raise TableError(f"store: nothing at {'/'.join(parts)}; materialize that asset for this snapshot first")
        return load(self.place(*parts))

    @property
    def _modes(self) -> tuple[int, int]:
        return (_PRIVATE_FOLDER, _PRIVATE_FILE) if self.is_private else (_SHARED_FOLDER, _SHARED_FILE)

    def _make(self, folder: Path) -> None:
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        for place in reversed(missing):
            inside = place == self.root or self.root in place.parents
            place.mkdir(mode=self._modes[0] if inside else _PRIVATE_FOLDER, exist_ok=True)

    def _close(self, folder: Path) -> None:
        for place in folder.rglob("*"):
            place.chmod(self._modes[0] if place.is_dir() else self._modes[1])
            if place.is_file():
                _flush(place)

    @staticmethod
    def _swap(temporary: Path, target: Path) -> None:
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


@dataclass(frozen=True)
class Home:
    """The folder of an installation, and where each thing lies in it.

    Attributes:
        folder: absolute path; readable by its owner alone.
    """

    folder: Path

    @classmethod
    def at(cls, folder: str | Path | None = None) -> "Home":
        """The home at a folder; without one, `$SYNTH_PIPELINE_HOME`, else `.synth_pipeline` in the working folder."""
        return cls(Path(folder or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).expanduser().resolve())

    def make(self) -> "Home":
        """Create the folder, private to its owner, unless it exists."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
        return self

    @property
    def private(self) -> FolderStore:
        """Store of the private zone: raw rows and anything computed from them without noise."""
        return FolderStore(self.folder / "private", is_private=True)

    @property
    def released(self) -> FolderStore:
        """Store of the released zone: public facts and outputs of DP mechanisms."""
        return FolderStore(self.folder / "released", is_private=False)

    @property
    def ledger(self) -> str:
        """Where the budget ledger lies, as `open_ledger` takes it: `$SYNTH_PIPELINE_LEDGER`, else `ledger.sqlite` in the home.

        The variable holds a PostgreSQL URL, whose password must not be shown (a ledger's own `place` masks it), or the path of a
        file, of which a relative one lies in the home.
        """
        place = os.environ.get(LEDGER_VARIABLE) or "ledger.sqlite"
        return place if "://" in place else str(self.resolve(place))

    @property
    def releases(self) -> Path:
        """Folder of the release bundles."""
        return self.folder / "releases"

    @property
    def dagster(self) -> Path:
        """Dagster's own home: runs, events, partitions."""
        return self.folder / "dagster"

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking store."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def tracking_artifacts(self) -> Path:
        """Folder of MLflow's artifacts."""
        return self.folder / "mlflow-artifacts"

    def resolve(self, uri: str) -> Path:
        """A local path; a relative one lies in the home."""
        path = Path(uri).expanduser()
        return path if path.is_absolute() else (self.folder / path).resolve()

    def key(self) -> bytes:
        """The secret of this home that keys splits and fingerprints; drawn on first use, never shown."""
        return load_or_create_key(self.folder)


def is_owner_only(path: Path) -> bool:
    """Whether nobody but the owner may read, write or enter a path."""
    return not stat.S_IMODE(path.stat().st_mode) & 0o077


def partition_key(text: str, *, most: int = 80) -> str:
    """A text as a partition key and folder name: letters, digits, `_`, `-`; other characters become `-`.

    Example:
        >>> partition_key("gss 1974–84.v2")
        'gss-1974-84-v2'
    """
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:most] or "snapshot"


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def child_names(folder: Path) -> Sequence[str]:
    """Names of the values in a folder, hidden and unfinished ones left out."""
    return sorted(place.name for place in folder.iterdir() if not place.name.startswith(".")) if folder.is_dir() else []
