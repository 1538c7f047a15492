"""The gate through which values become Dagster metadata (design 3.3), and the one for exceptions.

Dagster keeps metadata, logs and tracebacks in an event log that everybody with the web page can read, so whatever reaches it is
released. A stage wraps each value in `Released` or `Internal` by hand, where its origin is known; a bare value is refused. Internal
values go to the private store, and only where they lie is shown.
"""

import json
import re
import secrets
import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import dagster as dg

from synth_pipeline.errors import PrivacyError, SynthPipelineError
from synth_pipeline.integrations.stores import FolderStore

Shown: TypeAlias = str | int | float | bool | dg.MetadataValue
_LONGEST_TEXT = 200_000
_COUNTED_ROWS = re.compile(r"\b\d[\d,]* rows?\b")


@dataclass(frozen=True)
class Released:
    """A public fact, or the output of a charged DP mechanism or of post-processing one.

    Attributes:
        value: what is shown.
    """

    value: Shown


@dataclass(frozen=True, repr=False)
class Internal:
    """A value computed from real rows without noise: scores, exact counts; it is never shown.

    Attributes:
        value: plain data, kept as JSON in the private store.
    """

    value: Any

    def __repr__(self) -> str:
        return "Internal(withheld)"


@dataclass(frozen=True)
class Gate:
    """What one asset of one snapshot may say.

    Attributes:
        store: the private store, which takes internal values.
        place: parts of the place of this asset's internal values in it.
    """

    store: FolderStore
    place: tuple[str, ...] = field(default=())

    def pass_through(self, entries: Mapping[str, Released | Internal]) -> dict[str, dg.MetadataValue]:
        """The entries as Dagster metadata; internal ones are written to the private store and replaced by a pointer.

        Raises:
            PrivacyError: for a value that is neither `Released` nor `Internal`, or a released one that is no plain value.
        """
        internal = {name: entry.value for name, entry in entries.items() if isinstance(entry, Internal)}
        if internal:
            self.store.write(lambda folder: _write_json(folder / "internal.json", internal), *self.place)
        return {name: self._shown(name, entry) for name, entry in entries.items()}

    def _shown(self, name: str, entry: object) -> dg.MetadataValue:
        if isinstance(entry, Internal):
            place = self.store.place(*self.place) / "internal.json"
            return dg.MetadataValue.text(
                f"internal: computed on real rows, kept in the private store ({place}, key {name!r})"
            )
        if not isinstance(entry, Released):
            raise PrivacyError(
                f"metadata {name!r}: {type(entry).__name__} has no zone; wrap it in Released(...) or Internal(...)"
            )
        return _metadata_value(name, entry.value)


@contextmanager
def value_free_errors(stage: str, store: FolderStore) -> Generator[None]:
    """Let no exception of a private stage carry a value or a count of real rows.

    An error of our family passes, with counts of rows replaced by "some rows"; any other is replaced by its type and the place in our
    code. What was replaced is written to the private store, for the owner of the home.

    Args:
        stage: name of the stage, for the message.
        store: the private store.

    Raises:
        SynthPipelineError: of the same class as the one that passes; `PrivacyError` in place of any other exception.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001  (whatever it is, its message may hold a value)
        raise _told(stage, error, store) from None  # Dagster follows causes and contexts; `from None` hides both


def _told(stage: str, error: Exception, store: FolderStore) -> SynthPipelineError:
    """The error that may leave a private stage."""
    if isinstance(error, SynthPipelineError):
        text = str(error)
        plain = _COUNTED_ROWS.sub("some rows", text)
        return type(error)(plain if plain == text else f"{plain} (counts: {_keep(text, store)})")
    report = _keep("".join(traceback.format_exception(error)), store)
    return PrivacyError(
        f"{stage}: stopped by {type(error).__name__} at {_our_line(error)}; its message is withheld because it may hold real values,"
        f" and kept in {report}"
    )


def _metadata_value(name: str, value: object) -> dg.MetadataValue:
    match value:
        case dg.MetadataValue():
            return value
        case bool():
            return dg.MetadataValue.bool(value)
        case int():
            return dg.MetadataValue.int(value)
        case float():
            return dg.MetadataValue.float(value)
        case str() if len(value) <= _LONGEST_TEXT:
            return dg.MetadataValue.text(value)
        case _:
            raise PrivacyError(
                f"metadata {name!r}: a {type(value).__name__} is not shown; use a number, a text or a MetadataValue"
            )


def _our_line(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    ours = [frame for frame in frames if "synth_pipeline" in Path(frame.filename).parts]
    last = (ours or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def _keep(text: str, store: FolderStore) -> Path:
    place = store.write(
        lambda folder: (folder / "error.txt").write_text(text, encoding="utf-8"), "errors", secrets.token_hex(8)
    )
    return place / "error.txt"


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
