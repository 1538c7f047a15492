"""What a walk with a drift report may do with its reservations, in whatever order its stages are run, and what its release states."""

import json

import dagster as dg
import pytest

from synth_pipeline import reserve
from synth_pipeline import walk as stages
from synth_pipeline.drift.decision import PriorFacts
from synth_pipeline.errors import LedgerError
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.abandoned import give_back_abandoned
from synth_pipeline.orchestration.drift_assets import _under_epoch as under_epoch_of
from synth_pipeline.orchestration.in_force import load_prior
from synth_pipeline.orchestration.io_managers import ORIGIN_FILE
from synth_pipeline.orchestration.made import Origin
from synth_pipeline.orchestration.retries import forget_journals, journals_of
from synth_pipeline.privacy.events import AboveThresholdEvent
from synth_pipeline.privacy.journal import StageKey, has_journal, open_journal
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.spec import Spec
from synth_pipeline_tests.dagster_example import ATTRIBUTES

PRIVACY = {"epsilon": 2.0, "delta": 1e-5, "cap": {"epsilon": 9.0}}
SPEC = Spec.from_mapping({**ATTRIBUTES, "privacy": PRIVACY, "drift": {"epsilon": 0.5, "on_drift": "refit"}})
WATCHED = SPEC.model_copy(update={"drift": SPEC.drift.model_copy(update={"mode": "sparse_vector"})})


@pytest.fixture
def ledger(tmp_path):
    return open_ledger(tmp_path / "ledger.sqlite")


@pytest.fixture
def home(tmp_path):
    return Home.at(tmp_path / "home").make()


def a_run(instance, status):
    @dg.job
    def nothing():
        pass

    return instance.create_run_for_job(nothing, status=status).run_id


@pytest.mark.parametrize("is_second", [False, True])
def test_a_drift_report_whose_run_ended_before_it_read_gives_its_budget_back(ledger, is_second):
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = a_run(instance, dg.DagsterRunStatus.FAILURE)
        reserve.open_drift_report(SPEC, snapshot="s", ledger=ledger, walk_id=run_id, is_second=is_second)
        assert give_back_abandoned(ledger, instance, dataset="clinic") == 1
    assert ledger.account("clinic").reserved_epsilon == 0.0


def test_a_second_report_that_was_cut_off_is_found_again_and_not_reserved_again(ledger):
    walk = reserve.open_drift_report(WATCHED, snapshot="s", ledger=ledger, walk_id="w", is_second=True)
    ledger.mark_read(walk.reservation, stage="drift_report")
    again = reserve.resume_drift_report(WATCHED, snapshot="s", ledger=ledger, walk_id="w", is_second=True)
    assert again is not None
    assert again.reservation == walk.reservation
    assert reserve.resume_drift_report(WATCHED, snapshot="s", ledger=ledger, walk_id="w") is None


def test_no_journal_of_a_walk_outlives_its_generator(ledger, home):
    first = reserve.open_drift_report(WATCHED, snapshot="s", ledger=ledger, walk_id="w")
    second = reserve.open_drift_report(WATCHED, snapshot="s", ledger=ledger, walk_id="w", is_second=True)
    for walk in (first, second):
        key = StageKey(walk.reservation.key, walk.reservation.number, "drift_report", "print")
        with open_journal(journals_of(home), key):
            pass
    forget_journals(home, Origin(first.key, first.reservation.number, "print"))
    assert not any(has_journal(journals_of(home), walk.reservation.key, "drift_report") for walk in (first, second))


def committed_epoch(ledger, *, walk_id="w", snapshot="s"):
    walk = reserve.open_drift_report(WATCHED, snapshot=snapshot, ledger=ledger, walk_id=walk_id)
    ledger.mark_read(walk.reservation, stage="drift_report")
    walk.commit([AboveThresholdEvent(0.1, stage="drift_report", purpose="watch")])
    return walk


def test_no_epoch_begins_twice_under_one_charge(ledger):
    walk = committed_epoch(ledger)
    with pytest.raises(LedgerError, match="real_snapshot"):
        stages.watch(walk, None, None, None, keep=lambda _: None)  # pyright: ignore[reportArgumentType]


def test_no_epoch_begins_under_a_charge_of_another_walk(ledger):
    epoch = committed_epoch(ledger)
    later = reserve.under_epoch(WATCHED, snapshot="t", ledger=ledger, walk_id="v", epoch=epoch.reservation.key)
    with pytest.raises(LedgerError, match="real_snapshot"):
        stages.watch(later, None, None, None, keep=lambda _: None)  # pyright: ignore[reportArgumentType]


def test_values_that_a_later_walk_put_in_place_of_the_release_in_force_are_not_taken_for_its_own(home):
    walk = reserve.open_walk(SPEC, snapshot="jan", ledger=open_ledger(home.ledger), walk_id="later")
    origin = Origin(walk.key, 1, "print")

    def save(folder):
        (folder / ORIGIN_FILE).write_text(json.dumps(origin.to_json()), encoding="utf-8")
        (folder / "profile.json").write_text("{}", encoding="utf-8")

    home.released.write(save, "clinic", "jan", "profile")
    facts = PriorFacts("jan-00000000", "jan", 100.0, SPEC.learnt_digest, "maxent", can_refresh=True)
    with pytest.raises(LedgerError, match="later walk"):
        load_prior(home, SPEC, facts)


@pytest.mark.parametrize("is_whole", [False, True])
def test_a_walk_without_a_reserved_report_says_how_to_go_on(home, is_whole):
    """Its reservation was given back, or it reserved the whole walk before there was a release to compare with."""
    ledger = open_ledger(home.ledger)
    opened = (reserve.open_walk if is_whole else reserve.open_drift_report)(
        SPEC, snapshot="s", ledger=ledger, walk_id="w"
    )
    origin = Origin(opened.key, opened.reservation.number, "print")
    if not is_whole:
        reserve.give_back(opened, "its run ended")
    facts = PriorFacts("jan-00000000", "jan", 100.0, SPEC.learnt_digest, "maxent", can_refresh=True)
    with pytest.raises(LedgerError, match="start again from clinic/real_snapshot"):
        under_epoch_of(SPEC, home, facts, origin)
