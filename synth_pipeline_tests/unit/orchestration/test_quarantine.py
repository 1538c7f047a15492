import pytest

from synth_pipeline.errors import SourceError, TableError
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.arrivals import register, taken_stamp
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.orchestration.quarantine import quarantined, taking
from synth_pipeline.spec import Spec

SPEC = Spec.from_mapping(
    {
        "dataset": "d",
        "source": {"uri": "./in"},
        "columns": {"x": {"kind": "boolean"}},
        "privacy": {"epsilon": 1},
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


def put(home, text="x"):
    path = home.folder / "in" / "a.parquet"
    path.write_text(text)
    return register(SPEC, home, path)


def refuse(home, instance, partition, error):
    with pytest.raises(type(error)) as told, taking(SPEC, home, partition, instance=instance):
        raise error
    return str(told.value)


def grow_and_refuse(home, instance, partition):
    with taking(SPEC, home, partition, instance=instance) as found:
        found.path.write_text("still being written")
        raise TableError("half a table")


def test_a_refused_table_is_shown_beside_its_partition_without_counts(home, instance):
    partition = put(home)
    told = refuse(home, instance, partition, TableError("column 'x': 12,345 rows outside the declared range"))
    (record,) = instance.fetch_observations(DatasetKeys("d").asset("real_snapshot"), limit=9).records
    shown = record.asset_observation
    assert (shown.partition, shown.metadata["reason"].value) == ("a", told)
    assert shown.description == f"Quarantined: {told}"
    assert "column 'x': some rows outside the declared range" in told
    assert "12,345" not in told
    assert quarantined(home, "d") == {"a": told}
    assert taken_stamp(SPEC, home, "a") is None


def test_a_snapshot_leaves_the_quarantine_when_it_is_taken_after_all(home, instance):
    partition = put(home)
    refuse(home, instance, partition, TableError("column 'x' is missing"))
    with taking(SPEC, home, partition, instance=instance) as found:
        assert found.path.read_text() == "x"
    assert quarantined(home, "d") == {}
    assert taken_stamp(SPEC, home, "a") == found.stamp


def test_only_its_own_table_sets_a_snapshot_apart(home, instance):
    partition = put(home)
    refuse(home, instance, partition, SourceError("the store is down"))
    refuse(home, instance, partition, KeyboardInterrupt())
    with pytest.raises(SourceError, match="has changed"):
        grow_and_refuse(home, instance, partition)
    assert quarantined(home, "d") == {}
    assert instance.fetch_observations(DatasetKeys("d").asset("real_snapshot"), limit=9).records == []
