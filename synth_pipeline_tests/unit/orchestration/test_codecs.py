import numpy as np
import pandas as pd
import pytest

from synth_pipeline.errors import LedgerError
from synth_pipeline.orchestration.codecs import CODECS
from synth_pipeline.orchestration.keys import APPROVAL, ASSET_NAMES
from synth_pipeline.orchestration.made import Made, Origin, one_origin
from synth_pipeline.outcome import Profiled
from synth_pipeline.privacy.ledger import WalkKey
from synth_pipeline.snapshot.take import take_snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.validate.expectation import Expectation, Outcome
from synth_pipeline_tests.dagster_example import ATTRIBUTES, clinic_rows
from synth_pipeline_tests.released_example import example_profile, example_spec, example_table


def round_trip(name, value, folder):
    CODECS[name].save(value, folder)
    return CODECS[name].load(folder)


def origin(walk_id="w"):
    return Origin(WalkKey("d", "s", "spec", "code", walk_id), 7, "f" * 64)


def test_every_asset_has_a_codec():
    assert set(CODECS) == {*ASSET_NAMES, APPROVAL}


@pytest.mark.parametrize("holdout", [True, False])
def test_a_snapshot_comes_back_whole(tmp_path, holdout):
    spec = Spec.from_mapping({**ATTRIBUTES, "privacy": {"epsilon": 1, "unit": {"column": "person", "max_rows": 2}}})
    snapshot = take_snapshot(clinic_rows(200), spec, key=b"k" * 32, holdout=holdout)
    back = round_trip("real_snapshot", snapshot, tmp_path)
    pd.testing.assert_frame_equal(back.train, snapshot.train)
    assert (back.holdout is None) == (snapshot.holdout is None)
    if holdout:
        pd.testing.assert_frame_equal(back.holdout, snapshot.holdout)
    assert list(back.native.columns) == list(snapshot.native.columns)
    for name, codes in snapshot.native.columns.items():
        np.testing.assert_array_equal(back.native.columns[name], codes)
        assert back.native.columns[name].dtype == codes.dtype
    np.testing.assert_array_equal(back.native.units, snapshot.native.units)
    assert dict(back.native.vocabularies) == dict(snapshot.native.vocabularies)
    assert (back.fingerprint, back.dtypes) == (snapshot.fingerprint, snapshot.dtypes)
    assert vars(back.counts) == vars(snapshot.counts)


def test_dtypes_of_rows_survive_the_store(tmp_path):
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None], dtype="Int64"),
            "truth": pd.array([True, None], dtype="boolean"),
            "loose": pd.Series([True, None], dtype=object),
            "text": pd.Series(["a", None], dtype="str"),
            "moment": pd.to_datetime(["2024-01-01", None]).astype("datetime64[us]"),
            "day": pd.Series([pd.Timestamp("2024-01-01").date(), None], dtype=object),
            "kind": pd.Categorical(["x", None], categories=["y", "x"], ordered=True),
        }
    )
    pd.testing.assert_frame_equal(round_trip("synthetic_table", frame, tmp_path), frame)


def test_a_profile_comes_back_whole(tmp_path):
    profile = example_profile(example_spec(), example_table(300))
    back = round_trip("profile", Profiled(profile, ()), tmp_path)
    assert back.profile.to_json() == profile.to_json()
    assert back.events == ()


def test_outcomes_come_back_equal(tmp_path):
    expectation = Expectation(
        "bounds__age", "domain", "age", "age lies …", "block", "expect_x", {"column": "age", "min_value": 0}
    )
    outcomes = (Outcome(expectation, passed=False, observed={"violations": 3}),)
    assert round_trip("validation_suite", outcomes, tmp_path) == outcomes


def test_an_origin_comes_back_equal():
    assert Origin.from_json(origin().to_json()) == origin()


def test_values_of_different_walks_are_not_put_together():
    assert one_origin([Made(1, origin()), Made(2, origin())], where="d/release") == origin()
    with pytest.raises(LedgerError, match=r"d/release: .*different walks"):
        one_origin([Made(1, origin("v")), Made(2, origin("w"))], where="d/release")


def test_a_made_value_does_not_show_itself():
    assert "31337" not in repr(Made([31337], origin()))


def test_the_page_of_an_internal_report_comes_back_as_it_was_written(tmp_path):
    page = "<!DOCTYPE html><p>ε ≥ 0.61 · Médecine</p>\n"
    assert round_trip("internal_report", page, tmp_path) == page
    assert [path.name for path in tmp_path.iterdir()] == ["internal_report.html"]
