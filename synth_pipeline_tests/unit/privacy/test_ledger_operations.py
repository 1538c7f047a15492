"""The ledger: reserve, read, commit, release, and what it says is left."""

import os
import pwd
import sqlite3

import pytest

from synth_pipeline.errors import BudgetRefused, LedgerError, PrivacyError
from synth_pipeline.privacy import accounting
from synth_pipeline.privacy.events import (
    DiscoveryEvent,
    DiscreteGaussianEvent,
    ExponentialEvent,
    GaussianPoolEvent,
    SubsampledGaussianEvent,
)
from synth_pipeline.privacy.ledger import Cap, Charge, ChargeLine, Ledger, WalkKey, open_ledger
from synth_pipeline.privacy.ledger.cover import covering

CAP = Cap(3.0, 1e-5)
DELTA = 1e-6


def key(walk="first", dataset="adult", snapshot="2024"):
    return WalkKey(dataset, snapshot, "spec-digest", "1.0", walk)


def charge(epsilon, delta=DELTA):
    events = (GaussianPoolEvent(accounting.gaussian_mu(epsilon, delta) ** 2, stage="profile"),)
    return Charge(events, epsilon, delta, (ChargeLine("profile", "age", "discrete Gaussian", epsilon),))


@pytest.fixture
def ledger(ledger_place):
    return open_ledger(ledger_place)


@pytest.fixture
def file_ledger(tmp_path):
    return open_ledger(tmp_path / "home" / "ledger.sqlite")


def spend(ledger, walk, epsilon=1.0, cap=CAP, cohort="all"):
    reservation = ledger.reserve(key(walk), charge(epsilon), cap=cap, cohort=cohort)
    ledger.mark_read(reservation)
    ledger.commit(reservation, reservation.charge.events, epsilon)
    return reservation


def test_a_walk_is_reserved_read_and_committed_and_every_step_is_an_entry(ledger):
    spend(ledger, "first")
    account = ledger.account("adult")
    assert [entry.kind for entry in account.entries] == ["reserve", "read", "commit"]
    assert account.cap == CAP
    assert account.spent_epsilon == pytest.approx(accounting.filter_epsilon([charge(1.0).events], CAP.delta))
    assert account.reserved_epsilon == 0.0


def test_the_account_has_the_json_shape_that_people_rely_on(ledger):
    spend(ledger, "first")
    shown = ledger.account("adult").to_dict()
    assert {"dataset", "cap", "spent_epsilon", "reserved_epsilon", "left_epsilon", "entries"} <= set(shown)
    assert shown["cap"] == {"epsilon": 3.0, "delta": 1e-5, "period": None, "lifetime_epsilon": None}
    assert shown["entries"][0]["body"]["charge"]["lines"][0]["purpose"] == "age"


def test_a_reservation_that_has_not_read_counts_as_reserved_and_a_release_gives_it_back(ledger):
    reservation = ledger.reserve(key(), charge(1.0), cap=CAP)
    assert ledger.account("adult").spent_epsilon == 0.0
    assert ledger.account("adult").reserved_epsilon > 0.8
    ledger.release(reservation, "the source was not reachable")
    after = ledger.account("adult")
    assert (after.spent_epsilon, after.reserved_epsilon, after.left_epsilon) == (0.0, 0.0, CAP.epsilon)


def test_a_walk_that_read_and_never_committed_is_spent(ledger):
    reservation = ledger.reserve(key(), charge(1.0), cap=CAP)
    ledger.mark_read(reservation)
    assert ledger.account("adult").spent_epsilon > 0.8
    with pytest.raises(LedgerError, match="stays charged"):
        ledger.release(reservation, "the run crashed")


def test_walks_add_up_as_gaussians_and_not_as_epsilons(ledger):
    for walk in ("a", "b", "c", "d", "e"):
        spend(ledger, walk)
    assert 1.5 < ledger.account("adult").spent_epsilon < 2.6


def test_a_charge_beyond_the_cap_is_refused_with_what_is_needed_to_act_and_nothing_is_written(ledger):
    spend(ledger, "first")
    spend(ledger, "second")
    before = (ledger.history(), ledger.head())
    with pytest.raises(BudgetRefused) as refusal:
        ledger.reserve(key("third"), charge(3.2), cap=CAP)
    assert (ledger.history(), ledger.head()) == before
    message = str(refusal.value)
    for part in ("'adult'", "ε=3.2", "is spent", "reserved", "cap ε=3 at δ=1e-05", "Nothing was read", "cap raised"):
        assert part in message
    assert "\n" not in message
    assert refusal.value.exit_code == 3


def test_a_refusal_writes_no_byte_of_the_file_and_makes_none(file_ledger):
    with pytest.raises(BudgetRefused):
        file_ledger.reserve(key(), charge(4.0), cap=CAP)
    path = file_ledger.store.path
    assert not path.parent.exists()
    spend(file_ledger, "first", 2.5)
    before = path.read_bytes()
    with pytest.raises(BudgetRefused):
        file_ledger.reserve(key("second"), charge(2.5), cap=CAP)
    assert path.read_bytes() == before


def test_a_walk_with_a_larger_delta_than_the_cap_is_refused(ledger):
    with pytest.raises(BudgetRefused, match="δ"):
        ledger.reserve(key(), charge(0.1, delta=1e-4), cap=CAP)


def test_a_charge_that_states_less_than_its_events_cost_is_refused(ledger):
    with pytest.raises(PrivacyError, match=r"more than the ε=0\.5"):
        ledger.reserve(key(), Charge(charge(1.0).events, 0.5, DELTA), cap=CAP)
    with pytest.raises(PrivacyError, match="no event"):
        Charge((), 0.5, DELTA)


def test_what_is_left_is_exactly_what_can_still_be_reserved(ledger):
    spend(ledger, "first")
    left = ledger.account("adult").left_epsilon
    with pytest.raises(BudgetRefused):
        ledger.reserve(key("more"), charge(left * 1.0001, CAP.delta), cap=CAP)
    ledger.reserve(key("exactly"), charge(left, CAP.delta), cap=CAP)
    assert ledger.account("adult").left_epsilon < 0.01


def test_the_same_walk_gets_its_unread_reservation_again_and_is_charged_once(ledger):
    first = ledger.reserve(key(), charge(1.0), cap=CAP)
    assert ledger.reserve(key(), charge(1.0), cap=CAP) == first
    assert len(ledger.history()) == 1


def test_a_walk_that_has_read_needs_a_new_walk_id_to_read_again(ledger):
    ledger.mark_read(ledger.reserve(key(), charge(1.0), cap=CAP))
    with pytest.raises(LedgerError, match="new walk_id"):
        ledger.reserve(key(), charge(1.0), cap=CAP)
    ledger.reserve(key("second"), charge(1.0), cap=CAP)


def test_an_unread_reservation_for_another_charge_is_not_reused(ledger):
    ledger.reserve(key(), charge(1.0), cap=CAP)
    with pytest.raises(LedgerError, match="another charge"):
        ledger.reserve(key(), charge(0.5), cap=CAP)


def test_a_released_walk_may_be_reserved_again(ledger):
    first = ledger.reserve(key(), charge(1.0), cap=CAP)
    ledger.release(first, "nothing was read")
    assert ledger.reserve(key(), charge(1.0), cap=CAP).number > first.number


def test_each_stage_of_a_walk_announces_its_reading_once(ledger):
    reservation = ledger.reserve(key(), charge(1.0), cap=CAP)
    ledger.mark_read(reservation, stage="profile")
    ledger.mark_read(reservation, stage="generator")
    with pytest.raises(LedgerError, match="'generator'"):
        ledger.mark_read(reservation, stage="generator")
    assert ledger.find(key()).stages_read == {"profile", "generator"}


def test_steps_out_of_order_are_refused(ledger):
    reservation = ledger.reserve(key(), charge(1.0), cap=CAP)
    with pytest.raises(LedgerError, match="only a walk that has read"):
        ledger.commit(reservation, reservation.charge.events, 1.0)
    ledger.mark_read(reservation)
    with pytest.raises(PrivacyError, match="at least one event"):
        ledger.commit(reservation, (), 0.0)
    ledger.commit(reservation, reservation.charge.events, 1.0)
    with pytest.raises(LedgerError, match="committed"):
        ledger.mark_read(reservation, stage="again")
    with pytest.raises(LedgerError, match="committed"):
        ledger.commit(reservation, reservation.charge.events, 1.0)


def test_a_walk_that_spent_less_stays_charged_as_planned_and_what_ran_is_kept_beside_it(ledger):
    reservation = ledger.reserve(key(), charge(1.0), cap=CAP)
    ledger.mark_read(reservation)
    planned = ledger.account("adult").spent_epsilon
    ran = (DiscreteGaussianEvent(40.0, stage="profile"), ExponentialEvent(0.01, count=3))
    ledger.commit(reservation, ran, 0.1)
    assert ledger.account("adult").spent_epsilon == planned
    record = ledger.find(key())
    assert record.events == reservation.charge.events
    assert record.realised == ran
    assert record.epsilon == pytest.approx(1.0, rel=1e-6)


def test_a_walk_that_spent_more_is_recorded_in_full_and_then_refused(ledger):
    reservation = ledger.reserve(key(), charge(0.5), cap=CAP)
    ledger.mark_read(reservation)
    with pytest.raises(PrivacyError, match="do not release"):
        ledger.commit(reservation, charge(2.0).events, 0.5)
    assert ledger.account("adult").spent_epsilon > 1.5
    assert ledger.find(key()).epsilon == pytest.approx(2.0)


@pytest.mark.parametrize(
    "ran",
    [
        (GaussianPoolEvent(0.011),),
        (GaussianPoolEvent(0.01), SubsampledGaussianEvent(4.0, 0.1, 101)),
        (GaussianPoolEvent(0.01), SubsampledGaussianEvent(3.9, 0.1, 100)),
        (GaussianPoolEvent(0.01), SubsampledGaussianEvent(4.0, 0.11, 100)),
        (GaussianPoolEvent(0.01), SubsampledGaussianEvent(4.0, 0.1, 100), SubsampledGaussianEvent(4.0, 0.1, 1)),
        (GaussianPoolEvent(0.009), DiscoveryEvent(1e9, 1, 1, 2e-9)),
    ],
)
def test_whatever_ran_beyond_the_plan_is_charged_beside_it(ran):
    planned = (GaussianPoolEvent(0.01), SubsampledGaussianEvent(4.0, 0.1, 100), DiscoveryEvent(1e9, 1, 1, 1e-9))
    covered = covering(planned, ran)
    assert accounting.composed_epsilon(covered, DELTA) > accounting.composed_epsilon(planned, DELTA)
    assert accounting.composed_epsilon(covered, DELTA) >= accounting.composed_epsilon(ran, DELTA)


@pytest.mark.parametrize(
    "ran",
    [
        (GaussianPoolEvent(0.01), SubsampledGaussianEvent(4.0, 0.1, 100)),
        (DiscreteGaussianEvent(40.0), SubsampledGaussianEvent(4.0, 0.1, 60), SubsampledGaussianEvent(4.1, 0.09, 40)),
        (SubsampledGaussianEvent(4.0, 0.1, 1), DiscoveryEvent(50.0, 1, 90, 1e-9)),
    ],
)
def test_what_keeps_within_the_plan_costs_what_the_plan_does(ran):
    planned = (GaussianPoolEvent(0.01), SubsampledGaussianEvent(4.0, 0.1, 100), DiscoveryEvent(1e9, 1, 1, 1e-9))
    assert covering(planned, ran) == planned


def test_a_walk_that_read_and_will_never_finish_is_closed_at_its_whole_charge(ledger):
    reservation = ledger.reserve(key(), charge(1.0), cap=CAP)
    with pytest.raises(LedgerError, match="only a walk that has read"):
        ledger.close(reservation, "it never started")
    ledger.mark_read(reservation, stage="profile")
    spent = ledger.account("adult").spent_epsilon
    ledger.close(reservation, "its machine is gone")
    assert ledger.account("adult").spent_epsilon == spent
    with pytest.raises(LedgerError, match="committed"):
        ledger.mark_read(reservation, stage="generator")


def test_training_walks_are_admitted_by_the_same_rules(ledger):
    events = (SubsampledGaussianEvent(4.0, 0.1, 100),)
    epsilon = accounting.composed_epsilon(events, DELTA)
    for walk in ("a", "b"):
        ledger.mark_read(ledger.reserve(key(walk), Charge(events, epsilon, DELTA), cap=CAP))
    account = ledger.account("adult")
    assert account.spent_epsilon == accounting.filter_epsilon([events, events], CAP.delta)
    assert 0 < account.left_epsilon < CAP.epsilon


def test_disjoint_cohorts_have_a_cap_each(ledger):
    for cohort in ("1974", "1985", "1995"):
        spend(ledger, f"walk-{cohort}", epsilon=2.5, cohort=cohort)
    account = ledger.account("adult")
    assert {block.cohort for block in account.blocks} == {"1974", "1985", "1995"}
    assert account.spent_epsilon < 2.5
    with pytest.raises(BudgetRefused, match="cohort '1985'"):
        ledger.reserve(key("again"), charge(2.5), cap=CAP, cohort="1985")


def test_a_charge_to_everyone_counts_in_every_cohort_and_must_fit_in_each(ledger):
    spend(ledger, "a", epsilon=2.5, cohort="1974")
    with pytest.raises(BudgetRefused, match="cohort '1974'"):
        ledger.reserve(key("b"), charge(2.5), cap=CAP)
    spend(ledger, "c", epsilon=1.2)
    with pytest.raises(BudgetRefused, match="cohort '1985'"):
        ledger.reserve(key("d"), charge(3.2), cap=CAP, cohort="1985")


def test_a_charge_that_touches_several_blocks_counts_in_each_and_must_fit_in_each(ledger):
    spend(ledger, "a", epsilon=2.5, cohort="q1")
    spend(ledger, "b", epsilon=1.0, cohort=("q2", "q3"))
    account = ledger.account("adult")
    assert [block.cohort for block in account.blocks] == ["q1", "q2", "q3"]
    assert account.blocks[1].spent_epsilon == account.blocks[2].spent_epsilon > 0.8
    with pytest.raises(BudgetRefused, match="cohort 'q1'"):
        ledger.reserve(key("c"), charge(2.5), cap=CAP, cohort=("q3", "q1"))
    ledger.reserve(key("d"), charge(2.5), cap=CAP, cohort=("q3", "q2"))
    with pytest.raises(BudgetRefused, match="cohort 'q3'"):
        ledger.reserve(key("e"), charge(2.5), cap=CAP, cohort=("q4", "q3"))


def test_the_blocks_of_a_charge_are_a_set_and_belong_to_its_digest(ledger):
    first = ledger.reserve(key(), charge(1.0), cap=CAP, cohort=["q2", "q1", "q2"])
    assert first.blocks == ("q1", "q2")
    assert ledger.reserve(key(), charge(1.0), cap=CAP, cohort=("q1", "q2")) == first
    assert ledger.history()[0].body["blocks"] == ["q1", "q2"]
    with pytest.raises(LedgerError, match="another charge"):
        ledger.reserve(key(), charge(1.0), cap=CAP, cohort="q1")
    assert ledger.reserve(key("x"), charge(1.0), cap=CAP, cohort=("all", "q1")).blocks == ("all",)
    for nobody in ((), ("",), ""):
        with pytest.raises(LedgerError, match="at least one block"):
            ledger.reserve(key("y"), charge(1.0), cap=CAP, cohort=nobody)


def test_datasets_do_not_share_a_budget(ledger):
    spend(ledger, "first", epsilon=2.5)
    ledger.reserve(key("first", dataset="gss"), charge(2.5), cap=CAP)
    assert ledger.account("gss").spent_epsilon == 0.0
    assert len(ledger.history()) == 4
    assert len(ledger.history("gss")) == 1


def test_a_dataset_never_charged_needs_a_cap_to_be_shown(ledger):
    with pytest.raises(LedgerError, match="never charged"):
        ledger.account("adult")
    assert ledger.account("adult", CAP).left_epsilon == CAP.epsilon
    assert ledger.head().entries == 0


def test_a_lower_cap_later_shows_nothing_left(ledger):
    spend(ledger, "first", epsilon=2.5)
    account = ledger.account("adult", Cap(1.0, 1e-5))
    assert account.left_epsilon == 0.0
    assert account.spent_epsilon > 2.0


def test_a_lower_delta_later_says_that_it_is_what_lacks(ledger):
    found = (GaussianPoolEvent(0.01), DiscoveryEvent(sigma=30.0, sensitivity=1, threshold=300, delta=1e-7))
    first = ledger.reserve(key("a"), Charge(found, 1.0, DELTA), cap=CAP)
    ledger.mark_read(first)
    lower = Cap(3.0, 1e-8)
    with pytest.raises(BudgetRefused, match="have the cap's delta raised"):
        ledger.reserve(key("b"), charge(0.1, 1e-8), cap=lower)
    assert ledger.account("adult", lower).to_dict()["spent_epsilon"] is None


def test_a_reservation_of_another_ledger_is_refused(ledger, tmp_path):
    other = open_ledger(tmp_path / "other.sqlite")
    spend(other, "x")
    mine = ledger.reserve(key(), charge(1.0), cap=CAP)
    with pytest.raises(LedgerError, match="no reservation"):
        other.mark_read(mine)


def test_a_path_may_hold_any_mark(tmp_path):
    for name in ("a b", "q?x=1", "h#1", "p%41", "ü"):
        open_ledger(tmp_path / name / "ledger.sqlite").reserve(key(), charge(1.0), cap=CAP)
        assert open_ledger(tmp_path / name / "ledger.sqlite").head().entries == 1
        assert not list((tmp_path / name).glob("*mode*"))


def test_files_that_are_no_ledger_are_refused_in_one_line(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and long enough to be read as one " * 30)
    foreign = tmp_path / "foreign.sqlite"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    for path in (text, foreign):
        with pytest.raises(LedgerError, match=path.name) as refusal:
            open_ledger(path).history()
        assert "\n" not in str(refusal.value)


def test_a_ledger_that_vanished_stops_the_walk_before_it_reads(file_ledger):
    reservation = file_ledger.reserve(key(), charge(1.0), cap=CAP)
    file_ledger.store.path.unlink()
    with pytest.raises(LedgerError, match="no such file"):
        file_ledger.mark_read(reservation)


def test_the_default_place_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("SYNTH_PIPELINE_LEDGER", raising=False)
    monkeypatch.setenv("SYNTH_PIPELINE_HOME", str(tmp_path))
    assert open_ledger().place == str(tmp_path / "ledger.sqlite")
    assert Ledger.open().account("adult", CAP).left_epsilon == CAP.epsilon
    assert not (tmp_path / "ledger.sqlite").exists()
    monkeypatch.delenv("SYNTH_PIPELINE_HOME")
    assert open_ledger().place == ".synth_pipeline/ledger.sqlite"


def test_the_environment_may_name_another_place(monkeypatch, ledger_place):
    monkeypatch.setenv("SYNTH_PIPELINE_LEDGER", ledger_place)
    spend(open_ledger(ledger_place), "first")
    assert [entry.kind for entry in Ledger.open().history()] == ["reserve", "read", "commit"]


def test_a_reservation_says_which_account_made_it(ledger):
    assert ledger.reserve(key(), charge(1.0), cap=CAP).by == pwd.getpwuid(os.getuid()).pw_name
    assert ledger.account("adult").to_dict()["walks"][0]["by"] == pwd.getpwuid(os.getuid()).pw_name


def test_room_can_be_asked_for_without_writing(ledger):
    ledger.require_room("adult", charge(2.5), cap=CAP)
    assert ledger.head().entries == 0
    spend(ledger, "first", 2.5)
    with pytest.raises(BudgetRefused):
        ledger.require_room("adult", charge(2.5), cap=CAP)
    assert ledger.head().entries == 3
