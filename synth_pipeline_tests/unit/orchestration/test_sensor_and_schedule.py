import json
import os

import dagster as dg
import pytest

from synth_pipeline.errors import SourceError
from synth_pipeline.orchestration.arrivals import list_arrivals, note_taken
from synth_pipeline.orchestration.component import dataset_definitions
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.schedules import walk_schedules
from synth_pipeline.orchestration.sensors import arrival_sensor


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


def test_a_changed_file_is_another_snapshot_of_the_same_name(spec, home, instance):
    path = home.folder / "in" / "a.parquet"
    path.write_text("x")
    walked = tick(spec, home, instance, tick(spec, home, instance, None).cursor)
    path.write_text("corrected")
    again = tick(spec, home, instance, tick(spec, home, instance, walked.cursor).cursor)
    assert [request.partition_key for request in again.run_requests] == ["a@2"]
    assert again.run_requests[0].run_key != walked.run_requests[0].run_key


def test_a_file_that_was_walked_by_other_means_is_not_walked_again(spec, home, instance):
    path = home.folder / "in" / "a.parquet"
    path.write_text("x")
    note_taken(spec, home, "a", list_arrivals(spec, home)[0].stamp)
    first = tick(spec, home, instance, None)
    assert not tick(spec, home, instance, first.cursor).run_requests
    path.write_text("corrected")
    changed = tick(spec, home, instance, first.cursor)
    assert [request.partition_key for request in tick(spec, home, instance, changed.cursor).run_requests] == ["a@2"]


def test_the_cursor_tells_neither_names_nor_contents_nor_size_nor_time(spec, home, instance):
    path = home.folder / "in" / "a.parquet"
    path.write_text("marker" * 1234)
    cursor = tick(spec, home, instance, None).cursor
    assert set(json.loads(cursor)) == {"listing", "waiting", "batch"}
    for secret in ("marker", "a.parquet", str(path.stat().st_size), str(path.stat().st_mtime_ns)):
        assert secret not in cursor


def test_a_cursor_of_an_older_version_is_a_fresh_start(spec, home, instance):
    (home.folder / "in" / "a.parquet").write_text("x")
    first = tick(spec, home, instance, '{"seen": {"a.parquet": "0"}, "walked": {}}')
    assert [one.partition_key for one in tick(spec, home, instance, first.cursor).run_requests] == ["a"]


def test_what_can_be_no_snapshot_is_set_apart_and_shown_and_blocks_nobody(spec, home, instance):
    spec = spec.model_copy(update={"source": spec.source.model_copy(update={"pattern": "*"})})
    for name, text in (("a.txt", "x"), ("b.parquet", ""), ("c.parquet", "x")):
        (home.folder / "in" / name).write_text(text)
    found = tick(spec, home, instance, tick(spec, home, instance, None).cursor)
    assert [request.partition_key for request in found.run_requests] == ["c"]
    assert found.dynamic_partitions_requests[0].partition_keys == ["c", "a", "b"]
    shown = {event.partition: event for event in found.asset_events}
    assert shown["a"].asset_key == DatasetKeys("d").asset("real_snapshot")
    assert shown["a"].metadata["reason"].text == "its name ends in .txt; snapshots end in .parquet or .csv"
    assert shown["b"].metadata["reason"].text.startswith("it is empty (0 bytes)")
    later = tick(spec, home, instance, found.cursor)
    assert "2 in quarantine: a (its name ends in .txt" in later.skip_reason.skip_message
    assert not later.asset_events


def test_a_first_look_at_many_files_begins_twenty_walks_at_a_time_the_oldest_first(spec, home, instance):
    names = [f"s{number:03}" for number in range(45)]
    for age, name in enumerate(reversed(names)):
        path = home.folder / "in" / f"{name}.parquet"
        path.write_text("x")
        os.utime(path, (1000 + age, 1000 + age))
    cursor, begun = tick(spec, home, instance, None).cursor, []
    for count in (20, 20, 5, 0):
        found = tick(spec, home, instance, cursor)
        cursor = found.cursor
        assert len(found.run_requests) == count
        begun += [request.partition_key for request in found.run_requests]
    assert begun == list(reversed(names))


def test_a_batch_whose_tick_was_lost_is_given_out_again_with_the_same_run_keys(spec, home, instance):
    (home.folder / "in" / "a.parquet").write_text("x")
    first = tick(spec, home, instance, None)
    lost = tick(spec, home, instance, first.cursor)
    again = tick(spec, home, instance, first.cursor)
    assert [one.run_key for one in again.run_requests] == [one.run_key for one in lost.run_requests] != []
    assert not tick(spec, home, instance, again.cursor).run_requests


def test_a_source_that_cannot_be_read_fails_the_tick_in_one_line_and_loses_nothing(spec, home, instance):
    folder = home.folder / "in"
    (folder / "a.parquet").write_text("x")
    first = tick(spec, home, instance, None)
    folder.rename(home.folder / "away")
    folder.write_text("a file where the folder was")
    with pytest.raises(SourceError, match="cannot be listed"):
        tick(spec, home, instance, first.cursor)
    folder.unlink()
    (home.folder / "away").rename(folder)
    assert len(tick(spec, home, instance, first.cursor).run_requests) == 1


def test_a_dataset_without_schedule_or_source_has_neither(spec):
    bare = spec.model_copy(update={"schedule": None, "source": None})
    made = dataset_definitions(bare)
    assert [sensor.name for sensor in made.sensors or []] == [DatasetKeys(spec.dataset).approval_sensor]
    assert not list(made.schedules or [])


def test_sensor_and_schedule_are_off_until_somebody_starts_them(spec):
    assert arrival_sensor(spec).default_status == dg.DefaultSensorStatus.STOPPED
    assert walk_schedules(spec)[0].default_status == dg.DefaultScheduleStatus.STOPPED
