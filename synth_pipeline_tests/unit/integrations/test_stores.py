import os
import stat
import time

import pytest

from synth_pipeline.errors import TableError
from synth_pipeline.integrations.stores import FolderStore, Home, child_names, is_owner_only, partition_key


def write(folder, text="x"):
    (folder / "value.txt").write_text(text)


def read(folder):
    return (folder / "value.txt").read_text()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_value_is_readable_by_its_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        place = FolderStore(tmp_path / "home" / "private", is_private=True).write(write, "d", "s", "asset")
    finally:
        os.umask(before)
    assert [mode(place), mode(place / "value.txt")] == [0o700, 0o600]
    assert all(is_owner_only(parent) for parent in (place.parent, place.parent.parent, tmp_path / "home" / "private"))


def test_a_released_value_is_readable_by_others(tmp_path):
    place = FolderStore(tmp_path / "released", is_private=False).write(write, "d", "asset")
    assert mode(place / "value.txt") == 0o644
    assert not is_owner_only(place)


def test_a_write_replaces_the_whole_value(tmp_path):
    store = FolderStore(tmp_path, is_private=True)
    store.write(lambda folder: [write(folder, "old"), (folder / "more.txt").write_text("y")], "v")
    store.write(lambda folder: write(folder, "new"), "v")
    assert store.read(read, "v") == "new"
    assert child_names(tmp_path / "v") == ["value.txt"]


def test_a_write_that_fails_leaves_the_old_value_and_nothing_else(tmp_path):
    store = FolderStore(tmp_path, is_private=True)
    store.write(lambda folder: write(folder, "old"), "v")

    def half(folder):
        write(folder, "new")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store.write(half, "v")
    assert store.read(read, "v") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_what_a_killed_write_left_is_removed_by_a_write_a_day_later(tmp_path):
    store = FolderStore(tmp_path, is_private=True)
    for name in (".v.draft.0123456789ab", ".v.old.0123456789ab", ".w.draft.0123456789ab"):
        write_into(tmp_path / name, days_ago=2)
    write_into(tmp_path / ".v.draft.abcdef012345", days_ago=0)
    store.write(lambda folder: write(folder, "new"), "v")
    left = {".v.draft.abcdef012345", ".w.draft.0123456789ab", "v"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_a_write_that_was_killed_leaves_what_the_next_one_knows(tmp_path):
    store = FolderStore(tmp_path, is_private=True)
    unfinished = store.writing("v")
    write(unfinished.__enter__())
    (left,) = tmp_path.iterdir()
    os.utime(left, (0, 0))
    store.write(write, "v")
    assert child_names(tmp_path) == ["v"]
    assert not left.exists()


def write_into(folder, *, days_ago):
    folder.mkdir()
    write(folder)
    at = time.time() - days_ago * 25 * 3600
    os.utime(folder, (at, at))


def test_reading_what_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(TableError, match=r"nothing at gss/s1/profile; materialize that asset"):
        FolderStore(tmp_path, is_private=True).read(read, "gss", "s1", "profile")


@pytest.mark.parametrize("part", ["..", "a/b", "", ".hidden", "a\nb"])
def test_no_name_leaves_the_store(tmp_path, part):
    with pytest.raises(TableError, match="is no name"):
        FolderStore(tmp_path, is_private=True).place(part)


def test_the_home_is_named_by_the_variable_unless_it_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_HOME", str(tmp_path / "named"))
    assert Home.at().folder == tmp_path / "named"
    assert Home.at(tmp_path / "given").folder == tmp_path / "given"
    monkeypatch.delenv("SYNTH_PIPELINE_HOME")
    monkeypatch.chdir(tmp_path)
    assert Home.at().folder == tmp_path / ".synth_pipeline"


def test_the_ledger_is_where_the_variable_says_and_else_in_the_home(tmp_path, monkeypatch):
    home = Home.at(tmp_path)
    monkeypatch.delenv("SYNTH_PIPELINE_LEDGER", raising=False)
    assert home.ledger == str(tmp_path / "ledger.sqlite")
    for said, found in {
        "books/ours.sqlite": str(tmp_path / "books" / "ours.sqlite"),
        "/srv/ledger.sqlite": "/srv/ledger.sqlite",
        "postgresql://keeper:word@db.example/ledger": "postgresql://keeper:word@db.example/ledger",
    }.items():
        monkeypatch.setenv("SYNTH_PIPELINE_LEDGER", said)
        assert home.ledger == found
    assert "word" not in repr(home)


def test_a_relative_source_lies_in_the_home(tmp_path):
    assert Home.at(tmp_path).resolve("./snapshots/gss") == tmp_path / "snapshots" / "gss"
    assert Home.at(tmp_path).resolve("/data/gss").as_posix() == "/data/gss"


def test_the_key_of_a_home_stays_the_same_and_private(tmp_path):
    home = Home.at(tmp_path / "h").make()
    assert home.key() == home.key()
    assert len(home.key()) == 32
    assert is_owner_only(home.folder / "private" / "key")


@pytest.mark.parametrize(
    "text,key", [("gss_2011_2018", "gss_2011_2018"), ("a b/c", "a-b-c"), ("…", "snapshot"), ("x" * 99, "x" * 80)]
)
def test_a_partition_key_is_a_folder_name(tmp_path, text, key):
    assert partition_key(text) == key
    assert FolderStore(tmp_path, is_private=True).place(partition_key(text)).name == key
