"""The asset `internal_report` in a Dagster walk: what it keeps, what it shows, and what its failure stops: nothing."""

import json
import re

import dagster as dg
import pytest

from synth_pipeline.integrations.stores import is_owner_only
from synth_pipeline.orchestration.code_location import build_defs
from synth_pipeline.orchestration.failures import failure_of
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.launch import open_instance, run_walk
from synth_pipeline.orchestration.report_assets import IS_WHOLE
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.report import internal_page
from synth_pipeline_tests.dagster_example import MARKER_NAME, clinic_rows, make_place

pytestmark = pytest.mark.slow
KEYS = DatasetKeys("clinic")


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    place = make_place(tmp_path_factory.mktemp("reported"), generator={"kind": "independent"}, drift={"epsilon": 0.2})
    place.put("visits", clinic_rows())
    return place, run_walk("clinic", home=place.home.folder, own=place.own)


def again(place, names):
    definitions = build_defs(home=place.home.folder, own=place.own, resources={"runtime": StageRuntime(seed=1)})
    with open_instance(place.home) as instance:
        return definitions.resolve_job_def(KEYS.job).execute_in_process(
            instance=instance,
            partition_key="visits",
            asset_selection=[KEYS.asset(name) for name in names],
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )


def shown_of(place):
    with open_instance(place.home) as instance:
        event = instance.get_latest_materialization_event(KEYS.asset("internal_report"))
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def check_of(place):
    key = dg.AssetCheckKey(KEYS.asset("internal_report"), IS_WHOLE)
    with open_instance(place.home) as instance:
        records = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
        return records[key].event.dagster_event.asset_check_evaluation_data


def test_the_page_is_in_the_private_store_and_readable_by_its_owner_alone(walked):
    place, report = walked
    path = report.internal_report_path
    assert place.home.private.root in path.parents
    assert is_owner_only(path)
    page = path.read_text()
    assert "INTERNAL" in page
    assert report.scorecard.fidelity.tvd_2way.synthetic.text() in page
    assert f"ε ≥ {report.audit.lower_bound.epsilon:.2f}" in page
    assert "visits: refit" in page
    assert "First snapshot: there is no release yet" in page
    assert str(report.attacks_path) in page


def test_dagster_shows_where_it_lies_and_its_sections_and_no_score(walked):
    place, report = walked
    shown = shown_of(place)
    assert shown["page"] == str(report.internal_report_path)
    assert "Attacks and their controls" in shown["sections"]
    assert "Drift history" in shown["sections"]
    own = {name: shown[name] for name in ("zone", "sections")}
    assert "problem" not in shown
    assert not re.search(r"\d\.\d", json.dumps(own))
    assert check_of(place).passed


def test_the_attacks_are_read_back_as_they_were_found(walked):
    _, report = walked
    kept = json.loads(report.attacks_path.with_name("attacks.json").read_text())
    assert kept["report"]["figures"]
    assert kept["headline"].split(":")[0] in report.internal_report_path.read_text()


def test_nothing_waits_for_the_report(walked):
    place, _ = walked
    graph = build_defs(home=place.home.folder, own=place.own).resolve_asset_graph()
    assert graph.get(KEYS.asset("internal_report")).child_keys == set()


def test_a_report_that_fails_stops_no_release_and_says_so_without_a_value(walked, monkeypatch):
    place, report = walked

    def fail(*_args, **_options):
        raise ValueError(f"could not draw {MARKER_NAME}")

    with monkeypatch.context() as patched:
        patched.setattr(internal_page, "embed_rows", fail)
        result = again(place, ["internal_report", "release"])
    assert failure_of(result) is None
    assert check_of(place).passed is False
    assert check_of(place).blocking is False
    page, problem = report.internal_report_path.read_text(), shown_of(place)["problem"]
    assert "could not be made" in page
    assert "stopped by ValueError" in problem
    assert MARKER_NAME not in page + problem
    assert failure_of(again(place, ["internal_report"])) is None
    assert check_of(place).passed


def test_a_store_that_cannot_take_the_page_fails_the_step_and_the_release_is_made_all_the_same(walked, monkeypatch):
    from synth_pipeline.errors import StoreError
    from synth_pipeline.orchestration import report_assets

    def full(*_args, **_options):
        raise StoreError("private store: no space left on device; free some")

    place, report = walked
    with monkeypatch.context() as patched:
        patched.setattr(report_assets, "read_attacks", full)
        result = again(place, ["internal_report", "release"])
    assert isinstance(failure_of(result), StoreError)
    made = {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}
    assert made == {"release"}
    assert (report.release / "certificate.json").is_file()


def test_a_table_of_too_few_people_to_attack_has_a_report_that_says_so(tmp_path):
    place = make_place(tmp_path, generator={"kind": "independent"})
    place.put("visits", clinic_rows(60))
    report = run_walk("clinic", home=place.home.folder, own=place.own)
    assert "Nothing was attacked (not attacked:" in report.internal_report_path.read_text()
