import dagster as dg
import pytest

from synth_pipeline.orchestration.abandoned import give_back_abandoned
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.reserve import open_walk
from synth_pipeline.spec import Spec
from synth_pipeline_tests.dagster_example import ATTRIBUTES

SPEC = Spec.from_mapping({**ATTRIBUTES, "privacy": {"epsilon": 1.0, "delta": 1e-5}})


@pytest.fixture
def ledger(tmp_path):
    return open_ledger(tmp_path / "ledger.sqlite")


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def a_run(instance, status):
    @dg.job
    def nothing():
        pass

    return instance.create_run_for_job(nothing, status=status).run_id


def reserved(ledger, run_id):
    return open_walk(SPEC, snapshot="s", ledger=ledger, walk_id=run_id).reservation


def spent_and_reserved(ledger):
    account = ledger.account("clinic")
    return account.spent_epsilon, account.reserved_epsilon > 0


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
def test_the_budget_of_a_run_that_ended_before_it_read_is_given_back(ledger, instance, status):
    reserved(ledger, a_run(instance, status))
    assert spent_and_reserved(ledger) == (0.0, True)
    assert give_back_abandoned(ledger, instance, dataset="clinic") == 1
    assert spent_and_reserved(ledger) == (0.0, False)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS])
def test_a_walk_that_is_under_way_keeps_its_budget(ledger, instance, status):
    reserved(ledger, a_run(instance, status))
    assert give_back_abandoned(ledger, instance, dataset="clinic") == 0
    assert spent_and_reserved(ledger) == (0.0, True)


@pytest.mark.parametrize(
    "status, replaced, given_back",
    [
        (dg.DagsterRunStatus.SUCCESS, "s", 1),
        (dg.DagsterRunStatus.SUCCESS, "another", 0),
        (dg.DagsterRunStatus.STARTED, "s", 0),
    ],
)
def test_a_walk_whose_snapshot_is_taken_anew_gives_its_budget_back(ledger, instance, status, replaced, given_back):
    reserved(ledger, a_run(instance, status))
    assert give_back_abandoned(ledger, instance, dataset="clinic", replaced=replaced) == given_back


def test_a_walk_that_read_stays_spent_when_its_snapshot_is_taken_anew(ledger, instance):
    ledger.mark_read(reserved(ledger, a_run(instance, dg.DagsterRunStatus.SUCCESS)), stage="profile")
    assert give_back_abandoned(ledger, instance, dataset="clinic", replaced="s") == 0


def test_what_was_read_stays_spent(ledger, instance):
    ledger.mark_read(reserved(ledger, a_run(instance, dg.DagsterRunStatus.FAILURE)), stage="profile")
    assert give_back_abandoned(ledger, instance, dataset="clinic") == 0
    assert ledger.account("clinic").spent_epsilon == pytest.approx(1.0, rel=1e-3)


def test_walks_that_dagster_does_not_know_are_left_alone(ledger, instance):
    reserved(ledger, "a-walk-of-the-command-line")
    assert give_back_abandoned(ledger, instance, dataset="clinic") == 0


def test_another_dataset_is_left_alone(ledger, instance):
    reserved(ledger, a_run(instance, dg.DagsterRunStatus.FAILURE))
    assert give_back_abandoned(ledger, instance, dataset="other") == 0
