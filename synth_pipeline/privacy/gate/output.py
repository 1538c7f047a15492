"""What a private stage prints, warns or logs: kept in the private store, whoever says it.

Libraries warn with values (`DtypeWarning`, `could not infer format for …`), log them, and print them, some from C or Rust straight to
file descriptor 2; an orchestrator keeps all of that in logs that everybody with its page can read. During a private stage both
descriptors, `sys.stdout`, `sys.stderr` and foreign log records lead to one file that the owner of the home alone can read. Even how many
warnings there were is not told, since that depends on rows; only where the file is, before anything is read.
"""

import logging
import os
import resource
import secrets
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from synth_pipeline.privacy.gate.error import value_free_errors
from synth_pipeline.privacy.gate.zone import PrivateStore, Released

_ORCHESTRATOR = "dagster"
_WITHHELD = "a log line of this library is withheld, because it may hold real values"


@contextmanager
def private_stage(
    stage: str, store: PrivateStore, *, log: Callable[[Released[str]], None] | None = None
) -> Generator[None]:
    """Run a block that reads private rows: no exception and no line of output of it carries a value.

    Args:
        stage: name of the stage, for messages.
        store: the private store.
        log: told once, before the block, where its output is kept.

    Raises:
        SynthPipelineError: in place of whatever stopped the block (see `value_free_errors`).
    """
    with value_free_errors(stage, store), withheld_output(stage, store) as place:
        if log is not None:
            log(Released(f"{stage}: reads real rows; whatever is printed or warned meanwhile is kept in {place}"))
        yield


@contextmanager
def withheld_output(stage: str, store: PrivateStore) -> Generator[Path]:
    """Keep what is printed, warned or logged during a block in a file of the private store; an empty one is removed.

    Lines of the orchestrator's own logger still reach its record, for they are ours and take released text only. Redirection is for the
    whole process: a thread that is not part of the stage is silent too. So is the limit on core files, which stays: a process that has read
    rows leaves none.

    Args:
        stage: name of the stage.
        store: the private store.

    Yields:
        The file.
    """
    _leave_no_core()
    path = _fresh_file(stage, store)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        with (
            os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="backslashreplace", buffering=1) as kept,
            ExitStack() as stack,
        ):
            for number, stream in ((1, sys.stdout), (2, sys.stderr)):
                stack.enter_context(_descriptor_leads_to(descriptor, number, stream))
            stack.enter_context(redirect_stdout(kept))
            stack.enter_context(redirect_stderr(kept))
            stack.enter_context(_foreign_records_withheld(kept))
            stack.enter_context(_warnings_withheld(kept))
            yield path
    finally:
        os.close(descriptor)
        if path.stat().st_size == 0:
            path.unlink()


def _leave_no_core() -> None:
    """Have the system write no core file when this process crashes, now or later: its memory holds rows from here on."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _fresh_file(stage: str, store: PrivateStore) -> Path:
    """Made for its owner alone, before the block, so that a process which dies has said what it said there."""
    folder = store.root / "output"
    for place in (store.root.parent, store.root, folder):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{stage.replace('/', '.')}.{secrets.token_hex(6)}.txt"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return path


@contextmanager
def _descriptor_leads_to(target: int, number: int, stream: Any) -> Generator[None]:
    """Point a descriptor of this process elsewhere for the length of a block; what the stream held back is written first."""
    _flush(stream)
    try:
        before = os.dup(number)
    except OSError:  # a process without this descriptor, such as a daemon's
        yield
        return
    os.dup2(target, number)
    try:
        yield
    finally:
        _flush(stream)  # what the block wrote through an older stream object belongs to the block
        os.dup2(before, number)
        os.close(before)


def _flush(stream: Any) -> None:
    with suppress(OSError, ValueError, AttributeError):
        stream.flush()


@contextmanager
def _foreign_records_withheld(kept: Any) -> Generator[None]:
    """Replace the words of log records of every logger but the orchestrator's, whichever handlers they go to."""
    make = logging.getLogRecordFactory()

    def withheld(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if not isinstance(
            record.name, str
        ):  # `makeLogRecord` asks for an empty one, to copy a record that came through here
            return record
        if record.name.split(".")[0] != _ORCHESTRATOR:
            _write_record(kept, record)
            record.msg, record.args = _WITHHELD, ()
            record.exc_info, record.exc_text, record.stack_info = None, None, None
        return record

    logging.setLogRecordFactory(withheld)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)


@contextmanager
def _warnings_withheld(kept: Any) -> Generator[None]:
    """Write Python's warnings to the file, also where somebody collects or logs them; which are shown or raised stays as it is set."""

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
        kept.write(warnings.formatwarning(message, category, filename, lineno))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _write_record(kept: Any, record: logging.LogRecord) -> None:
    with suppress(Exception):  # a line that cannot be formatted is lost; it must not stop the stage
        kept.write(f"{logging.Formatter('%(levelname)s %(name)s: %(message)s').format(record)}\n")
