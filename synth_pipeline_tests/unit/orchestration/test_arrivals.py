import os

import pytest

from synth_pipeline.errors import SourceError, SpecError, TableError
from synth_pipeline.integrations.sources import read_book
from synth_pipeline.orchestration.arrivals import (
    fetched,
    list_arrivals,
    newest_partition,
    note_taken,
    refuse_copy,
    register,
    taken_stamp,
)
from synth_pipeline.spec import Spec


def spec_of(pattern="*.parquet", **privacy):
    return Spec.from_mapping(
        {
            "dataset": "d",
            "source": {"uri": "./in", "pattern": pattern},
            "columns": {"x": {"kind": "boolean"}},
            "privacy": {"epsilon": 1, **privacy},
        }
    )


def put(home, name, text="x", changed=None):
    path = home.folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if changed is not None:
        os.utime(path, (changed, changed))
    return path


def path_of(spec, home, partition):
    with fetched(spec, home, partition) as found:
        return found.path


def test_files_are_listed_oldest_first_without_hidden_and_other_ones(home):
    put(home, "new.parquet", changed=300)
    put(home, "old.parquet", changed=100)
    put(home, ".part.parquet", changed=200)
    put(home, "_part.parquet", changed=200)
    put(home, "notes.txt", changed=200)
    put(home, "deeper/a.parquet", changed=200)
    assert [arrival.name for arrival in list_arrivals(spec_of(), home)] == ["old.parquet", "new.parquet"]


def test_a_spec_without_a_source_cannot_be_listed(home):
    spec = spec_of().model_copy(update={"source": None})
    with pytest.raises(SpecError, match="no `source`"):
        list_arrivals(spec, home)


def test_a_partition_is_found_again_at_the_path_it_was_registered_with(home, tmp_path):
    elsewhere = tmp_path / "else where.parquet"
    elsewhere.write_text("x")
    assert register(spec_of(), home, elsewhere) == "else-where"
    assert path_of(spec_of(), home, "else-where") == elsewhere


def test_a_partition_that_was_not_registered_is_looked_for_in_the_source(home):
    path = put(home, "a.parquet")
    assert path_of(spec_of(), home, "a") == path
    with pytest.raises(SourceError, match=r"snapshot 'b' of d: its file is not there"):
        path_of(spec_of(), home, "b")


def test_registering_does_not_open_the_file(home):
    path = put(home, "a.parquet")
    path.chmod(0)
    assert register(spec_of(), home, path) == "a"
    with pytest.raises(TableError, match="no such file"):
        register(spec_of(), home, home.folder / "in" / "missing.parquet")


def test_another_content_of_a_name_is_another_snapshot_and_the_same_content_is_the_same(home):
    path = put(home, "a.parquet", changed=100)
    assert [register(spec_of(), home, path) for _ in range(2)] == ["a", "a"]
    put(home, "a.parquet", "corrected", changed=200)
    assert [register(spec_of(), home, path) for _ in range(2)] == ["a@2", "a@2"]
    assert path_of(spec_of(), home, "a@2") == path
    with pytest.raises(SourceError, match="has changed since it was seen"):
        path_of(spec_of(), home, "a")
    put(home, "a.parquet", changed=100)
    assert register(spec_of(), home, path) == "a"


def test_a_file_of_the_same_name_from_elsewhere_is_another_content_of_that_name(home, tmp_path):
    register(spec_of(), home, put(home, "a.parquet", changed=100))
    elsewhere = tmp_path / "a.parquet"
    elsewhere.write_text("by hand")
    assert register(spec_of(), home, elsewhere) == "a@2"
    assert path_of(spec_of(), home, "a@2") == elsewhere


def test_names_that_look_alike_are_different_partitions(home):
    spec = spec_of(pattern="**/*.*")
    names = ["2026/a.parquet", "2026-a.parquet", "2026/a.csv", "2026 a.csv"]
    partitions = [register(spec, home, put(home, name)) for name in names]
    assert partitions[0] == "2026-a"
    assert len(set(partitions)) == 4
    assert all(partition.startswith("2026-a") for partition in partitions)
    for name, partition in zip(names, partitions, strict=True):
        assert path_of(spec, home, partition) == home.folder / "in" / name


def test_the_newest_snapshot_is_the_one_that_changed_last_and_can_be_one(home):
    spec = spec_of(pattern="*")
    assert newest_partition(spec, home) is None
    put(home, "new.parquet", changed=300)
    put(home, "old.parquet", changed=100)
    put(home, "newer.txt", changed=400)
    put(home, "newest.parquet", "", changed=500)
    assert newest_partition(spec, home) == "new"


def test_a_file_that_changes_while_it_is_read_is_refused(home):
    path = put(home, "a.parquet")
    register(spec_of(), home, path)
    with pytest.raises(SourceError, match="has changed since it was seen"), fetched(spec_of(), home, "a"):
        path.write_text("more")


def test_a_partition_that_was_walked_before_there_was_a_book_keeps_its_name(home):
    path = put(home, "a.parquet")
    (found,) = list_arrivals(spec_of(), home)
    note_taken(spec_of(), home, "a", found.stamp)
    assert taken_stamp(spec_of(), home, "a") == found.stamp
    put(home, "a.parquet", "corrected")
    assert register(spec_of(), home, path) == "a@2"


def test_the_same_rows_under_another_name_are_refused_only_where_cohorts_are_disjoint(home):
    disjoint, overlapping = spec_of(cohorts={"by": "disjoint"}), spec_of()
    refuse_copy(disjoint, home, "a", "f1")
    refuse_copy(disjoint, home, "a", "f1")
    with pytest.raises(TableError, match=r"snapshot 'b': holds the same rows as snapshot 'a', but cohorts"):
        refuse_copy(disjoint, home, "b", "f1")
    refuse_copy(disjoint, home, "b", "f2")
    refuse_copy(overlapping, home, "c", "f1")


def test_the_same_rows_as_another_content_of_the_same_name_are_nothing_new_and_lead_to_its_partition(home):
    path = put(home, "a.parquet", changed=100)
    register(spec_of(), home, path)
    refuse_copy(spec_of(), home, "a", "f1")
    put(home, "a.parquet", changed=200)
    assert register(spec_of(), home, path) == "a@2"
    with pytest.raises(
        TableError, match=r"snapshot 'a@2': holds the same rows as snapshot 'a', so there is nothing new"
    ):
        refuse_copy(spec_of(), home, "a@2", "f1")
    assert register(spec_of(), home, path) == "a"
    assert path_of(spec_of(), home, "a") == path


def test_the_book_is_readable_by_its_owner_alone(home):
    register(spec_of(), home, put(home, "a.parquet"))
    kept = [path for path in home.private.root.rglob("*") if path.is_file()]
    assert read_book(home, "d").partitions == {"a"}
    assert kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept)
