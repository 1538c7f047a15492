"""Caps that renew: what counts in which period, and that no order of reserving, reading and clock-setting dodges one."""

from datetime import UTC, datetime

import pytest

from synth_pipeline.errors import BudgetRefused, PrivacyError, SpecError
from synth_pipeline.privacy.accounting import gaussian_mu
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import Cap, Charge, WalkKey, open_ledger

DELTA = 1e-6
YEARLY = Cap(2.0, DELTA, "year")


def charge(epsilon):
    return Charge((GaussianPoolEvent(gaussian_mu(epsilon, DELTA) ** 2),), epsilon, DELTA)


class Wall:
    """A clock that a test sets."""

    def __init__(self):
        self.set(2026, 12, 31, 23, 50)

    def set(self, *moment):
        self.moment = datetime(*moment, tzinfo=UTC)

    def __call__(self):
        return self.moment


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
def ledger(ledger_place, wall):
    return open_ledger(ledger_place, clock=wall)


def reserve(ledger, walk, epsilon=1.9, cap=YEARLY, cohort="all"):
    key = WalkKey("d", "s", "p", "c", walk)
    return ledger.reserve(key, charge(epsilon), cap=cap, cohort=cohort)


def finish(ledger, reservation):
    ledger.mark_read(reservation)
    ledger.commit(reservation, reservation.charge.events, 0.1)


def test_the_cap_renews_when_the_year_does_and_says_until_when(ledger, wall):
    finish(ledger, reserve(ledger, "a"))
    with pytest.raises(BudgetRefused, match=r"a year, and together .* renews at 2027-01-01 00:00 UTC"):
        reserve(ledger, "b")
    wall.set(2027, 1, 1)
    account = ledger.account("d")
    assert (account.spent_epsilon, account.left_epsilon) == (0.0, 2.0)
    assert (account.since, account.until) == ("2027-01-01T00:00:00+00:00", "2028-01-01T00:00:00+00:00")
    assert account.lifetime_epsilon == pytest.approx(1.9)
    reserve(ledger, "b")


def test_a_walk_reserved_in_one_period_and_read_in_the_next_counts_in_both(ledger, wall):
    early = reserve(ledger, "a")
    wall.set(2027, 1, 1, 0, 5)
    assert ledger.account("d").reserved_epsilon == pytest.approx(1.9)
    with pytest.raises(BudgetRefused):
        reserve(ledger, "b")
    finish(ledger, early)
    assert ledger.account("d").spent_epsilon == pytest.approx(1.9)
    with pytest.raises(BudgetRefused):
        reserve(ledger, "b")
    wall.set(2028, 1, 1)
    assert ledger.account("d").spent_epsilon == 0.0


def test_a_walk_that_read_and_was_never_closed_counts_in_every_period_until_it_is(ledger, wall):
    reservation = reserve(ledger, "a")
    ledger.mark_read(reservation, stage="profile")
    wall.set(2028, 6, 1)
    assert ledger.account("d").spent_epsilon == pytest.approx(1.9)
    ledger.close(reservation, "its machine is gone")
    assert ledger.account("d").spent_epsilon == pytest.approx(1.9)
    wall.set(2029, 1, 1)
    assert ledger.account("d").spent_epsilon == 0.0


def test_a_clock_that_is_put_back_brings_no_budget_again(ledger, wall):
    finish(ledger, reserve(ledger, "a"))
    wall.set(2027, 6, 1)
    finish(ledger, reserve(ledger, "b"))
    wall.set(2026, 6, 1)
    assert ledger.account("d").spent_epsilon == pytest.approx(1.9)
    with pytest.raises(BudgetRefused):
        reserve(ledger, "c")
    ledger.release(reserve(ledger, "tiny", 0.01), "not needed")
    times = [entry.at for entry in ledger.history()]
    assert times == sorted(times)
    assert times[-1] == times[5] == "2027-06-01T00:00:00.000000+00:00"


def test_the_lifetime_may_have_a_cap_beside_that_of_a_period(ledger, wall):
    cap = Cap(2.0, DELTA, "year", lifetime_epsilon=3.0)
    for year in (2026, 2027):
        wall.set(year, 7, 1)
        finish(ledger, reserve(ledger, str(year), cap=cap))
    wall.set(2028, 7, 1)
    account = ledger.account("d")
    assert account.spent_epsilon == 0.0
    assert 0 < account.left_epsilon < 1.9
    with pytest.raises(BudgetRefused, match=r"lifetime's cap ε=3 .* never renews"):
        reserve(ledger, "2028", cap=cap)
    reserve(ledger, "smaller", account.left_epsilon, cap=cap)


def test_each_block_has_its_period_and_lifetime(ledger, wall):
    finish(ledger, reserve(ledger, "a", cohort="q1"))
    reserve(ledger, "b", cohort="q2")
    with pytest.raises(BudgetRefused, match="cohort 'q1'"):
        reserve(ledger, "c", cohort=("q1", "q3"))
    wall.set(2027, 1, 1)
    reserve(ledger, "c", cohort=("q1", "q3"))
    with pytest.raises(BudgetRefused, match="cohort 'q2'"):
        reserve(ledger, "d", cohort="q2")


def test_the_digest_of_a_reservation_covers_its_period(ledger):
    reserve(ledger, "a")
    body = ledger.history()[0].body
    assert body["cap"]["period"] == "year"
    assert body["period"] == ["2026-01-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"]


def test_a_cap_that_makes_no_sense_is_refused():
    with pytest.raises(SpecError, match="not known"):
        Cap(1.0, DELTA, "fortnight")
    for period, lifetime in ((None, 5.0), ("year", 0.5), ("year", float("nan"))):
        with pytest.raises(PrivacyError, match="needs a period"):
            Cap(1.0, DELTA, period, lifetime)
