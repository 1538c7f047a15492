"""What ends a command from outside, Ctrl-C and SIGTERM: which of them it was, and that it is not lost on the way.

Belongs here: hearing signals. Does not: what a command says and exits with then (entry).

Which one it was cannot be told by what a handler raises: while Dagster executes in this process it gives SIGTERM the handler of SIGINT, and
leaves it so. The system's own note can: `signal.set_wakeup_fd` has the number of every signal written into a pipe, whatever handles it.

It may be lost because Python drops what is raised inside a `__del__`, a weak reference's callback or the garbage collector's: it prints
"Exception ignored" and goes on, here for minutes. What was dropped so is sent once more, a moment later.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NoReturn

_HEARD = (signal.SIGINT, signal.SIGTERM)
_AGAIN_SECONDS = 0.2


class TerminatedError(BaseException):
    """The process was asked to end; no `except Exception` on the way holds it up."""


class Heard:
    """The signals that came while a command ran.

    Args:
        pipe: descriptor from which their numbers are read without waiting; None: they cannot be noted here.
    """

    def __init__(self, pipe: int | None) -> None:
        self._pipe = pipe
        self._last: int | None = None

    @property
    def last(self) -> int | None:
        """Number of the last SIGINT or SIGTERM; None if none came, or where they cannot be noted."""
        while self._pipe is not None:
            try:
                numbers = os.read(self._pipe, 4096)
            except BlockingIOError:  # all are read
                break
            self._last = next((number for number in reversed(numbers) if number in _HEARD), self._last)
        return self._last

    @property
    def is_termination(self) -> bool:
        """Whether the last of them was SIGTERM."""
        return self.last == signal.SIGTERM


@contextmanager
def heard_signals() -> Generator[Heard]:
    """Turn SIGTERM into an exception, so that what is under way is cleaned up, note which signals come, and lose none of them.

    Elsewhere than in the main thread, or where somebody else hears signals already, the process stays as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Heard(None)
        return
    with _noted() as heard, _sent_again(heard), _raised():
        yield heard


@contextmanager
def _raised() -> Generator[None]:
    def end(*_: object) -> NoReturn:
        raise TerminatedError

    is_ours = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if is_ours:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _noted() -> Generator[Heard]:
    reader, writer = os.pipe()
    try:
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        if before != -1:  # an event loop's, which needs it more
            signal.set_wakeup_fd(before)
        try:
            yield Heard(reader if before == -1 else None)
        finally:
            if before == -1:
                signal.set_wakeup_fd(-1)
    finally:
        os.close(reader)
        os.close(writer)


@contextmanager
def _sent_again(heard: Heard) -> Generator[None]:
    """Send a signal once more whose exception Python dropped."""
    before: Callable[[Any], object] = sys.unraisablehook
    waiting: list[threading.Timer] = []

    def dropped(lost: Any) -> None:
        number, is_ending = heard.last, not isinstance(lost.exc_value, (Exception, GeneratorExit, SystemExit))
        if number is None or not is_ending:
            before(lost)
            return
        # Not at once: it would be raised, and dropped, in here.
        timer = threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), number))
        timer.daemon = True
        waiting.append(timer)
        timer.start()

    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in waiting:
            timer.cancel()
