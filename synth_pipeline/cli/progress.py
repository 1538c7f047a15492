"""Progress on stderr: a bar in a terminal, a plain line now and then elsewhere.

Progress goes to a stream of its own: while real rows are read, stderr itself leads to the private store (`privacy.gate`).
"""

import io
import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from typing import TextIO

import click

Teller = Callable[[str, float], None]

_LEAST_SECONDS = 5.0
_MOST_LETTERS = 60


@contextmanager
def progress(title: str) -> Generator[Teller]:
    """A callback for a message and the share of the work done, shown for the length of a block."""
    is_terminal = sys.stderr.isatty()
    with _own_stderr() as stream, _bar(title, stream) if is_terminal else _lines(stream) as tell:
        yield lambda message, done: tell(_once(message), done)


@contextmanager
def _own_stderr() -> Generator[TextIO]:
    """Stderr as it is now, wherever it leads later."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, io.UnsupportedOperation):  # a stream in memory: it stays what it is
        yield sys.stderr
        return
    with os.fdopen(descriptor, "w", encoding=sys.stderr.encoding, errors="replace", buffering=1) as stream:
        yield stream


@contextmanager
def _bar(title: str, stream: TextIO) -> Generator[Teller]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    # markup=False: a column's name may hold square brackets.
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bars:
        task = bars.add_task(title, total=1.0)
        yield lambda message, done: bars.update(task, description=_short(message), completed=done)


@contextmanager
def _lines(stream: TextIO) -> Generator[Teller]:
    last_stage, last_at = "", 0.0

    def tell(message: str, done: float) -> None:
        nonlocal last_stage, last_at
        stage, now = message.partition(":")[0], time.monotonic()
        if stage != last_stage or now - last_at >= _LEAST_SECONDS:
            last_stage, last_at = stage, now
            _log(f"{message} ({done:.0%})" if done > 0 else message, stream)

    yield tell


def _log(message: str, stream: TextIO) -> None:
    click.echo(f"{datetime.now().astimezone():%H:%M:%S} {message}", file=stream)


def _once(message: str) -> str:
    """The message without a part that repeats the part before: a stage's name may come from the stage and from its runner."""
    parts = message.split(": ")
    return ": ".join(part for place, part in enumerate(parts) if place == 0 or part != parts[place - 1])


def _short(message: str) -> str:
    return (message if len(message) <= _MOST_LETTERS else f"{message[: _MOST_LETTERS - 1]}…").ljust(_MOST_LETTERS)
