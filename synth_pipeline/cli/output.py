"""Results on stdout: one JSON document for machines, or text and tables for people."""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

Render = Callable[["Console"], None]

_WIDTH_ELSEWHERE = 140


def answer(content: Mapping[str, Any], render: Render, *, as_json: bool) -> None:
    """Print a result.

    Args:
        content: the result as plain data.
        render: writes the same for people.
        as_json: which of the two.
    """
    if as_json:
        click.echo(json.dumps(content, indent=2, allow_nan=False))
    else:
        render(_console())


def table(
    console: "Console",
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Print rows under headings.

    Args:
        console: where.
        columns: the headings.
        rows: the cells, as text.
        right: headings whose cells are aligned to the right.
        whole: headings whose cells stay on one line, as they are copied from there.
    """
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE, pad_edge=False, show_edge=False)
    for name in columns:
        justify = "right" if name in right else "left"
        made.add_column(name, justify=justify, overflow="fold", no_wrap=name in whole)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    console.print(made)


def facts(console: "Console", entries: Mapping[str, str]) -> None:
    """Print names and what they are, one a line."""
    width = max(map(len, entries), default=0)
    for name, value in entries.items():
        console.print(f"{name:<{width}}  {value}", soft_wrap=True)


def number(value: float) -> str:
    """An ε or δ for people: four significant digits.

    Example:
        >>> number(0.99999), number(1e-06)
        ('1', '1e-06')
    """
    return f"{value:.4g}"


def aligned(values: Sequence[float]) -> list[str]:
    """Numbers of a column with the same decimals, so that their points stand below one another: two digits of the smallest, six at most.

    Example:
        >>> aligned([0.002, 0.158, 1.4484])
        ['0.0020', '0.1580', '1.4484']
    """
    least = min((abs(value) for value in values if value), default=1.0)
    decimals = min(max(1 - math.floor(math.log10(least)), 2), 6)
    return [f"{value:.{decimals}f}" for value in values]


def _console() -> "Console":
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDTH_ELSEWHERE
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)
