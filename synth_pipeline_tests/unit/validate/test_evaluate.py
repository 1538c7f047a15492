import numpy as np
import pandas as pd
import pytest

from synth_pipeline.validate.evaluate import check
from synth_pipeline.validate.expectation import ON_GRID, Expectation
from synth_pipeline.validate.suite import build_suite
from synth_pipeline_tests.released_example import example_profile, example_spec, example_table


@pytest.fixture
def suite():
    spec = example_spec()
    return build_suite(spec, example_profile(spec, example_table()), rows=2000)


def failures(frame, suite, *, kinds=("schema", "domain", "nulls", "constraints")):
    return {
        outcome.expectation.name
        for outcome in check(frame, suite)
        if not outcome.passed and outcome.expectation.kind in kinds
    }


def test_a_table_that_obeys_its_specification_passes_everything(suite):
    assert all(outcome.passed for outcome in check(example_table(seed=1), suite))


def put(column, row, value):
    def change(frame):
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
        return frame.infer_objects()

    return change


@pytest.mark.parametrize(
    "change, failed",
    [
        (lambda frame: frame[frame.columns[::-1]], {"columns"}),
        (lambda frame: frame.iloc[:-1], {"row_count"}),
        (put("age", 0, 100), {"bounds__age"}),
        (put("age", 0, -1), {"bounds__age"}),
        (put("age", 0, 40.5), {"precision__age"}),
        (put("age", 0, None), {"not_null__age"}),
        (put("fee", 3, 12.345), {"precision__fee"}),
        (put("ward", 0, "D"), {"categories__ward"}),
        (put("triage", 0, 4), {"categories__triage"}),
        (put("town", 0, "Atlantis"), {"categories__town"}),
        (put("visit", 0, pd.Timestamp("2021-01-01")), {"bounds__visit"}),
        (put("visit", 0, pd.Timestamp("2020-05-01 10:00")), {"precision__visit"}),
        (lambda frame: frame.assign(patient="same"), {"unique__patient"}),
        (put("patient", 0, None), {"not_null__patient"}),
        (lambda frame: frame.assign(age="old"), {"type__age", "bounds__age", "rule_1"}),
        (lambda frame: frame.assign(age=17, insured=False), {"rule_1"}),
    ],
)  # fmt: skip
def test_each_fault_fails_the_check_that_is_about_it(suite, change, failed):
    assert failures(change(example_table()), suite) == failed


def test_violations_are_counted(suite):
    frame = example_table()
    frame.loc[:6, "age"] = 200
    outcome = next(item for item in check(frame, suite) if item.expectation.name == "bounds__age")
    assert outcome.observed == {"violations": 7}


def test_a_missing_column_fails_all_its_checks_and_breaks_none(suite):
    outcomes = check(example_table().drop(columns="fee"), suite)
    failed = {item.expectation.name for item in outcomes if not item.passed}
    assert {"columns", "type__fee", "bounds__fee", "shares__fee", "rule_2"} <= failed
    assert all(item.observed == {"missing_columns": 1} for item in outcomes if item.expectation.column == "fee")


@pytest.mark.parametrize(
    "column, dtype",
    [
        ("age", "Int64"), ("age", "float64"), ("age", "int16"),
        ("fee", "Float64"), ("ward", "category"), ("ward", "string"), ("ward", object),
        ("triage", "Int64"), ("triage", "category"), ("insured", "boolean"), ("insured", "int64"), ("insured", object),
        ("visit", "datetime64[s]"),
        ("visit", "date32[day][pyarrow]"), ("visit", "timestamp[us][pyarrow]"),
    ],
)  # fmt: skip
def test_values_count_and_not_the_dtype_that_holds_them(suite, column, dtype):
    frame = example_table()
    frame[column] = frame[column].astype(dtype)
    assert failures(frame, suite) == set()


def test_python_dates_are_points_in_time(suite):
    frame = example_table()
    frame["visit"] = pd.Series([moment.date() for moment in frame["visit"]], dtype=object)
    assert failures(frame, suite) == set()


def test_numbers_whose_category_is_declared_as_text_are_the_same_category():
    spec = example_spec(columns={"grade": {"kind": "categorical", "categories": ["1", "2"]}}, constraints=[])
    frame = pd.DataFrame({"grade": [1, 2, 2, 1]})
    suite = build_suite(spec, example_profile(spec, frame.astype(str)), rows=4)
    assert failures(frame, suite) == set()
    assert failures(frame.assign(grade=3), suite) == {"categories__grade"}


def test_a_distorted_column_fails_fidelity_and_nothing_else(suite):
    frame = example_table()
    rng = np.random.default_rng(1)
    frame["ward"] = rng.choice(["A", "B", "C"], len(frame), p=[0.05, 0.9, 0.05])
    frame["fee"] = frame["fee"].where(rng.random(len(frame)) < 0.5)
    assert failures(frame, suite, kinds=("fidelity",)) >= {"shares__ward", "shares__fee", "null_share__fee"}
    assert "shares__age" not in failures(frame, suite, kinds=("fidelity",))


def test_a_shifted_mean_is_seen(suite):
    frame = example_table()
    frame["age"] = np.minimum(frame["age"] + 30, 99)
    assert {"mean__age", "shares__age"} <= failures(frame, suite, kinds=("fidelity",))


def test_an_empty_table_fails_and_does_not_break(suite):
    failed = {outcome.expectation.name for outcome in check(example_table().iloc[:0], suite) if not outcome.passed}
    assert {"row_count", "mean__age", "shares__age"} <= failed


@pytest.mark.parametrize("dtype", ["float32", "Float32", "float[pyarrow]"])
@pytest.mark.parametrize("decimals", [2, 13])
def test_a_narrow_float_is_on_the_grid_when_it_is_the_nearest_to_a_decimal(dtype, decimals):
    grid = Expectation("precision__x", "domain", "x", ".", "block", ON_GRID, {"column": "x", "decimals": decimals})
    values = np.round(np.random.default_rng(0).uniform(0, 70, 500), decimals)
    (near,) = check(pd.DataFrame({"x": pd.Series(values).astype(dtype)}), (grid,))
    assert near.passed
    (off,) = check(pd.DataFrame({"x": pd.Series(values + 0.004).astype(dtype)}), (grid,))
    assert off.passed == (decimals == 13)
