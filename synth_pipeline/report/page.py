"""Rendering: templates of this package to self-contained HTML."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pipeline.report.chart import shortened

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **content: Any) -> str:
    """A page from a template of this package; every value is escaped, and nothing is loaded from elsewhere."""
    return _environment().get_template(template).render(**content)


def number_text(value: float) -> str:
    """A number in few characters.

    Example:
        >>> number_text(1234567.0), number_text(0.25), number_text(3.0)
        ('1,234,567', '0.25', '3')
    """
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def moment_text(value: datetime) -> str:
    """A point in time; the date alone at midnight."""
    return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat(" ", "minutes")


def stamp_text(stamp: str) -> str:
    """A moment as files hold it, to the minute and in UTC, for people.

    Example:
        >>> stamp_text("2026-11-22T20:43:10+01:00")
        '2026-11-22 19:43 UTC'
    """
    moment = datetime.fromisoformat(stamp)
    return f"{moment.astimezone(UTC) if moment.tzinfo else moment:%Y-%m-%d %H:%M} UTC"


def found_text(observed: Mapping[str, float | int]) -> str:
    """What an expectation found, in words that answer to what it asks.

    Example:
        >>> found_text({"violations": 0}), found_text({"non_null_share": 0.9972})
        ('no violations', '0.3 % are null')
        >>> found_text({"distance": 0.0014716, "tolerance": 0.0375})
        'distance 0.0015 of at most 0.0375'
    """
    match dict(observed):
        case {"violations": 0}:
            return "no violations"
        case {"non_null_share": share}:
            return f"{100 * (1 - share):.1f} % are null"
        case {"distance": distance, "tolerance": tolerance}:
            return f"distance {distance:.4f} of at most {tolerance:.4f}"
        case {"columns": count} | {"rows": count}:
            return f"{count:,} {next(iter(observed))}"
        case others:
            return ", ".join(f"{name.replace('_', ' ')} {number_text(value)}" for name, value in others.items())


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = number_text
    environment.filters["middle"] = shortened
    environment.filters["moment"] = stamp_text
    environment.filters["found"] = found_text
    return environment
