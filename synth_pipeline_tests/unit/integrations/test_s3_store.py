import json
import os
import subprocess
import threading
import time

import pytest

from synth_pipeline.errors import PrivacyError, StoreError, TableError
from synth_pipeline.integrations import s3_store
from synth_pipeline.integrations.s3_place import S3Options, S3Place
from synth_pipeline.integrations.stores import Home, S3Store, is_owner_only, place_of
from synth_pipeline.release.bundle import write_bundle
from synth_pipeline_tests.object_server import CREDENTIALS, running_object_server
from synth_pipeline_tests.released_example import example_facts, example_table

BUCKET, OPEN_BUCKET = "synth-private-zone", "synth-released-zone"


@pytest.fixture(scope="module")
def server():
    with running_object_server(BUCKET, OPEN_BUCKET) as running:
        yield running


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def store(server, tmp_path):
    base = S3Place(BUCKET, tmp_path.name)
    return S3Store(base, tmp_path / "home" / "private", is_private=True, options=S3Options(server.endpoint, "AES256"))


@pytest.fixture
def s3_home(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_S3_ENDPOINT", server.endpoint)
    monkeypatch.setenv("SYNTH_PIPELINE_PRIVATE_STORE", f"s3://{BUCKET}/{tmp_path.name}")
    monkeypatch.setenv("SYNTH_PIPELINE_RELEASED_STORE", f"s3://{OPEN_BUCKET}/{tmp_path.name}")
    return Home.at(tmp_path / "home").make()


def writer(text, *, name="value.txt"):
    def save(folder):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    return save


def read(folder):
    return (folder / "value.txt").read_text()


def keys_of(server, store, *parts):
    under = store.place(*parts).key if parts else store.base.key
    return [key.removeprefix(f"{under}/") for key in server.keys(BUCKET) if key.startswith(f"{under}/")]


def test_what_is_written_is_read_back_with_files_in_folders(store):
    store.write(lambda folder: [writer("a")(folder), writer("b", name="deep/er.txt")(folder)], "d", "s", "asset")
    assert store.has("d", "s", "asset")
    assert store.read(lambda folder: read(folder) + (folder / "deep" / "er.txt").read_text(), "d", "s", "asset") == "ab"


def test_a_write_replaces_the_value_and_removes_the_version_before(server, store):
    store.write(lambda folder: [writer("old")(folder), writer("y", name="more.txt")(folder)], "v")
    store.write(writer("new"), "v")
    assert store.read(read, "v") == "new"
    pointer, file = sorted(keys_of(server, store, "v"), reverse=True)
    assert pointer == "current.json"
    assert file.endswith("/value.txt")


def test_every_object_is_encrypted_at_rest_and_public_to_nobody(server, store):
    store.write(writer("x"), "v")
    client = server.client()
    for key in keys_of(server, store, "v"):
        full = f"{store.place('v').key}/{key}"
        assert client.head_object(Bucket=BUCKET, Key=full)["ServerSideEncryption"] == "AES256"
        grants = client.get_object_acl(Bucket=BUCKET, Key=full)["Grants"]
        assert all("URI" not in grant["Grantee"] for grant in grants)


def test_a_write_whose_making_fails_leaves_the_old_value_and_no_object(server, store):
    store.write(writer("old"), "v")
    before = keys_of(server, store, "v")

    def half(folder):
        writer("new")(folder)
        raise RuntimeError("made half of it")

    with pytest.raises(RuntimeError, match="made half"):
        store.write(half, "v")
    assert store.read(read, "v") == "old"
    assert keys_of(server, store, "v") == before


def test_an_upload_that_stops_half_way_leaves_the_old_value_and_is_swept(server, store, monkeypatch):
    store.write(writer("old"), "v")
    many = {f"part{number}.txt": "z" for number in range(4)}

    def save(folder):
        for name, text in many.items():
            (folder / name).write_text(text)

    uploaded = s3_store.S3Objects.upload

    def stops_half_way(objects, folder, place, names):
        uploaded(objects, folder, place, dict(list(names.items())[:2]))
        raise StoreError("store: the S3 endpoint does not answer")

    monkeypatch.setattr(s3_store.S3Objects, "upload", stops_half_way)
    with pytest.raises(StoreError, match="does not answer"):
        store.write(save, "v")
    monkeypatch.undo()
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    assert store.read(read, "v") == "old"
    assert not [key for key in keys_of(server, store, "v") if "part" in key]


def test_what_a_killed_writer_uploaded_is_no_value_and_goes_a_day_later(server, store):
    base, client = store.place("v").key, server.client()
    old = f".v{int((time.time() - 2 * 24 * 3600) * 1000):013d}-0123456789ab"
    fresh = f".v{int(time.time() * 1000):013d}-0123456789ab"
    for version in (old, fresh):
        client.put_object(Bucket=BUCKET, Key=f"{base}/{version}/value.txt", Body=b"half")
    assert not store.has("v")
    store.write(writer("whole"), "v")
    left = {key.split("/")[0] for key in keys_of(server, store, "v")}
    assert fresh in left
    assert old not in left
    assert store.read(read, "v") == "whole"


def test_a_file_that_was_changed_in_the_bucket_is_refused(server, store):
    store.write(writer("true"), "v")
    (file,) = [key for key in server.keys(BUCKET) if key.startswith(f"{store.place('v').key}/.")]
    server.client().put_object(Bucket=BUCKET, Key=file, Body=b"lies")
    with pytest.raises(TableError, match="not what was written"):
        store.read(read, "v")
    server.client().delete_object(Bucket=BUCKET, Key=file)
    with pytest.raises(TableError, match="the file is gone"):
        store.read(read, "v")


def test_readers_and_writers_at_the_same_time_see_whole_values_only(store):
    store.write(lambda folder: [writer("0")(folder), writer("0", name="twin.txt")(folder)], "v")
    seen, faults = [], []

    def look():
        for _ in range(12):
            try:
                seen.append(store.read(lambda folder: (read(folder), (folder / "twin.txt").read_text()), "v"))
            except TableError as fault:
                faults.append(fault)

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(1, 9):
        text = str(number)
        store.write(lambda folder, text=text: [writer(text)(folder), writer(text, name="twin.txt")(folder)], "v")
    for reader in readers:
        reader.join()
    assert not faults
    assert len(seen) == 24
    assert all(first == second for first, second in seen)


def test_nothing_private_stays_on_the_disk_and_what_is_on_its_way_is_its_owners_alone(store):
    modes = []

    def save(folder):
        writer("x")(folder)
        modes.extend(is_owner_only(place) for place in (folder, folder.parent, folder.parent.parent))

    store.write(save, "v")
    kept = store.read(lambda folder: folder, "v")
    assert all(modes)
    assert not kept.exists()
    assert list((store.root / ".scratch").iterdir()) == []


def test_an_endpoint_that_is_down_is_told_in_one_line_and_half_a_value_is_never_there(tmp_path):
    with running_object_server(BUCKET) as server:
        store = S3Store(S3Place(BUCKET, "zone"), tmp_path / "p", is_private=True, options=S3Options(server.endpoint))
        store.write(writer("old"), "v")

        def save(folder):
            writer("new")(folder)
            server.kill()

        with pytest.raises(StoreError, match=r"^store: s3://synth-private-zone/zone/v.*does not answer.*stands$"):
            store.write(save, "v")
        with pytest.raises(StoreError, match="does not answer"):
            store.has("v")
        server.start()
        server.client().create_bucket(Bucket=BUCKET)
        assert not store.has("v")
        assert server.keys(BUCKET) == []


def test_a_bucket_that_is_not_there_and_keys_that_are_not_right_are_told(server, tmp_path, monkeypatch):
    lost = S3Store(S3Place("no-such-bucket", ""), tmp_path, is_private=True, options=S3Options(server.endpoint))
    with pytest.raises(StoreError, match=r"S3 refused the request \(NoSuchBucket\); check the bucket's name"):
        lost.write(writer("x"), "v")
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    other = S3Options(server.endpoint.replace("127.0.0.1", "localhost"))  # another client than the one that is kept
    with pytest.raises(StoreError, match="no credentials; set AWS_ACCESS_KEY_ID"):
        S3Store(S3Place(BUCKET, "x"), tmp_path, is_private=True, options=other).has("v")


def test_names_are_those_of_values_sorted_and_unfinished_ones_are_hidden(store):
    for name in ("b", "a", "c.d"):
        store.write(writer("x"), "gss", name, "source")
    assert list(store.names("gss")) == ["a", "b", "c.d"]
    assert list(store.names("gss", "a")) == ["source"]
    assert list(store.names("gss", "a", "source")) == []
    assert list(store.names("other")) == []


def test_no_name_leaves_the_store_and_nothing_there_says_what_to_do(store):
    for part in ("..", "a/b", "", ".hidden"):
        with pytest.raises(TableError, match="is no name"):
            store.place(part)
    with pytest.raises(TableError, match="nothing at gss/s1/profile; materialize that asset"):
        store.read(read, "gss", "s1", "profile")


def test_the_address_of_a_write_is_that_of_its_files(server, store):
    place = store.write(writer("x"), "d", "page")
    assert str(place / "value.txt") == str(store.found("d", "page") / "value.txt")
    assert (place / "value.txt").key in server.keys(BUCKET)
    assert place_of(str(place)) == place
    assert S3Place("b", "k", "https://docs.example/pages/").as_uri() == "https://docs.example/pages/k"


def test_the_home_keeps_its_zones_in_the_buckets_that_the_environment_names(server, s3_home, tmp_path):
    s3_home.private.write(writer("row"), "gss", "s", "asset")
    s3_home.released.write(writer("fact"), "gss", "s", "asset")
    assert [key for key in server.keys(BUCKET) if key.startswith(f"{tmp_path.name}/gss/s/asset/current")]
    assert [key for key in server.keys(OPEN_BUCKET) if key.startswith(f"{tmp_path.name}/values/gss/s/asset/current")]
    assert s3_home.private.read(read, "gss", "s", "asset") == "row"
    assert is_owner_only(s3_home.scratch)


@pytest.mark.parametrize(
    "private,released",
    [("s3://bucket/a", "s3://bucket/a"), ("s3://bucket", "s3://bucket/a"), ("s3://bucket/a/b/", "s3://bucket/a")],
)
def test_zones_that_share_a_place_are_refused(tmp_path, monkeypatch, private, released):
    monkeypatch.setenv("SYNTH_PIPELINE_PRIVATE_STORE", private)
    monkeypatch.setenv("SYNTH_PIPELINE_RELEASED_STORE", released)
    for zone in ("private", "released"):
        with pytest.raises(StoreError, match="overlap; give each a bucket of its own"):
            getattr(Home.at(tmp_path), zone)


@pytest.mark.parametrize("url", ["bucket/a", "s3://", "s3://Bucket/a", "https://bucket/a", "s3://bucket/a b"])
def test_an_address_that_is_none_is_refused(tmp_path, monkeypatch, url):
    monkeypatch.setenv("SYNTH_PIPELINE_PRIVATE_STORE", url)
    with pytest.raises(StoreError, match="give s3://bucket/prefix"):
        Home.at(tmp_path).private.has("v")


def test_an_encryption_that_is_none_is_refused_before_anything_is_sent(store):
    for word, headers in {
        "AES256": {"ServerSideEncryption": "AES256"},
        "aws:kms": {"ServerSideEncryption": "aws:kms"},
        "aws:kms:alias/rows": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/rows"},
    }.items():
        assert S3Options(encryption=word).headers == headers
    with pytest.raises(StoreError, match="choose AES256, aws:kms"):
        _ = S3Options(encryption="rot13").headers


def test_a_release_goes_to_the_bucket_whole_under_its_plain_name_and_is_never_overwritten(server, s3_home, tmp_path):
    def bundle(text):
        folder = s3_home.releases / "gss" / "v1"
        folder.mkdir(parents=True)
        (folder / "data.parquet").write_text(text)
        (folder / "certificate.json").write_text("{}")
        return folder

    folder = bundle("rows")
    place = s3_home.keep_release(folder)
    assert not folder.exists()
    assert str(place) == f"s3://{OPEN_BUCKET}/{tmp_path.name}/releases/gss/v1"
    names = {key.rpartition("/")[2] for key in server.keys(OPEN_BUCKET) if "/releases/gss/v1/" in key}
    assert names == {"data.parquet", "certificate.json", "complete.json"}
    copy = tmp_path / "copy"
    copy.mkdir()
    assert (s3_home.fetch_release(place, copy) / "data.parquet").read_text() == "rows"
    assert str(s3_home.keep_release(bundle("rows"))) == str(place)
    with pytest.raises(StoreError, match="never overwritten"):
        s3_home.keep_release(bundle("other rows"))


def test_a_release_that_is_made_once_more_by_its_walk_stands_in_the_bucket_as_it_is(server, s3_home):
    def kept(created_at):
        facts = example_facts(created_at=created_at)
        folder = s3_home.releases / "clinic" / facts.version
        return s3_home.keep_release(write_bundle(folder, facts, example_table(), report="<p>report</p>"))

    first = kept("2026-01-02T03:04:05+00:00")
    objects = server.keys(OPEN_BUCKET)
    assert str(kept("2026-01-02T03:09:00+00:00")) == str(first)
    assert server.keys(OPEN_BUCKET) == objects


def test_a_release_in_a_folder_stays_where_it_is(tmp_path):
    home = Home.at(tmp_path)
    assert home.keep_release(home.releases / "gss" / "v1") == home.releases / "gss" / "v1"
    assert home.fetch_release(home.releases / "gss" / "v1", tmp_path) == home.releases / "gss" / "v1"


def test_machines_that_share_a_bucket_must_share_the_key(s3_home, tmp_path, monkeypatch):
    with pytest.raises(PrivacyError, match="SYNTH_PIPELINE_KEY_FILE is not set; name a file of 32 random bytes"):
        s3_home.key()
    file = tmp_path / "key"
    monkeypatch.setenv("SYNTH_PIPELINE_KEY_FILE", str(file))
    with pytest.raises(PrivacyError, match=r"cannot be read \(FileNotFoundError\)"):
        s3_home.key()
    file.write_bytes(b"short")
    with pytest.raises(PrivacyError, match="holds 5 bytes, not 32"):
        s3_home.key()
    file.write_bytes(bytes(range(32)))
    file.chmod(0o644)
    with pytest.raises(PrivacyError, match="everybody may read it"):
        s3_home.key()
    file.chmod(0o440)
    assert s3_home.key() == bytes(range(32))


def test_a_process_that_was_forked_makes_its_own_client(store):
    store.write(writer("x"), "v")
    child = os.fork()
    if child == 0:
        os._exit(0 if store.read(read, "v") == "x" else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_the_pointer_lists_every_file_with_size_and_digest(server, store):
    store.write(writer("abc"), "v")
    pointer = json.loads(
        server.client().get_object(Bucket=BUCKET, Key=f"{store.place('v').key}/current.json")["Body"].read()
    )
    done = subprocess.run(["sha256sum"], input=b"abc", capture_output=True, check=True)
    assert pointer["files"] == {"value.txt": {"bytes": 3, "sha256": done.stdout.split()[0].decode()}}
