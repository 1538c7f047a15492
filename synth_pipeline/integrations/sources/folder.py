"""A local folder as a source of snapshots.

A file may still be being written when it is first seen, so one look is never enough. Files are read where they lie.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from synth_pipeline.errors import SourceError
from synth_pipeline.integrations.sources.contract import Arrival, keyed_stamp
from synth_pipeline.integrations.sources.name import fault_of, is_nested, name_filter


@dataclass(frozen=True)
class FolderSource:
    """Files of one folder that fit a pattern; a link to a file counts as the file.

    Attributes:
        folder: where they lie.
        pattern: which are snapshots.
        key: the home's key, for stamps.
    """

    folder: Path
    pattern: str
    key: bytes

    @property
    def place(self) -> str:
        """The folder's path."""
        return str(self.folder)

    def look(self) -> Iterator[Arrival]:
        """Every file that fits; a folder that is not there yet is empty.

        Raises:
            SourceError: if the folder may not be read.
        """
        fits = name_filter(self.pattern)
        for name in self._names():
            if fits(name):
                try:
                    facts = (self.folder / name).stat()
                except OSError:  # removed since the folder was listed
                    continue
                if stat.S_ISREG(facts.st_mode):
                    yield self._arrival(name, facts)

    def fetch(self, arrival: Arrival, folder: Path) -> Path:
        """The file itself.

        Raises:
            SourceError: if it is gone, or has changed since it was seen.
        """
        self.confirm(arrival)
        return self.folder / arrival.name

    def confirm(self, arrival: Arrival) -> None:
        """Refuse if the file is no longer as it was seen.

        Raises:
            SourceError: if so.
        """
        path = self.folder / arrival.name
        try:
            found = self.arrival(arrival.name)
        except OSError:
            raise SourceError(
                f"{path}: the file is not there any more; put it back, or name another snapshot"
            ) from None
        if found.stamp != arrival.stamp:
            raise SourceError(changed_meanwhile(str(path)))

    def arrival(self, name: str) -> Arrival:
        """A file as it is now.

        Raises:
            OSError: if it is not there.
        """
        return self._arrival(name, (self.folder / name).stat())

    def _arrival(self, name: str, facts: os.stat_result) -> Arrival:
        stamp = keyed_stamp(self.key, facts.st_mtime_ns, facts.st_size)
        return Arrival(name, stamp, changed=facts.st_mtime_ns, is_settled=False, fault=fault_of(name, facts.st_size))

    def _names(self) -> Iterator[str]:
        """Paths of all files below the folder, relative to it."""

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                kind = type(error).__name__
                raise SourceError(f"source {self.place}: cannot be listed ({kind}); check its permissions") from None

        for parent, folders, files in os.walk(self.folder, onerror=refuse):
            if is_nested(self.pattern):
                folders[:] = [name for name in folders if not name.startswith((".", "_"))]
            else:
                folders.clear()
            above = Path(parent).relative_to(self.folder).as_posix()
            yield from files if above == "." else (f"{above}/{name}" for name in files)


def changed_meanwhile(what: str) -> str:
    """What to say of a content that is another by now."""
    return f"{what}: has changed since it was seen; nothing was charged, and the new content is another snapshot"
