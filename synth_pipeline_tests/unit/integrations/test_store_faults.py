"""Faults of the disk under a folder store: told in one line, the value before stands, nothing half written is left."""

import itertools
import os
import pwd
import resource
import signal
import subprocess
import time
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.errors import StoreError, TableError
from synth_pipeline.integrations.s3_place import S3Place
from synth_pipeline.integrations.stores import FolderStore, Home, S3Store

SMALL, LARGE = 10, 200_000


def save_rows(rows):
    def save(folder):
        frame = pd.DataFrame({"x": np.random.default_rng(0).random(rows)})
        frame.to_parquet(folder / "data.parquet", index=False)

    return save


def save_tensors(rows):
    def save(folder):
        from safetensors.numpy import save_file

        save_file({"x": np.zeros(rows)}, folder / "model.safetensors")

    return save


def save_text(rows):
    return lambda folder: (folder / "value.txt").write_text("x" * 8 * rows)


SAVES = {"parquet": save_rows, "safetensors": save_tensors, "text": save_text}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount program")
    if done.returncode:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@contextmanager
def files_no_larger_than(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def without_rights():
    """Root may do everything: for the length of the block this process is somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("kind", sorted(SAVES))
def test_a_full_disk_is_told_and_the_value_before_stands(small_disk, kind):
    store = FolderStore(small_disk / "private", is_private=True)
    place = store.write(SAVES[kind](SMALL), "d", "v")
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    with pytest.raises(StoreError, match=r"^store: \S+/private/d/v: no space left on the disk; .* stands$"):
        store.write(SAVES[kind](LARGE), "d", "v")
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert names(place.parent) == ["v"]
    store.write(SAVES[kind](SMALL), "d", "other")  # the space is free again


@pytest.mark.parametrize("kind", ["parquet", "text"])
def test_a_file_that_may_not_grow_is_told_and_the_value_before_stands(tmp_path, kind):
    store = FolderStore(tmp_path, is_private=True)
    store.write(SAVES[kind](SMALL), "v")
    with files_no_larger_than(64 * 1024), pytest.raises(StoreError, match="a file is larger than is allowed here"):
        store.write(SAVES[kind](LARGE), "v")
    assert names(tmp_path) == ["v"]


def test_a_folder_that_may_not_be_written_is_told_and_the_value_before_stands(tmp_path):
    store = FolderStore(tmp_path / "zone", is_private=True)
    store.write(save_text(SMALL), "d", "v")
    folder = tmp_path / "zone" / "d"
    for place in (*tmp_path.parents, tmp_path, tmp_path / "zone"):
        if place.stat().st_uid == os.geteuid() and str(place).startswith("/tmp/pytest"):
            place.chmod(0o755)
    folder.chmod(0o555)
    try:
        with (
            without_rights(),
            pytest.raises(StoreError, match=r"/d/v: permission denied; run as the owner of the home"),
        ):
            store.write(save_text(LARGE), "d", "v")
    finally:
        folder.chmod(0o700)
    assert names(folder) == ["v"]
    assert store.read(lambda place: (place / "value.txt").stat().st_size, "d", "v") == 8 * SMALL


def test_a_value_that_may_not_be_read_is_told(tmp_path):
    tmp_path.chmod(0o755)
    store = FolderStore(tmp_path, is_private=False)
    place = store.write(save_text(SMALL), "v")
    (place / "value.txt").chmod(0o000)
    for outer in tmp_path.parents:
        if str(outer).startswith("/tmp/pytest"):
            outer.chmod(0o755)
    with without_rights(), pytest.raises(StoreError, match="permission denied"):
        store.read(lambda folder: (folder / "value.txt").read_text(), "v")


def test_a_home_that_cannot_be_made_is_told(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    for outer in (*tmp_path.parents, tmp_path):
        if str(outer).startswith("/tmp/pytest"):
            outer.chmod(0o755)
    with without_rights(), pytest.raises(StoreError, match="permission denied"):
        Home.at(closed / "home").make()


def test_a_full_disk_under_a_value_on_its_way_to_a_bucket_is_told_before_anything_is_sent(small_disk):
    store = S3Store(S3Place("bucket", "zone"), small_disk / "private", is_private=True)
    with pytest.raises(StoreError, match=r"on its way in .*: no space left on the disk"):
        store.write(save_text(LARGE), "v")
    assert names(small_disk / "private" / ".scratch") == []


def test_an_error_that_is_not_the_disks_passes_as_it_is(tmp_path):
    def save(folder):
        raise TableError("column 'age': wrong")

    with pytest.raises(TableError, match=r"^column 'age': wrong$"):
        FolderStore(tmp_path, is_private=True).write(save, "v")


@pytest.mark.parametrize("size", [1, 500_000], ids=["many exchanges", "long writes"])
def test_a_writer_that_is_killed_at_any_moment_leaves_a_whole_value(tmp_path, size):
    store = FolderStore(tmp_path, is_private=True)

    def save(folder, number):
        for name in ("first", "second"):
            (folder / name).write_text(str(number) * size)

    store.write(lambda folder: save(folder, 0), "v")
    for kill in range(20):
        writer = os.fork()
        if writer == 0:
            for number in itertools.count(1):
                store.write(lambda folder, number=number: save(folder, number % 10), "v")
        time.sleep(0.01 + 0.004 * kill)
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        assert (tmp_path / "v" / "first").read_text() == (tmp_path / "v" / "second").read_text()
    assert store.names() == ["v"]
