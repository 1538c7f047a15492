"""Calendar periods after which a cap renews: words of the calendar, or a start and a length; always in UTC.

Belongs here: reading a period and finding its bounds. Does not: what was spent in it (privacy/ledger).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from synth_pipeline.errors import SpecError

_INTERVAL = re.compile(r"(?P<start>\d{4}-\d{2}-\d{2})/P(?P<count>[1-9]\d{0,3})(?P<unit>[DWMY])")
_LAST_SAFE_DAY = 28


def _month_start(day: date, *, months: int) -> date:
    """The first day of the month, of a group of `months` that begins with January, in which a day lies."""
    return date(day.year, (day.month - 1) // months * months + 1, 1)


def _months_later(day: date, months: int) -> date:
    years, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(years, month + 1, day.day)


_Bounds = Callable[[date], tuple[date, date]]


def _of_months(months: int) -> _Bounds:
    def bounds(day: date) -> tuple[date, date]:
        first = _month_start(day, months=months)
        return first, _months_later(first, months)

    return bounds


def _of_week(day: date) -> tuple[date, date]:
    first = day - timedelta(days=day.weekday())
    return first, first + timedelta(days=7)


_WORDS: Mapping[str, _Bounds] = {
    "year": _of_months(12),
    "quarter": _of_months(3),
    "month": _of_months(1),
    "week": _of_week,
    "day": lambda day: (day, day + timedelta(days=1)),
}
ALLOWED = f"{', '.join(_WORDS)}, or a start and an ISO 8601 length such as 2026-04-01/P1Y (D, W, M or Y)"
"""The periods that there are, for messages and descriptions."""


@dataclass(frozen=True, slots=True)
class Period:
    """A calendar that cuts time into periods of one kind, each with its start and without its end.

    Attributes:
        text: as it stands in the spec.
    """

    text: str

    def __post_init__(self) -> None:
        if self.text not in _WORDS:
            _anchored(self.text)

    def around(self, moment: datetime) -> tuple[datetime, datetime]:
        """Return the start of the period in which a moment lies, and the start of the next.

        Example:
            >>> since, until = Period("quarter").around(datetime(2026, 5, 17, tzinfo=UTC))
            >>> since.date().isoformat(), until.date().isoformat()
            ('2026-04-01', '2026-07-01')
        """
        day = moment.astimezone(UTC).date()
        first, after = _WORDS[self.text](day) if self.text in _WORDS else _around(day, *_anchored(self.text))
        return _midnight(first), _midnight(after)


def _anchored(text: str) -> tuple[date, int, str]:
    """Read a start and a length.

    Raises:
        SpecError: when the text is neither a word of the calendar nor a start and a length.
    """
    found = _INTERVAL.fullmatch(text)
    try:
        start = date.fromisoformat(found["start"]) if found else None
    except ValueError:
        start = None
    if found is None or start is None:
        raise SpecError(f"period {text!r} is not known; use {ALLOWED}")
    if found["unit"] in "MY" and start.day > _LAST_SAFE_DAY:
        raise SpecError(
            f"period {text!r}: not every month has a day {start.day}; start on a day up to {_LAST_SAFE_DAY}"
        )
    return start, int(found["count"]), found["unit"]


def _around(day: date, start: date, count: int, unit: str) -> tuple[date, date]:
    if unit in "DW":
        length = count * (7 if unit == "W" else 1)
        first = start + timedelta(days=(day - start).days // length * length)
        return first, first + timedelta(days=length)
    length = count * (12 if unit == "Y" else 1)
    passed = (day.year - start.year) * 12 + day.month - start.month - (day.day < start.day)
    first = _months_later(start, passed // length * length)
    return first, _months_later(first, length)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
