import json
import re

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.errors import PrivacyError
from synth_pipeline.integrations.great_expectations import run_suite
from synth_pipeline.privacy.gate import Released, mark_private
from synth_pipeline.validate.evaluate import check
from synth_pipeline.validate.suite import build_suite
from synth_pipeline_tests.released_example import example_profile, example_spec, example_table


@pytest.fixture(scope="module")
def suite():
    spec = example_spec()
    return build_suite(spec, example_profile(spec, example_table()), rows=2000)


@pytest.fixture(scope="module")
def faulty():
    """A table with a fault of every kind."""
    frame = example_table(1999)
    frame.loc[0, "age"] = 200
    frame.loc[1, "fee"] = 12.345
    frame.loc[:9, "ward"] = "D"
    frame.loc[3, "visit"] = pd.Timestamp("2031-01-01 12:34")
    frame["triage"] = np.nan
    frame.loc[5:7, "patient"] = "same"
    frame["town"] = frame["town"].where(frame.index > 4)
    frame.loc[20:25, ["age", "insured"]] = [3, False]
    return frame


@pytest.fixture(scope="module")
def results(suite, faulty, tmp_path_factory):
    """Runs on a table that holds everything, and on one that does not."""
    folder = tmp_path_factory.mktemp("docs")
    return {
        name: run_suite(Released(frame), suite, docs_dir=folder / name, suite_name="clinic", run_name="2020/a")
        for name, frame in {"good": example_table(), "bad": faulty}.items()
    }


def test_a_table_that_holds_everything_passes_everything(results):
    assert results["good"].success
    assert all(outcome.passed for outcome in results["good"].outcomes)


def test_great_expectations_and_the_pure_evaluation_agree_on_every_outcome_and_number(results, suite, faulty):
    for name, frame in {"good": example_table(), "bad": faulty}.items():
        for found, expected in zip(results[name].outcomes, check(frame, suite), strict=True):
            assert found.expectation == expected.expectation
            assert found.passed == expected.passed, found.expectation.name
            assert found.observed == pytest.approx(expected.observed), found.expectation.name


def test_a_blocking_failure_is_no_success_and_a_warning_is(results, suite, tmp_path):
    assert not results["bad"].success
    warning = tuple(item for item in suite if item.name in ("shares__ward", "columns"))
    frame = example_table().assign(ward="A")
    result = run_suite(Released(frame), warning, docs_dir=tmp_path / "docs", suite_name="clinic", run_name="r")
    assert result.success
    assert [outcome.passed for outcome in result.outcomes] == [True, False]


def test_a_missing_column_fails_its_checks(suite, tmp_path):
    result = run_suite(
        Released(example_table().drop(columns="fee")), suite, docs_dir=tmp_path / "docs", suite_name="c", run_name="r"
    )
    failed = {outcome.expectation.name for outcome in result.outcomes if not outcome.passed}
    expected = {
        outcome.expectation.name for outcome in check(example_table().drop(columns="fee"), suite) if not outcome.passed
    }
    assert failed == expected


@pytest.mark.parametrize("dtype", ["object", "date32[day][pyarrow]"])
def test_dates_are_compared_with_dates(suite, tmp_path, dtype):
    frame = example_table()
    frame["visit"] = pd.Series([moment.date() for moment in frame["visit"]], dtype=dtype)
    dates = tuple(item for item in suite if item.column == "visit")
    assert run_suite(Released(frame), dates, docs_dir=tmp_path / "docs", suite_name="c", run_name="r").success


def test_a_table_marked_private_is_refused_and_nothing_is_written(suite, tmp_path):
    frame = mark_private(example_table())
    with pytest.raises(PrivacyError, match="DataFrame is private and does not leave"):
        run_suite(Released(frame), suite, docs_dir=tmp_path / "docs", suite_name="c", run_name="r")
    assert list(tmp_path.iterdir()) == []


def test_a_bare_table_is_refused_and_nothing_is_written(suite, tmp_path):
    with pytest.raises(PrivacyError, match="DataFrame has no zone"):
        run_suite(example_table(), suite, docs_dir=tmp_path / "docs", suite_name="c", run_name="r")
    assert list(tmp_path.iterdir()) == []


def test_pages_load_nothing_from_elsewhere_and_run_no_scripts(results):
    pages = list(results["bad"].docs_index.parent.rglob("*.html"))
    assert len(pages) == 3
    for page in pages:
        text = page.read_text()
        assert not re.search(r"<script|<img|<link|@import|url\(", text)
        assert not re.search(r'(src|href)="https?:(?!//(docs\.)?greatexpectations\.io)', text)


def test_the_start_page_leads_to_results_that_say_in_words_what_was_checked(results):
    index = results["bad"].docs_index
    text = index.read_text()
    target = re.search(r'href="(validations/[^"]+)"', text)[1]
    page = (index.parent / target).read_text()
    assert "some expectations fail" in text
    assert "age lies between 0 and 99 years (declared)." in page
    assert "[warns only]" in page
    suite_page = next((index.parent / "expectations").glob("*.html")).read_text()
    assert "stops the release if it fails" in suite_page
    assert "every expectation holds" in results["good"].docs_index.read_text()


def test_a_run_leaves_a_project_whose_checkpoint_great_expectations_opens_and_runs(results, suite, faulty):
    import great_expectations as gx

    context = gx.get_context(mode="file", project_root_dir=results["good"].docs_index.parent)
    assert [item.meta["check"] for item in context.suites.get("clinic").expectations] == [item.name for item in suite]
    assert context.validation_definitions.get("clinic").suite.name == "clinic"
    found = {
        name: context.checkpoints.get("clinic").run(batch_parameters={"dataframe": frame}).success
        for name, frame in {"good": example_table(), "bad": faulty}.items()
    }
    assert found == {"good": True, "bad": False}
    kept = list((results["bad"].docs_index.parent / "gx").rglob("validations/**/*.json"))
    assert [json.loads(path.read_text())["success"] for path in kept] == [False]


def test_a_second_run_replaces_the_pages_and_leaves_no_rubbish_beside_them(suite, tmp_path):
    for run in ("first", "second"):
        result = run_suite(
            Released(example_table()), suite[:2], docs_dir=tmp_path / "docs", suite_name="clinic", run_name=run
        )
    assert "second" in result.docs_index.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]
    assert not list((tmp_path / "docs").rglob("*first*"))


def test_outcomes_are_json(results):
    assert json.loads(json.dumps([outcome.to_dict() for outcome in results["bad"].outcomes]))


def test_numbers_found_in_a_float32_column_are_json_too(suite, tmp_path):
    means = tuple(item for item in suite if item.kind == "fidelity" and item.column == "fee")
    frame = example_table().astype({"fee": "float32"})
    result = run_suite(Released(frame), means, docs_dir=tmp_path / "docs", suite_name="c", run_name="r")
    found = json.loads(json.dumps([outcome.to_dict() for outcome in result.outcomes]))
    assert any("mean" in outcome["observed"] for outcome in found)
