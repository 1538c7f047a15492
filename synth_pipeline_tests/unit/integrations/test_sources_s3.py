import os
import time

import pytest

from synth_pipeline.errors import SourceError
from synth_pipeline.integrations.sources.news import Position, Watched, watch
from synth_pipeline.integrations.sources.s3 import S3Source, _client_of
from synth_pipeline.integrations.stores import Home
from synth_pipeline_tests.s3_server import KEY_ID, SECRET, running_s3

BUCKET = "lake"


@pytest.fixture(scope="module")
def server():
    with running_s3() as server:
        yield server


@pytest.fixture
def lake(server):
    server.client.create_bucket(Bucket=BUCKET)
    yield server
    for page in server.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        gone = [{"Key": found["Key"]} for found in page.get("Contents", ())]
        if gone:
            server.client.delete_objects(Bucket=BUCKET, Delete={"Objects": gone})
    server.client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def home(tmp_path):
    return Home.at(tmp_path)


def source_at(server, home, prefix="in", pattern="**/*.parquet"):
    return S3Source.at(f"s3://{BUCKET}/{prefix}", pattern, key=home.key(), endpoint=server.endpoint)


def look(server, home, position=None, **options):
    watched = Watched(source_at(server, home, **options), home, "d", lambda _: None)
    return watch(watched, position or Position())


def partitions(found):
    return [version.partition for version in found.fresh]


def test_only_what_fits_below_the_prefix_is_there(lake, home):
    for key in (
        "in/a.parquet",
        "in/b/c.parquet",
        "in/.hidden.parquet",
        "in/_temporary/d.parquet",
        "in/e.csv",
        "inn/f.parquet",
    ):
        lake.put(BUCKET, key)
    lake.client.put_object(Bucket=BUCKET, Key="in/folder.parquet/", Body=b"")
    assert {found.name for found in source_at(lake, home).look()} == {"a.parquet", "b/c.parquet"}
    assert {found.name for found in source_at(lake, home, pattern="*.parquet").look()} == {"a.parquet"}
    assert {found.name for found in source_at(lake, home, prefix="", pattern="in*/*.parquet").look()} == {
        "in/a.parquet",
        "inn/f.parquet",
    }


def test_the_mark_of_a_folder_is_no_object(lake, home):
    lake.put(BUCKET, "in/folder/", b"")
    assert list(source_at(lake, home, pattern="**").look()) == []


def test_every_page_is_read(lake, home):
    lake.fill(BUCKET, [f"in/{number:05}.parquet" for number in range(2300)])
    names = {found.name for found in source_at(lake, home).look()}
    assert len(names) == 2300
    assert {"00000.parquet", "01000.parquet", "02299.parquet"} <= names


def test_two_objects_of_one_second_are_both_found_also_on_different_looks(lake, home):
    while time.time() % 1 > 0.3:  # a second of S3's clock with room in it
        time.sleep(0.02)
    lake.put(BUCKET, "in/a.parquet", b"1")
    first = look(lake, home)
    lake.put(BUCKET, "in/b.parquet", b"2")
    second = look(lake, home, first.position)
    times = {found["LastModified"] for found in lake.client.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert len(times) == 1
    assert (partitions(first), partitions(second)) == (["a"], ["b"])


def test_one_look_is_enough_for_an_object_and_an_idle_look_finds_nothing(lake, home):
    lake.put(BUCKET, "in/a.parquet")
    first = look(lake, home)
    assert partitions(first) == ["a"]
    again = look(lake, home, first.position)
    assert (partitions(again), again.position) == ([], first.position)


def test_another_content_under_a_key_is_another_snapshot_and_the_same_content_is_none(lake, home):
    lake.put(BUCKET, "in/a.parquet", b"1")
    first = look(lake, home)
    lake.put(BUCKET, "in/a.parquet", b"1")
    second = look(lake, home, first.position)
    lake.put(BUCKET, "in/a.parquet", b"2")
    third = look(lake, home, second.position)
    lake.put(BUCKET, "in/a.parquet", b"1")
    fourth = look(lake, home, third.position)
    assert [partitions(found) for found in (first, second, third, fourth)] == [["a"], [], ["a@2"], []]


def test_keys_that_differ_in_their_folder_alone_are_different_snapshots(lake, home):
    for key in ("in/2026/north/a.parquet", "in/2026/south/a.parquet", "in/2026-north/a.parquet"):
        lake.put(BUCKET, key, key.encode())
    found = look(lake, home)
    assert {"2026-north-a", "2026-south-a"} < set(partitions(found))
    assert len(set(partitions(found))) == 3


def test_an_object_is_fetched_for_its_owner_alone(lake, home, tmp_path):
    lake.put(BUCKET, "in/a.parquet", b"content" * 500_000)
    (arrival,) = source_at(lake, home).look()
    path = source_at(lake, home).fetch(arrival, tmp_path)
    assert path.suffix == ".parquet"
    assert path.read_bytes() == b"content" * 500_000
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_object_that_was_replaced_or_removed_since_it_was_seen_is_not_fetched(lake, home, tmp_path):
    lake.put(BUCKET, "in/a.parquet", b"1")
    (arrival,) = source_at(lake, home).look()
    lake.put(BUCKET, "in/a.parquet", b"2")
    with pytest.raises(SourceError, match=r"in/.*: a\.parquet: has changed since it was seen; nothing was charged"):
        source_at(lake, home).fetch(arrival, tmp_path)
    lake.client.delete_object(Bucket=BUCKET, Key="in/a.parquet")
    with pytest.raises(SourceError, match="is not there any more"):
        source_at(lake, home).fetch(arrival, tmp_path)
    assert list(tmp_path.glob("snapshot*")) == []


def test_neither_etag_nor_size_shows(lake, home):
    lake.put(BUCKET, "in/a.parquet", b"marker")
    etag = lake.client.head_object(Bucket=BUCKET, Key="in/a.parquet")["ETag"].strip('"')
    found = look(lake, home)
    assert etag not in f"{found!r} {found.position} {found.fresh[0].run_key}"


def test_an_outage_is_told_in_one_line_without_credentials_and_loses_nothing(lake, home):
    lake.put(BUCKET, "in/a.parquet")
    position = look(lake, home).position
    lake.put(BUCKET, "in/b.parquet")
    away = S3Source.at(f"s3://{BUCKET}/in", "*.parquet", key=home.key(), endpoint="http://127.0.0.1:9")
    with pytest.raises(SourceError) as told:
        watch(Watched(away, home, "d", lambda _: None), position)
    assert str(told.value) == (
        "source s3://lake/in/ at http://127.0.0.1:9: nothing answers there; start the store, or correct source.endpoint"
    )
    assert told.value.__suppress_context__
    assert KEY_ID not in str(told.value)
    assert SECRET not in str(told.value)
    assert partitions(look(lake, home, position)) == ["b"]


def test_a_missing_bucket_and_missing_credentials_say_what_to_do(server, home, monkeypatch, tmp_path):
    with pytest.raises(SourceError, match=r"there is no such bucket; create it, or correct source\.uri"):
        list(S3Source.at("s3://nowhere/in", "*", key=home.key(), endpoint=server.endpoint).look())
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    _client_of.cache_clear()
    try:
        with pytest.raises(SourceError, match="no credentials were found; set AWS_ACCESS_KEY_ID"):
            list(S3Source.at("s3://nowhere/in", "*", key=home.key(), endpoint=server.endpoint).look())
    finally:
        _client_of.cache_clear()
