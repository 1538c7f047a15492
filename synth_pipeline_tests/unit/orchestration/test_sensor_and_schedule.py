import datetime as dt
import json

import dagster as dg
import pytest

from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.arrivals import note_taken
from synth_pipeline.orchestration.component import dataset_definitions
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.orchestration.schedules import walk_schedules
from synth_pipeline.orchestration.sensors import arrival_sensor
from synth_pipeline.spec import Spec


@pytest.fixture
def spec():
    return Spec.from_mapping(
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


def tick(spec, home, instance, cursor):
    context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"home": home})
    return arrival_sensor(spec)(context)


def test_a_new_file_becomes_a_partition_and_a_run_at_the_second_look(spec, home, instance):
    (home.folder / "in" / "a.parquet").write_text("x")
    first = tick(spec, home, instance, None)
    assert not first.run_requests
    second = tick(spec, home, instance, first.cursor)
    assert [request.partition_key for request in second.run_requests] == ["a"]
    assert second.dynamic_partitions_requests[0].partition_keys == ["a"]
    third = tick(spec, home, instance, second.cursor)
    assert not third.run_requests


def test_a_file_that_grows_between_looks_waits(spec, home, instance):
    path = home.folder / "in" / "a.parquet"
    path.write_text("x")
    first = tick(spec, home, instance, None)
    path.write_text("xx")
    second = tick(spec, home, instance, first.cursor)
    assert not second.run_requests
    assert [request.partition_key for request in tick(spec, home, instance, second.cursor).run_requests] == ["a"]


def test_a_changed_file_is_walked_again_on_the_same_partition_under_another_run_key(spec, home, instance):
    path = home.folder / "in" / "a.parquet"
    path.write_text("x")
    walked = tick(spec, home, instance, tick(spec, home, instance, None).cursor)
    path.write_text("corrected")
    again = tick(spec, home, instance, tick(spec, home, instance, walked.cursor).cursor)
    assert again.run_requests[0].partition_key == walked.run_requests[0].partition_key
    assert again.run_requests[0].run_key != walked.run_requests[0].run_key


def test_a_file_that_was_walked_by_other_means_is_not_walked_again(spec, home, instance):
    path = home.folder / "in" / "a.parquet"
    path.write_text("x")
    note_taken(spec, home, "a", path)
    first = tick(spec, home, instance, None)
    assert not tick(spec, home, instance, first.cursor).run_requests
    path.write_text("corrected")
    changed = tick(spec, home, instance, first.cursor)
    assert len(tick(spec, home, instance, changed.cursor).run_requests) == 1


def test_the_cursor_tells_neither_contents_nor_size_nor_time(spec, home, instance):
    path = home.folder / "in" / "a.parquet"
    path.write_text("marker" * 1234)
    cursor = tick(spec, home, instance, None).cursor
    assert set(json.loads(cursor)["seen"]) == {"a.parquet"}
    for secret in ("marker", str(path.stat().st_size), str(path.stat().st_mtime_ns)):
        assert secret not in cursor


def test_the_schedule_walks_the_newest_file(spec, home, instance):
    (schedule,) = walk_schedules(spec)
    assert schedule.cron_schedule == "0 4 * * 1"
    at = dt.datetime(2026, 1, 5, 4, tzinfo=dt.UTC)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at, resources={"home": home})
    assert isinstance(schedule(context), dg.SkipReason)
    (home.folder / "in" / "a.parquet").write_text("x")
    assert schedule(context).partition_key == "a"
    assert instance.get_dynamic_partitions(DatasetKeys("d").partitions_name) == ["a"]


def test_a_dataset_without_schedule_or_source_has_neither(spec):
    bare = spec.model_copy(update={"schedule": None, "source": None})
    made = dataset_definitions(bare)
    assert not list(made.sensors or [])
    assert not list(made.schedules or [])


def test_sensor_and_schedule_are_off_until_somebody_starts_them(spec):
    assert arrival_sensor(spec).default_status == dg.DefaultSensorStatus.STOPPED
    assert walk_schedules(spec)[0].default_status == dg.DefaultScheduleStatus.STOPPED
