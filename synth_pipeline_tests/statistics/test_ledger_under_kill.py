"""Walks killed with SIGKILL at random instants: what was read stays charged, and nothing stays stuck."""

import random
from collections import Counter

import dagster as dg
import pytest

from synth_pipeline.cli import main
from synth_pipeline.errors import LedgerError
from synth_pipeline.orchestration.abandoned import give_back_abandoned
from synth_pipeline.privacy.accounting import filter_epsilon, gaussian_epsilon, gaussian_mu
from synth_pipeline.privacy.ledger import Cap, open_ledger
from synth_pipeline.privacy.ledger.book import read_book
from synth_pipeline_tests.ledger_racers import DELTA, Walk, random_pauses
from synth_pipeline_tests.ledger_victims import PHASES, kill_all

DATASET = "adult"
CAP = Cap(10.0, DELTA)
# What the ledger may say of a walk that died at a step; a step that was under way may have been done.
POSSIBLE = {
    "reserve": {None, "reserved"},
    "mark_read": {"reserved", "read"},
    "proof": {"read"},
    "commit": {"read", "committed"},
    "over": {"committed"},
}


@pytest.fixture(autouse=True)
def commands_use_this_ledger(ledger_place, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_LEDGER", ledger_place)
    monkeypatch.setenv("SYNTH_PIPELINE_HOME", str(tmp_path / "home"))


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def failed_run(instance):
    @dg.job
    def nothing():
        pass

    return instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.FAILURE).run_id


def make_walks(instance, count):
    """Walks small enough to fit all; every third is a Dagster run, which Dagster will know to have failed."""
    cost, rng = gaussian_mu(CAP.epsilon, CAP.delta) ** 2 / (count + 10), random.Random(count)
    epsilon = gaussian_epsilon(cost**0.5, DELTA) * (1 + 1e-9)
    ids = [failed_run(instance) if i % 3 == 0 else f"walk-{i}" for i in range(count)]
    return [Walk(DATASET, walk_id, cost, epsilon, CAP, random_pauses(rng)) for walk_id in ids]


def records_of(ledger):
    return {record.reservation.key.walk_id: record for record in read_book(ledger.history(DATASET)).values()}


def check_deaths(ledger, deaths):
    records = records_of(ledger)
    for death in deaths:
        record = records.get(death.walk.walk_id)
        status = None if record is None else record.status
        assert status in POSSIBLE[death.phase], death
        if death.has_proof:
            assert status in {"read", "committed"}, death
    proven = [death.walk.charge.events for death in deaths if death.has_proof]
    account = ledger.account(DATASET, CAP)
    assert account.spent_epsilon >= filter_epsilon(proven, CAP.delta) * (1 - 1e-12)
    assert account.spent_epsilon + account.reserved_epsilon <= CAP.epsilon * (1 + 1e-9)
    assert ledger.verify().faults == ()


def recover(ledger, instance, deaths):
    """The three ways out: Dagster knows the run failed; a person releases it; or the walk is tried again under its own key."""
    stuck = {name for name, record in records_of(ledger).items() if record.status == "reserved"}
    runs = {death.walk.walk_id for death in deaths[::3]}
    assert give_back_abandoned(ledger, instance, dataset=DATASET) == len(stuck & runs)
    for number, death in enumerate(deaths):
        name, record = death.walk.walk_id, records_of(ledger).get(death.walk.walk_id)
        if name not in stuck or name in runs:
            continue
        if number % 3 == 1:
            assert (
                main(["ledger", "release", str(record.reservation.number), "--reason", "its process was killed"]) == 0
            )
        else:
            again = ledger.reserve(death.walk.key, death.walk.charge, cap=CAP)
            assert again == record.reservation
            ledger.mark_read(again)
            ledger.commit(again, death.walk.charge.events, death.walk.epsilon)


def check_recovered(ledger, deaths):
    records, account = records_of(ledger), ledger.account(DATASET, CAP)
    assert "reserved" not in {record.status for record in records.values()}
    charged = [record.events for record in records.values() if record.status in {"read", "committed"}]
    assert account.reserved_epsilon == 0
    assert account.spent_epsilon == pytest.approx(filter_epsilon(charged, CAP.delta), rel=1e-9)
    for death in deaths:
        if death.has_proof:
            assert records[death.walk.walk_id].status in {"read", "committed"}
            with pytest.raises(LedgerError, match="walk_id"):
                ledger.reserve(death.walk.key, death.walk.charge, cap=CAP)
    assert ledger.verify().faults == ()


def kill_and_recover(place, instance, folder, count):
    proofs, ledger = folder / "proofs", open_ledger(place)
    proofs.mkdir()
    deaths = kill_all(make_walks(instance, count), place, proofs=proofs, seed=count)
    check_deaths(ledger, deaths)
    recover(ledger, instance, deaths)
    check_recovered(ledger, deaths)
    return Counter(death.phase for death in deaths)


def test_killed_walks_never_go_uncharged_and_nothing_stays_stuck(ledger_place, instance, tmp_path):
    kill_and_recover(ledger_place, instance, tmp_path, 12)


@pytest.mark.slow
def test_200_killed_walks_never_go_uncharged_and_nothing_stays_stuck(ledger_place, instance, tmp_path):
    phases = kill_and_recover(ledger_place, instance, tmp_path, 200)
    assert set(phases) == set(PHASES)
    assert min(phases.values()) >= 10, phases
