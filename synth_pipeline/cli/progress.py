"""Progress on stderr: a bar in a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime

import click

Teller = Callable[[str, float], None]

_LEAST_SECONDS = 5.0
_MOST_LETTERS = 60


@contextmanager
def progress(title: str) -> Generator[Teller]:
    """A callback for a message and the share of the work done, shown for the length of a block."""
    with _bar(title) if sys.stderr.isatty() else _lines() as tell:
        yield lambda message, done: tell(_once(message), done)


@contextmanager
def _bar(title: str) -> Generator[Teller]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    # markup=False: a column's name may hold square brackets.
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=1.0)
        yield lambda message, done: bars.update(task, description=_short(message), completed=done)


@contextmanager
def _lines() -> Generator[Teller]:
    last_stage, last_at = "", 0.0

    def tell(message: str, done: float) -> None:
        nonlocal last_stage, last_at
        stage, now = message.partition(":")[0], time.monotonic()
        if stage != last_stage or now - last_at >= _LEAST_SECONDS:
            last_stage, last_at = stage, now
            _log(f"{message} ({done:.0%})" if done > 0 else message)

    yield tell


def _log(message: str) -> None:
    click.echo(f"{datetime.now().astimezone():%H:%M:%S} {message}", err=True)


def _once(message: str) -> str:
    """The message without a part that repeats the part before: a stage's name may come from the stage and from its runner."""
    parts = message.split(": ")
    return ": ".join(part for place, part in enumerate(parts) if place == 0 or part != parts[place - 1])


def _short(message: str) -> str:
    return (message if len(message) <= _MOST_LETTERS else f"{message[: _MOST_LETTERS - 1]}…").ljust(_MOST_LETTERS)
