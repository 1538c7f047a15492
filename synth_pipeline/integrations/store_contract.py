"""What a store of values is, wherever it lies: the protocol that folder and S3 stores keep, names in it, and faults of a disk.

Belongs here: what every store has in common. Does not: how one keeps its values (folder_store, s3_store), and which one is used (stores).
"""

import errno
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from synth_pipeline.errors import StoreError, SynthPipelineError, TableError
from synth_pipeline.privacy.gate import Place

_Value = TypeVar("_Value")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@=+-]{0,199}")
_DISK_FAULTS = {
    errno.ENOSPC: ("no space left on the disk", "free some, or move the home to a larger disk"),
    errno.EDQUOT: ("the disk quota is used up", "free some, or raise it"),
    errno.EFBIG: ("a file is larger than is allowed here", "raise the limit (ulimit -f)"),
    errno.EACCES: ("permission denied", "run as the owner of the home, or give this user the folder"),
    errno.EPERM: ("permission denied", "run as the owner of the home, or give this user the folder"),
    errno.EROFS: ("the disk is mounted read-only", "mount it for writing"),
    errno.EIO: ("the disk reports a fault", "look at the machine's log"),
}
_FAULT_IN_TEXT = re.compile(r"(?:os error|code:) (\d+)")


class Store(Protocol):
    """A store of values, each a few files under a place of names; a write is whole or not at all."""

    @property
    def root(self) -> Path:
        """Folder on this machine for what is written line by line; in a folder store, the folder that holds everything."""
        ...

    @property
    def is_private(self) -> bool:
        """Whether only the owner may read what is written."""
        ...

    def place(self, *parts: str) -> Place:
        """Where a value lies, whether or not there is one."""
        ...

    def found(self, *parts: str) -> Place:
        """Where the files of the value lie that is stored now."""
        ...

    def has(self, *parts: str) -> bool:
        """Whether a value is stored there."""
        ...

    def names(self, *parts: str) -> Sequence[str]:
        """Names of what is stored under a place, sorted; hidden and unfinished ones left out."""
        ...

    def writing(self, *parts: str) -> AbstractContextManager[Path]:
        """An empty folder, which becomes the value when the block ends well, and vanishes when it does not."""
        ...

    def write(self, save: Callable[[Path], object], *parts: str) -> Place:
        """Write a value with `save(folder)` in place of the one stored before."""
        ...

    def read(self, load: Callable[[Path], _Value], *parts: str) -> _Value:
        """Read a value with `load(folder)`; the folder is gone afterwards."""
        ...


def require_names(parts: Sequence[str]) -> None:
    """Refuse parts of a place that would leave the store or hide in it.

    Raises:
        TableError: naming the part.
    """
    for part in parts:
        if not _NAME.fullmatch(part):
            raise TableError(
                f"store: {part!r} is no name; use letters, digits and any of _ . @ = + - (first a letter, digit or _)"
            )


def nothing_there(parts: Sequence[str]) -> TableError:
    """What a store says of a value that it does not hold."""
    return TableError(f"store: nothing at {'/'.join(parts)}; materialize that asset for this snapshot first")


@contextmanager
def told_disk_faults(where: object) -> Generator[None]:
    """Tell a full disk, a missing permission and the like in one line; any other exception passes as it is.

    Args:
        where: the place, for the message.

    Raises:
        StoreError: what, where, what to do.
    """
    try:
        yield
    except SynthPipelineError:
        raise
    except Exception as error:
        fault = _disk_fault(error)
        if fault is None:
            raise
        what, remedy = fault
        raise StoreError(f"store: {where}: {what}; {remedy}; what was stored there before stands") from None


def _disk_fault(error: Exception) -> tuple[str, str] | None:
    if isinstance(error, OSError):
        return _DISK_FAULTS.get(error.errno or 0)
    told = _FAULT_IN_TEXT.search(str(error))  # safetensors' own error class has the number in its text only
    return _DISK_FAULTS.get(int(told[1])) if told else None
