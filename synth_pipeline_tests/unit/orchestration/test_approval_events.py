"""What follows from decisions, where two bring it up at once: the one that has read the chain first may write last."""

import dagster as dg
import pytest

from synth_pipeline.integrations.approvals import decide
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.orchestration import approval_events
from synth_pipeline.orchestration.approval_events import catch_up
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.metadata import check_evaluation, latest_evaluation, report_event
from synth_pipeline.privacy.gate import Released
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.approval import Wish
from synth_pipeline_tests.approval_example import NOW, make_world

KEYS = DatasetKeys("clinic")
NOWHERE = Tracking("http://127.0.0.1:9")
APPROVAL, WITHDRAWAL = Wish("approve", "teaching"), Wish("withdraw", "described wrongly")


@pytest.fixture
def world(tmp_path):
    made = make_world(tmp_path / "home")
    made.add_release("a")
    return made


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def decided(world, wish, snapshot="a"):
    decide(world.home, world.release(snapshot), world.signed(snapshot, wish), approvers=(), now=NOW)


def followed(world, instance):
    return catch_up(instance, world.home, NOWHERE, "clinic", now=NOW).completed


def told(instance, partition="a"):
    """Every state that Dagster was told of a snapshot, oldest first."""
    wanted = dg.AssetRecordsFilter(asset_key=KEYS.asset("approval"), asset_partitions=[partition])
    found = [*instance.fetch_materializations(wanted, 99).records, *instance.fetch_observations(wanted, 99).records]
    events = [
        record.asset_materialization or record.event_log_entry.asset_observation
        for record in sorted(found, key=lambda record: record.storage_id)
    ]
    return [str(event.metadata["mark"].value).split()[0] for event in events]


def checked(instance):
    return latest_evaluation(instance, KEYS.approval_check)[0]


def filed(world):
    return world.home.release_file(world.release("a").place, "approval")


def test_an_approval_that_is_told_late_does_not_hide_the_withdrawal_that_came_meanwhile(world, instance, monkeypatch):
    decided(world, APPROVAL)
    really, asked = approval_events.report_event, []

    def report(into, event):
        """The first time, a second person withdraws, and tells all of it, before the first one goes on."""
        asked.append(event)
        if len(asked) == 1:
            decided(world, WITHDRAWAL)
            assert followed(world, instance) == ("clinic/a-1",)
        really(into, event)

    monkeypatch.setattr(approval_events, "report_event", report)
    followed(world, instance)
    assert told(instance)[-1] == "withdrawn"
    assert told(instance).count("approved") == 1
    assert not checked(instance)
    assert followed(world, instance) == ()


def test_a_copy_that_is_filed_late_gives_way_to_the_withdrawal_that_came_meanwhile(world, instance, monkeypatch):
    decided(world, APPROVAL)
    really, asked = approval_events.approvals.file_decision, []

    def file(home, release, decision):
        asked.append(decision.kind)
        if len(asked) == 1:
            decided(world, WITHDRAWAL)
            followed(world, instance)
        return really(home, release, decision)

    monkeypatch.setattr(approval_events.approvals, "file_decision", file)
    followed(world, instance)
    withdrawal = [entry for entry in open_ledger(world.home.ledger).history("clinic") if entry.kind == "record"][-1]
    assert filed(world).decode() == withdrawal.body["envelope"]
    assert asked[-1] == "withdraw"


def test_what_somebody_told_last_is_put_right(world, instance):
    decided(world, APPROVAL)
    followed(world, instance)
    decided(world, WITHDRAWAL)
    followed(world, instance)
    assert (told(instance), checked(instance)) == (["approved", "withdrawn"], False)
    stale = check_evaluation(KEYS.approval_check, passed=True, description=Released("clinic/a-1: approved"))
    report_event(instance, stale)
    assert followed(world, instance) == ("clinic/a-1",)
    assert not checked(instance)
    assert followed(world, instance) == ()


def test_the_check_tells_of_the_latest_decision_not_of_the_newest_release(world, instance):
    world.add_release("b", created="2026-05-02")
    decided(world, APPROVAL, "b")
    decided(world, APPROVAL, "a")
    decided(world, WITHDRAWAL, "a")
    assert set(followed(world, instance)) == {"clinic/a-1", "clinic/b-1"}
    assert not checked(instance)
    assert (told(instance, "a"), told(instance, "b")) == (["withdrawn"], ["approved"])
    assert followed(world, instance) == ()
