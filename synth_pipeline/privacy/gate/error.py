"""Exceptions on their way out of the private zone: of another library's, type and place; of ours, the message without counts of rows.

A message may hold a cell (`could not convert string to float: 'Harker'`), an exact count, a whole row. What an orchestrator logs are the
messages of an exception, of its causes and of its contexts; so a new exception without either leaves in place of the one that came.
"""

import re
import secrets
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from synth_pipeline.errors import StageStopped, SynthPipelineError
from synth_pipeline.privacy.gate.zone import PrivateStore

_FOLDER = Path(__file__).parent
_NUMBER = r"\d[\d,_]*(?:\.\d+)?"
_COUNTED = re.compile(
    rf"\b{_NUMBER} (?P<what>(?:[a-z]+ )?(?:rows?|people|persons?|units?|cells?|fields?|values?|nulls?|records?))\b"
)
# An orchestrator stops a step with these; they say nothing but that.
_INTERRUPTS = ("KeyboardInterrupt", "GeneratorExit", "DagsterExecutionInterruptedError")


@contextmanager
def value_free_errors(stage: str, store: PrivateStore) -> Generator[None]:
    """Let no exception of a private stage carry a value or a count of real rows.

    An error of our family passes, with counts of rows replaced by "some rows"; any other is replaced by its type and the place in our
    code. What was replaced is written to the private store, for the owner of the home. That a stage failed, and where, is still told.

    Args:
        stage: name of the stage, for the message.
        store: the private store.

    Raises:
        SynthPipelineError: of the same class as the one that passes; `StageStopped` in place of any other exception.
    """
    try:
        yield
    except BaseException as error:  # noqa: BLE001  (SystemExit and a Rust panic have messages too)
        raise _leaving(stage, error, store) from None  # readers follow causes and contexts; `from None` hides both


@contextmanager
def masked_counts(store: PrivateStore) -> Generator[None]:
    """Let an error of our family leave a block without counts of real rows; any other is the business of who runs the block."""
    try:
        yield
    except SynthPipelineError as error:
        raise type(error)(tellable(error, store)) from None


def tellable(error: SynthPipelineError, store: PrivateStore) -> str:
    """The message of an error of our family without counts of real rows; the counts are kept in the private store."""
    text = str(error)
    plain = mask_counts(text)
    return plain if plain == text else f"{plain} (counts: {_keep(text, store)})"


def mask_counts(text: str) -> str:
    """A message without numbers of rows, people or values.

    Example:
        >>> mask_counts("column 'age': 1,234 rows outside the declared range 0 to 99")
        "column 'age': some rows outside the declared range 0 to 99"
    """
    return _COUNTED.sub(r"some \g<what>", text)


def _leaving(stage: str, error: BaseException, store: PrivateStore) -> BaseException:
    """The exception that may leave a private stage."""
    if isinstance(error, SynthPipelineError):
        return type(error)(tellable(error, store))
    if type(error).__name__ in _INTERRUPTS:
        return type(error)()
    report = _keep("".join(traceback.format_exception(error)), store)
    return StageStopped(
        f"{stage}: stopped by {type(error).__name__} at {_our_line(error)}; its message is withheld because it may hold real values,"
        f" and kept in {report}"
    )


def _our_line(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent != _FOLDER]
    ours = [frame for frame in frames if "synth_pipeline" in Path(frame.filename).parts]
    last = (ours or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def _keep(text: str, store: PrivateStore) -> str:
    """Where the words were kept; if the private store cannot be written they are lost, which is better than told."""
    try:
        place = store.write(
            lambda folder: (folder / "error.txt").write_text(text, encoding="utf-8", errors="backslashreplace"),
            "errors",
            secrets.token_hex(8),
        )
    except OSError:
        return "nowhere, because the private store cannot be written"
    return str(place / "error.txt")
