"""The schedule walks the newest snapshot, once."""

import datetime as dt

import dagster as dg

from synth_pipeline.integrations.run_queue import DATASET_TAG
from synth_pipeline.orchestration.arrivals import newest_partition, note_taken
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.quarantine import quarantine
from synth_pipeline.orchestration.schedules import walk_schedules


def tick(spec, home, instance, day=5):
    (schedule,) = walk_schedules(spec)
    at = dt.datetime(2026, 1, day, 4, tzinfo=dt.UTC)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at, resources={"home": home})
    return schedule(context)


def put(home, name, text="x"):
    (home.folder / "in" / f"{name}.parquet").write_text(text)


def skipped(answer):
    assert isinstance(answer, dg.SkipReason), answer
    return answer.skip_message


def test_it_follows_the_cron_line_and_is_off_until_somebody_starts_it(spec):
    (schedule,) = walk_schedules(spec)
    assert schedule.cron_schedule == "0 4 * * 1"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED


def test_without_a_snapshot_it_waits(spec, home, instance):
    assert skipped(tick(spec, home, instance)) == "no snapshot yet"


def test_it_walks_the_newest_of_what_arrived(spec, home, instance):
    put(home, "a")
    put(home, "b")
    assert tick(spec, home, instance).partition_key == "b"
    assert instance.get_dynamic_partitions(DatasetKeys("d").partitions_name) == ["b"]


def test_a_snapshot_that_was_walked_is_not_charged_again(spec, home, instance):
    put(home, "a")
    assert tick(spec, home, instance).partition_key == "a"
    note_taken(spec, home, "a", "stamp")
    assert skipped(tick(spec, home, instance, day=12)) == (
        "the newest snapshot, 'a', was walked already, and a second walk would be charged again;"
        " to have it all the same, start d_walk by hand"
    )


def test_another_content_under_the_name_is_another_snapshot(spec, home, instance):
    put(home, "a")
    note_taken(spec, home, tick(spec, home, instance).partition_key, "stamp")
    put(home, "a", "corrected")
    assert tick(spec, home, instance, day=12).partition_key == "a@2"


def test_a_snapshot_whose_walk_waits_in_the_queue_is_not_asked_for_twice(spec, home, instance):
    put(home, "a")

    @dg.op
    def nothing():
        pass

    @dg.job
    def walk():
        nothing()

    tags = {DATASET_TAG: "d", "dagster/partition": tick(spec, home, instance).partition_key}
    run = instance.create_run_for_job(walk, tags=tags)
    assert (
        skipped(tick(spec, home, instance, day=12))
        == f"snapshot 'a' is on its way: run {run.run_id[:8]} is not_started"
    )
    instance.report_run_canceled(run)
    assert tick(spec, home, instance, day=12).partition_key == "a"


def test_a_snapshot_in_quarantine_is_not_tried_again_but_the_next_one_is(spec, home, instance):
    put(home, "a")
    quarantine(spec, home, newest_partition(spec, home), "no table")
    assert skipped(tick(spec, home, instance)) == "snapshot 'a' is in quarantine: no table"
    put(home, "b")
    assert tick(spec, home, instance, day=12).partition_key == "b"
