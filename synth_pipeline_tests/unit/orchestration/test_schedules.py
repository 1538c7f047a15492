"""The schedule walks the newest snapshot, once."""

import datetime as dt

import dagster as dg
import pytest

from synth_pipeline.integrations.run_queue import DATASET_TAG
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.arrivals import newest_partition, note_taken
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.orchestration.quarantine import quarantine
from synth_pipeline.orchestration.schedules import walk_schedules
from synth_pipeline.spec import Spec

SPEC = Spec.from_mapping(
    {
        "dataset": "d",
        "source": {"uri": "./in"},
        "columns": {"x": {"kind": "boolean"}},
        "privacy": {"epsilon": 1},
        "schedule": "0 4 * * 1",
    }
)


@pytest.fixture
def home(tmp_path):
    (tmp_path / "in").mkdir()
    return Home.at(tmp_path)


@pytest.fixture
def instance(home):
    with open_instance(home) as instance:
        yield instance


def tick(home, instance, day=5):
    (schedule,) = walk_schedules(SPEC)
    at = dt.datetime(2026, 1, day, 4, tzinfo=dt.UTC)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at, resources={"home": home})
    return schedule(context)


def put(home, name, text="x"):
    (home.folder / "in" / f"{name}.parquet").write_text(text)


def skipped(answer):
    assert isinstance(answer, dg.SkipReason), answer
    return answer.skip_message


def test_it_follows_the_cron_line_and_is_off_until_somebody_starts_it():
    (schedule,) = walk_schedules(SPEC)
    assert schedule.cron_schedule == "0 4 * * 1"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED


def test_without_a_snapshot_it_waits(home, instance):
    assert skipped(tick(home, instance)) == "no snapshot yet"


def test_it_walks_the_newest_of_what_arrived(home, instance):
    put(home, "a")
    put(home, "b")
    assert tick(home, instance).partition_key == "b"
    assert instance.get_dynamic_partitions(DatasetKeys("d").partitions_name) == ["b"]


def test_a_snapshot_that_was_walked_is_not_charged_again(home, instance):
    put(home, "a")
    assert tick(home, instance).partition_key == "a"
    note_taken(SPEC, home, "a", "stamp")
    assert skipped(tick(home, instance, day=12)) == (
        "the newest snapshot, 'a', was walked already, and a second walk would be charged again;"
        " to have it all the same, start d_walk by hand"
    )


def test_another_content_under_the_name_is_another_snapshot(home, instance):
    put(home, "a")
    note_taken(SPEC, home, tick(home, instance).partition_key, "stamp")
    put(home, "a", "corrected")
    assert tick(home, instance, day=12).partition_key == "a@2"


def test_a_snapshot_whose_walk_waits_in_the_queue_is_not_asked_for_twice(home, instance):
    put(home, "a")

    @dg.op
    def nothing():
        pass

    @dg.job
    def walk():
        nothing()

    tags = {DATASET_TAG: "d", "dagster/partition": tick(home, instance).partition_key}
    run = instance.create_run_for_job(walk, tags=tags)
    assert skipped(tick(home, instance, day=12)) == f"snapshot 'a' is on its way: run {run.run_id[:8]} is not_started"
    instance.report_run_canceled(run)
    assert tick(home, instance, day=12).partition_key == "a"


def test_a_snapshot_in_quarantine_is_not_tried_again_but_the_next_one_is(home, instance):
    put(home, "a")
    quarantine(SPEC, home, newest_partition(SPEC, home), "no table")
    assert skipped(tick(home, instance)) == "snapshot 'a' is in quarantine: no table"
    put(home, "b")
    assert tick(home, instance, day=12).partition_key == "b"
