"""From a source to a snapshot through Dagster: the sensor's tick, then the run's first asset, over real servers."""

import io
from urllib.parse import urlsplit

import dagster as dg
import pandas as pd
import psycopg
import pytest

from synth_pipeline.errors import SourceError, TableError
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.code_location import build_defs, load_specs
from synth_pipeline.orchestration.failures import failure_of
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.orchestration.sensors import arrival_sensor
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.dagster_example import MARKER_NAME, clinic_rows, make_place
from synth_pipeline_tests.s3_server import SECRET, running_s3

KEYS = DatasetKeys("clinic")
BUCKET = "lake"


def parquet(frame):
    text = io.BytesIO()
    frame.to_parquet(text, index=False)
    return text.getvalue()


@pytest.fixture
def lake():
    with running_s3(BUCKET) as server:
        yield server


class World:
    """A home with a dataset over some source, its Dagster instance, and the sensor's cursor."""

    def __init__(self, folder, instance_of, **source):
        self.place = make_place(folder, source=source, privacy={"epsilon": 2.0, "delta": 1e-5})
        self.spec = load_specs(self.place.own)["clinic"]
        self.instance = instance_of(self.place.home)
        self.cursor = None

    def tick(self):
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"home": self.place.home}
        )
        found = arrival_sensor(self.spec)(context)
        self.cursor = found.cursor
        for request in found.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(KEYS.partitions_name, list(request.partition_keys))
        return found

    def partitions(self):
        return [request.partition_key for request in self.tick().run_requests]

    def take(self, partition):
        """Materialize real_snapshot of a partition; why it failed, or None."""
        job = build_defs(home=self.place.home.folder, own=self.place.own).resolve_job_def(KEYS.job)
        result = job.execute_in_process(
            instance=self.instance,
            partition_key=partition,
            asset_selection=[KEYS.asset("real_snapshot")],
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        return failure_of(result)

    def observations(self):
        records = self.instance.fetch_observations(KEYS.asset("real_snapshot"), limit=50).records
        return {
            record.partition_key: {name: value.value for name, value in record.asset_observation.metadata.items()}
            for record in records
        }

    def fetched_files(self):
        return [path for path in (self.place.home.private.root / ".fetched").rglob("*") if path.is_file()]

    @property
    def reserved(self):
        return open_ledger(self.place.home.ledger).account("clinic").reserved_epsilon


@pytest.fixture
def instance_of():
    opened = []

    def enter(home: Home):
        context = open_instance(home)
        opened.append(context)
        return context.__enter__()

    yield enter
    for context in opened:
        context.__exit__(None, None, None)


def test_objects_of_a_bucket_become_snapshots_and_bad_ones_are_set_apart_and_block_nobody(tmp_path, instance_of, lake):
    whole = parquet(clinic_rows(200))
    odd = clinic_rows(200).drop(columns="fee").assign(age=MARKER_NAME, extra=1)
    for key, content in (
        ("in/good.parquet", whole),
        ("in/cut.parquet", whole[: len(whole) // 2]),
        ("in/odd.parquet", parquet(odd)),
        ("in/deep/garbage.csv", b"\xff\xfe,a\n1,2,3\n"),
        ("in/empty.parquet", b""),
        ("in/notes.txt", b"notes"),
    ):
        lake.put(BUCKET, key, content)
    world = World(tmp_path, instance_of, uri=f"s3://{BUCKET}/in", endpoint=lake.endpoint, pattern="**/*.*")
    assert sorted(world.partitions()) == ["cut", "deep-garbage", "good", "odd"]
    for partition, words in (
        ("cut", "not a readable parquet file"),
        ("odd", "column 'fee' is missing"),
        ("deep-garbage", "does not parse as CSV"),
    ):
        failure = world.take(partition)
        assert isinstance(failure, TableError)
        assert words in str(failure)
        assert f"s3://{BUCKET}/in/" in str(failure) or partition == "odd"
        assert world.observations()[partition]["reason"] == str(failure)
    assert world.take("good") is None
    assert world.fetched_files() == []

    told = world.tick().skip_reason.skip_message
    assert "6 in the source; none of them new" in told
    assert "5 in quarantine" in told
    columns = world.observations()["odd"]["columns"]
    assert "missing column 'fee'" in columns
    assert "new column 'extra'" in columns
    assert "changed type 'age'" in columns
    assert MARKER_NAME not in f"{world.observations()} {told}"

    lake.put(BUCKET, "in/cut.parquet", parquet(clinic_rows(200, seed=1)))
    assert world.partitions() == ["cut@2"]
    assert world.take("cut@2") is None
    assert "5 in quarantine" in world.tick().skip_reason.skip_message


def test_an_object_that_is_replaced_before_its_walk_is_refused_unquarantined_and_the_new_one_is_walked(
    tmp_path, instance_of, lake
):
    lake.put(BUCKET, "in/a.parquet", parquet(clinic_rows(200)))
    world = World(tmp_path, instance_of, uri=f"s3://{BUCKET}/in", endpoint=lake.endpoint)
    assert world.partitions() == ["a"]
    lake.put(BUCKET, "in/a.parquet", parquet(clinic_rows(200, seed=1)))
    failure = world.take("a")
    assert isinstance(failure, SourceError)
    assert "has changed since it was seen" in str(failure)
    assert SECRET not in str(failure)
    assert world.observations() == {}
    assert world.reserved == 0
    assert world.partitions() == ["a@2"]
    assert world.take("a@2") is None


def test_the_same_rows_uploaded_again_are_found_out_before_they_are_charged(tmp_path, instance_of):
    world = World(tmp_path, instance_of, uri="./arrivals")
    world.place.put("visits", clinic_rows(200))
    world.tick()
    assert world.partitions() == ["visits"]
    assert world.take("visits") is None
    before = world.reserved
    world.place.put("visits", clinic_rows(200))  # another time of change, the same rows
    world.tick()
    assert world.partitions() == ["visits@2"]
    failure = world.take("visits@2")
    assert isinstance(failure, TableError)
    assert "holds the same rows as snapshot 'visits', so there is nothing new to walk" in str(failure)
    assert world.reserved == before


def test_loads_of_a_database_become_snapshots(tmp_path, instance_of, fresh_database, monkeypatch):
    parts = urlsplit(fresh_database)
    monkeypatch.setenv("PGPASSWORD", parts.password)
    uri = f"postgresql://{parts.username}@{parts.hostname}:{parts.port}{parts.path}"
    world = World(
        tmp_path,
        instance_of,
        uri=uri,
        query="SELECT person, age, ward, town, fee, insured FROM visit"
        " WHERE (%(since)s IS NULL OR load > %(since)s) AND load <= %(until)s",
        watermark="SELECT max(load) FROM visit",
    )
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE visit (person text, age int, ward text, town text, fee float8, insured bool, load int)"
        )
        assert world.partitions() == []
        add(connection, clinic_rows(200), load=83_251)
        (first,) = world.partitions()
        add(connection, clinic_rows(150, seed=1), load=83_252)
        (second,) = world.partitions()
        assert world.partitions() == []
    assert world.take(first) is None
    assert world.take(second) is None
    taken = {name: counted(world, name) for name in (first, second)}
    assert taken == {first: 200, second: 150}
    assert world.fetched_files() == []
    assert "8325" not in f"{first} {second} {world.cursor}"


def add(connection, frame, *, load):
    rows = frame.astype(object).where(frame.notna(), None)
    connection.cursor().executemany(
        "INSERT INTO visit VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [(*row, load) for row in rows.itertuples(index=False, name=None)],
    )


def counted(world, partition):
    from synth_pipeline.orchestration.codecs import CODECS

    snapshot = world.place.home.private.read(CODECS["real_snapshot"].load, "clinic", partition, "real_snapshot")
    assert isinstance(snapshot.train, pd.DataFrame)
    return snapshot.counts.rows
