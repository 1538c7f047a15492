from pathlib import Path

import pandas as pd
import pytest

import synth_pipeline.defs
from synth_pipeline.integrations.demo_data import SNAPSHOT_YEARS, read_gss, write_snapshots
from synth_pipeline.snapshot.read import read_table
from synth_pipeline.snapshot.take import take_snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import category_key, declared_categories

SPEC = Spec.from_yaml(Path(synth_pipeline.defs.__path__[0]) / "gss" / "defs.yaml")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write_snapshots(tmp_path_factory.mktemp("gss"))


def test_the_snapshots_hold_every_respondent_once(paths):
    frames = [pd.read_parquet(path) for path in paths]
    assert sum(map(len, frames)) == len(read_gss()) == 61_697
    for frame, (first, last) in zip(frames, SNAPSHOT_YEARS, strict=True):
        assert frame["year"].between(first, last).all()


def test_the_specification_fits_every_snapshot(paths):
    for path in paths:
        frame = read_table(path, SPEC)
        assert list(frame.columns) == list(SPEC.columns)
        counts = take_snapshot(frame, SPEC, key=b"k" * 32, holdout=True).counts
        assert not counts.clipped_rows


def test_the_rules_hold_in_the_real_table():
    frame = read_gss()
    assert (frame["occ10"].isna() == frame["occrecode"].isna()).all()


def test_the_target_is_full_time_work_and_is_told_by_no_other_column():
    frame = read_gss()
    assert SPEC.benchmark.target == "full_time"
    assert "wrkstat" not in frame.columns
    assert 0.4 < frame["full_time"].mean() < 0.6


def test_the_declared_categories_occur(paths):
    frame = read_gss()
    for name in ("year", "occrecode", "gender", "educcat", "maritalcat"):
        occurring = {category_key(value) for value in frame[name].dropna().unique()}
        assert occurring == set(map(category_key, declared_categories(SPEC.columns[name])))


def test_files_that_are_there_are_left_as_they_are(paths, tmp_path):
    copies = write_snapshots(tmp_path)
    stamps = [path.stat().st_mtime_ns for path in copies]
    copies[2].unlink()
    assert write_snapshots(tmp_path) == copies
    again = [path.stat().st_mtime_ns for path in copies]
    assert [stamp == now for stamp, now in zip(stamps, again, strict=True)] == [True, True, False, True, True]


def test_the_last_snapshot_is_the_newest_file(paths):
    assert max(paths, key=lambda path: path.stat().st_mtime_ns) == paths[-1]
