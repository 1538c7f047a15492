"""The asset `internal_report` in a Dagster walk: what it keeps, what it shows, and what its failure stops: nothing."""

import json
import re

import dagster as dg
import pytest

from synth_pipeline.integrations.stores import is_owner_only
from synth_pipeline.orchestration.code_location import build_defs
from synth_pipeline.orchestration.report_assets import IS_WHOLE
from synth_pipeline.report import internal_page
from synth_pipeline_tests.dagster_example import MARKER_NAME, clinic_rows
from synth_pipeline_tests.dagster_walks import KEYS, check_of, materialize, metadata_of, walk_once

pytestmark = pytest.mark.slow
WHOLE = dg.AssetCheckKey(KEYS.asset("internal_report"), IS_WHOLE)


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    return walk_once(tmp_path_factory.mktemp("reported"), generator={"kind": "independent"}, drift={"epsilon": 0.2})


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
    shown = metadata_of(place.home, "internal_report")
    assert shown["page"] == str(report.internal_report_path)
    assert "Attacks and their controls" in shown["sections"]
    assert "Drift history" in shown["sections"]
    own = {name: shown[name] for name in ("zone", "sections")}
    assert "problem" not in shown
    assert not re.search(r"\d\.\d", json.dumps(own))
    assert check_of(place.home, WHOLE).passed


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
        assert materialize(place, ["internal_report", "release"]).failure is None
    assert check_of(place.home, WHOLE).passed is False
    assert check_of(place.home, WHOLE).blocking is False
    page, problem = report.internal_report_path.read_text(), metadata_of(place.home, "internal_report")["problem"]
    assert "could not be made" in page
    assert "stopped by ValueError" in problem
    assert MARKER_NAME not in page + problem
    assert materialize(place, ["internal_report"]).failure is None
    assert check_of(place.home, WHOLE).passed


def test_a_store_that_cannot_take_the_page_fails_the_step_and_the_release_is_made_all_the_same(walked, monkeypatch):
    from synth_pipeline.errors import StoreError
    from synth_pipeline.orchestration import report_assets

    def full(*_args, **_options):
        raise StoreError("private store: no space left on device; free some")

    place, report = walked
    with monkeypatch.context() as patched:
        patched.setattr(report_assets, "read_attacks", full)
        made = materialize(place, ["internal_report", "release"])
    assert isinstance(made.failure, StoreError)
    assert made.metadata.keys() == {"release"}
    assert (report.release / "certificate.json").is_file()


def test_a_table_of_too_few_people_to_attack_has_a_report_that_says_so(tmp_path):
    _, report = walk_once(tmp_path, clinic_rows(60), generator={"kind": "independent"})
    assert "Nothing was attacked (not attacked:" in report.internal_report_path.read_text()
