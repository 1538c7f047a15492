"""What a datetime column is asked beside its bins: its calendar parts, so that weekly, daily and yearly rhythm survive."""

from collections.abc import Sequence

import numpy as np

from synth_pipeline.privacy.curator import Curator
from synth_pipeline.table.calendar import DAY_SECONDS, PART_LABELS, CalendarPart, Part
from synth_pipeline.table.column import DatetimeColumn
from synth_pipeline.table.grid import Grid, native_grid
from synth_pipeline.table.profile import CategoryProfile, NumericProfile

PARTS_SHARE = 1 / 3
_FEWEST_DAYS = 28
_LONGEST_MONTH_DAYS = 31
_WIDE_SHARE = 0.25


def has_calendar(column: DatetimeColumn) -> bool:
    """Whether a column's calendar parts are encoded: where its declared range spans at least four weeks."""
    grid = native_grid(column)
    return grid.cells * grid.seconds >= _FEWEST_DAYS * DAY_SECONDS


def wanted_parts(profile: NumericProfile) -> tuple[Part, ...]:
    """The parts that the released bins do not already tell.

    The day of the week always; the hour where the released step is finer than a day; the month where a good part of the rows lies in
    bins of more than a month.
    """
    step = profile.grid.seconds * profile.grid.stride
    days = np.diff(profile.edges) * step / DAY_SECONDS
    held = np.maximum(profile.counts[: len(days)], 0.0)
    is_wide = held[days > _LONGEST_MONTH_DAYS].sum() > _WIDE_SHARE * held.sum()
    return (*(("month",) if is_wide else ()), "weekday", *(("hour",) if step < DAY_SECONDS else ()))


def profile_parts(
    curator: Curator, profile: NumericProfile, *, cost: float, taken: Sequence[str]
) -> list[CategoryProfile]:
    """Count the calendar parts of a datetime column.

    Args:
        curator: holder of the training rows.
        profile: the column's released profile.
        cost: μ² to spend on all parts together.
        taken: names that a part may not get.

    Privacy:
        One discrete-Gaussian histogram a part through the curator, of equal cost.
    """
    parts = wanted_parts(profile)
    return [_measure(curator, profile, part, cost / len(parts), taken) for part in parts]


def _measure(
    curator: Curator, profile: NumericProfile, part: Part, cost: float, taken: Sequence[str]
) -> CategoryProfile:
    noisy = curator.histogram(
        profile.name,
        CalendarPart(profile.native, part),
        with_null=profile.nullable,
        cost=cost,
        stage="profile",
        purpose=f"{profile.name}: {part}",
    )
    name = f"{profile.name}:{part}"
    while name in taken:
        name += "′"
    return CategoryProfile(
        name=name,
        categories=PART_LABELS[part],
        is_ordered=part != "weekday",
        nullable=profile.nullable,
        has_rest=False,
        counts=noisy.values,
        sigma=np.full(len(noisy.values), noisy.sigma),
        part_of=profile.name,
        part=part,
    )


def time_radices(native: Grid) -> tuple[int, ...]:
    """Factors between one step of a clock and the next: minute, five minutes, quarter of an hour, hour, day."""
    return {1: (60, 5, 3, 4, 24), 60: (5, 3, 4, 24), 3_600: (24,)}.get(native.seconds, ())
