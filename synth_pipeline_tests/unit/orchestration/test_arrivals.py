import os

import pytest

from synth_pipeline.errors import SpecError, TableError
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.arrivals import list_arrivals, locate, refuse_copy, register, settled
from synth_pipeline.spec import Spec


def spec_of(**privacy):
    return Spec.from_mapping(
        {
            "dataset": "d",
            "source": {"uri": "./in", "pattern": "*.parquet"},
            "columns": {"x": {"kind": "boolean"}},
            "privacy": {"epsilon": 1, **privacy},
        }
    )


@pytest.fixture
def home(tmp_path):
    (tmp_path / "in").mkdir()
    return Home.at(tmp_path)


def put(home, name, text="x", changed=None):
    path = home.folder / "in" / name
    path.write_text(text)
    if changed is not None:
        os.utime(path, (changed, changed))
    return path


def test_files_are_listed_oldest_first_without_hidden_and_other_ones(home):
    put(home, "new.parquet", changed=300)
    put(home, "old.parquet", changed=100)
    put(home, ".part.parquet", changed=200)
    put(home, "notes.txt", changed=200)
    assert [arrival.partition for arrival in list_arrivals(spec_of(), home)] == ["old", "new"]


def test_a_spec_without_a_source_cannot_be_listed(home):
    spec = spec_of().model_copy(update={"source": None})
    with pytest.raises(SpecError, match="no `source`"):
        list_arrivals(spec, home)


def test_a_file_is_settled_when_two_looks_saw_it_the_same(home):
    put(home, "a.parquet", changed=100)
    first = list_arrivals(spec_of(), home)
    seen = {arrival.path.name: arrival.stamp for arrival in first}
    put(home, "a.parquet", "longer", changed=100)
    put(home, "b.parquet", changed=100)
    assert settled(first, {}) == ()
    assert settled(first, seen) == first
    assert settled(list_arrivals(spec_of(), home), seen) == ()


def test_a_partition_is_found_again_at_the_path_it_was_registered_with(home, tmp_path):
    elsewhere = tmp_path / "else where.parquet"
    elsewhere.write_text("x")
    assert register(spec_of(), home, elsewhere) == "else-where"
    assert locate(spec_of(), home, "else-where") == elsewhere


def test_a_partition_that_was_not_registered_is_looked_for_in_the_source(home):
    path = put(home, "a.parquet")
    assert locate(spec_of(), home, "a") == path
    with pytest.raises(TableError, match=r"snapshot 'b' of d: its file is not there"):
        locate(spec_of(), home, "b")


def test_registering_does_not_open_the_file(home, monkeypatch):
    path = put(home, "a.parquet")
    path.chmod(0)
    assert register(spec_of(), home, path) == "a"
    with pytest.raises(TableError, match="no such file"):
        register(spec_of(), home, home.folder / "in" / "missing.parquet")


def test_the_same_rows_under_another_name_are_refused_only_where_cohorts_are_disjoint(home):
    disjoint, overlapping = spec_of(cohorts={"by": "disjoint"}), spec_of()
    refuse_copy(disjoint, home, "a", "f1")
    refuse_copy(disjoint, home, "a", "f1")
    with pytest.raises(TableError, match=r"snapshot 'b': holds the same rows as snapshot 'a'"):
        refuse_copy(disjoint, home, "b", "f1")
    refuse_copy(disjoint, home, "b", "f2")
    refuse_copy(overlapping, home, "c", "f1")
