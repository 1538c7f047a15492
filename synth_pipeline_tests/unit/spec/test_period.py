"""Calendar periods: where each begins and ends, and what is refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.errors import SpecError
from synth_pipeline.spec import Spec
from synth_pipeline.spec.period import Period

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2300, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
TEXTS = [
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "2026-04-01/P1Y",
    "2026-01-28/P5M",
    "2026-01-05/P90D",
    "2026-02-28/P3W",
]


def bounds(text, *moment):
    return [day.date().isoformat() for day in Period(text).around(datetime(*moment, tzinfo=UTC))]


@pytest.mark.parametrize(
    "text, since, until",
    [
        ("year", "2024-01-01", "2025-01-01"),
        ("quarter", "2024-01-01", "2024-04-01"),
        ("month", "2024-02-01", "2024-03-01"),
        ("week", "2024-02-26", "2024-03-04"),
        ("day", "2024-02-29", "2024-03-01"),
        ("2020-04-01/P1Y", "2023-04-01", "2024-04-01"),
        ("2024-01-15/P1M", "2024-02-15", "2024-03-15"),
        ("2030-02-28/P1M", "2024-02-28", "2024-03-28"),
        ("2024-02-20/P5D", "2024-02-25", "2024-03-01"),
        ("2024-02-01/P2W", "2024-02-29", "2024-03-14"),
    ],
)
def test_a_period_has_the_bounds_of_the_calendar_around_a_leap_day(text, since, until):
    assert bounds(text, 2024, 2, 29, 23, 59, 59) == [since, until]


def test_a_period_is_counted_in_utc_wherever_the_clock_stands():
    new_year_in_tokyo = datetime(2026, 1, 1, 5, tzinfo=timezone(timedelta(hours=9)))
    assert Period("year").around(new_year_in_tokyo)[0] == datetime(2025, 1, 1, tzinfo=UTC)


@given(st.sampled_from(TEXTS), MOMENTS)
def test_a_moment_lies_in_its_period_and_periods_leave_no_gap(text, moment):
    since, until = Period(text).around(moment)
    assert since <= moment < until
    assert Period(text).around(until)[0] == until
    assert Period(text).around(until - timedelta(microseconds=1)) == (since, until)


@pytest.mark.parametrize(
    "text", ["", "yearly", "P1Y", "2026-13-01/P1Y", "2026-01-31/P1M", "2026-01-01/P0D", "2026-01-01/PT1H", "year "]
)
def test_a_period_that_is_not_known_is_refused_with_those_that_are(text):
    with pytest.raises(SpecError, match=r"use year, quarter|start on a day up to 28"):
        Period(text)


BASE = {"dataset": "d", "columns": {"x": {"kind": "boolean"}}}


def spec(**privacy):
    return Spec.from_mapping(BASE | {"privacy": {"epsilon": 1.0, **privacy}})


def test_a_cap_may_renew_and_the_lifetime_may_have_one_of_its_own():
    cap = spec(cap={"epsilon": 2.0, "period": "quarter", "lifetime_epsilon": 8.0}).privacy.cap
    assert (cap.period, cap.lifetime_epsilon) == ("quarter", 8.0)


@pytest.mark.parametrize(
    "cap, fault",
    [
        ({"epsilon": 2.0, "period": "fortnight"}, "period 'fortnight' is not known"),
        ({"epsilon": 2.0, "lifetime_epsilon": 8.0}, "goes with `period`"),
        ({"epsilon": 2.0, "period": "year", "lifetime_epsilon": 1.0}, "below epsilon"),
    ],
)
def test_a_cap_that_makes_no_sense_is_refused(cap, fault):
    with pytest.raises(SpecError, match=fault):
        spec(cap=cap)


def test_a_snapshot_touches_the_blocks_of_every_pattern_it_matches_and_everyone_where_it_matches_none():
    cohorts = spec(cohorts={"by": "blocks", "of": {"2026-h1*": ["q1", "q2"], "*-staff": ["staff"]}}).privacy.cohorts
    assert cohorts.touched_by("2026-h1") == ("q1", "q2")
    assert cohorts.touched_by("2026-h1-staff") == ("q1", "q2", "staff")
    assert cohorts.touched_by("2026-h2") == ("all",)
    assert spec(cohorts={"by": "disjoint"}).privacy.cohorts.touched_by("2026-h1") == ("2026-h1",)
    assert spec().privacy.cohorts.touched_by("2026-h1") == ("all",)


@pytest.mark.parametrize(
    "cohorts, fault",
    [
        ({"by": "blocks"}, "go together"),
        ({"of": {"a": ["q1"]}}, "go together"),
        ({"by": "blocks", "of": {"a": []}}, "at least one block"),
        ({"by": "blocks", "of": {"a": ["all"]}}, "is everyone, not a block"),
        ({"by": "blocks", "of": {"a": ["q 1"]}}, "of"),
    ],
)
def test_blocks_that_say_nothing_are_refused(cohorts, fault):
    with pytest.raises(SpecError, match=fault):
        spec(cohorts=cohorts)
