"""What the viewer of the live demo sees on stderr: news line by line, and in a terminal a bar for the walk that is going.

Belongs here: showing. Does not: knowing what happens (`orchestration.live`), or the table at the end (`demo_live`).
"""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

import click

_WIDEST = 44


class Moment(Protocol):
    """Something that the viewer is told; `orchestration.live_news.Moment` says what each attribute is."""

    @property
    def snapshot(self) -> str:
        """Which snapshot it is about."""
        ...

    @property
    def text(self) -> str:
        """What happened."""
        ...

    @property
    def done(self) -> float:
        """Share of the snapshot's stages that are done."""
        ...

    @property
    def is_news(self) -> bool:
        """Whether it happens once; otherwise it is a stage's own progress."""
        ...


Watcher = Callable[[Moment], None]


def say(text: str) -> None:
    """One line with the time of day."""
    click.echo(f"{_now()} {text}", err=True)


@contextmanager
def screen(snapshots: int) -> Generator[Watcher]:
    """Show moments for the length of a block: lines, and in a terminal a bar below them.

    Args:
        snapshots: how many will arrive.
    """
    if not sys.stderr.isatty():
        yield lambda moment: say(f"{moment.snapshot}: {moment.text}") if moment.is_news else None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, console=console, transient=True) as bars:
        whole = bars.add_task("snapshots".ljust(_WIDEST), total=float(snapshots))
        done = dict[str, float]()

        def watch(moment: Moment) -> None:
            done[moment.snapshot] = max(moment.done, done.get(moment.snapshot, 0.0))
            bars.update(whole, completed=sum(done.values()))
            if not moment.is_news:
                bars.update(whole, description=_fit(f"{moment.snapshot}: {moment.text}"))
            else:
                console.print(
                    Text.assemble(f"{_now()} ", (moment.snapshot, "bold"), f": {moment.text}"), soft_wrap=True
                )

        yield watch


def _now() -> str:
    return f"{datetime.now().astimezone():%H:%M:%S}"


def _fit(text: str) -> str:
    return (text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…").ljust(_WIDEST)
