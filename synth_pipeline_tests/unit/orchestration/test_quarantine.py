import pytest

from synth_pipeline.errors import SourceError, TableError
from synth_pipeline.orchestration.arrivals import register, taken_stamp
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.quarantine import quarantined, taking


def put(spec, home, text="x"):
    path = home.folder / "in" / "a.parquet"
    path.write_text(text)
    return register(spec, home, path)


def refuse(spec, home, instance, partition, error):
    with pytest.raises(type(error)) as told, taking(spec, home, partition, instance=instance):
        raise error
    return str(told.value)


def grow_and_refuse(spec, home, instance, partition):
    with taking(spec, home, partition, instance=instance) as found:
        found.path.write_text("still being written")
        raise TableError("half a table")


def test_a_refused_table_is_shown_beside_its_partition_without_counts(spec, home, instance):
    partition = put(spec, home)
    told = refuse(spec, home, instance, partition, TableError("column 'x': 12,345 rows outside the declared range"))
    (record,) = instance.fetch_observations(DatasetKeys("d").asset("real_snapshot"), limit=9).records
    shown = record.asset_observation
    assert (shown.partition, shown.metadata["reason"].value) == ("a", told)
    assert shown.description == f"Quarantined: {told}"
    assert "column 'x': some rows outside the declared range" in told
    assert "12,345" not in told
    assert quarantined(home, "d") == {"a": told}
    assert taken_stamp(spec, home, "a") is None


def test_a_snapshot_leaves_the_quarantine_when_it_is_taken_after_all(spec, home, instance):
    partition = put(spec, home)
    refuse(spec, home, instance, partition, TableError("column 'x' is missing"))
    with taking(spec, home, partition, instance=instance) as found:
        assert found.path.read_text() == "x"
    assert quarantined(home, "d") == {}
    assert taken_stamp(spec, home, "a") == found.stamp


def test_only_its_own_table_sets_a_snapshot_apart(spec, home, instance):
    partition = put(spec, home)
    refuse(spec, home, instance, partition, SourceError("the store is down"))
    refuse(spec, home, instance, partition, KeyboardInterrupt())
    with pytest.raises(SourceError, match="has changed"):
        grow_and_refuse(spec, home, instance, partition)
    assert quarantined(home, "d") == {}
    assert instance.fetch_observations(DatasetKeys("d").asset("real_snapshot"), limit=9).records == []
