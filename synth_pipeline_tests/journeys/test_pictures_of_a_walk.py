"""Pictures of released facts, where people look for them: Dagster's event log, MLflow's artifacts, the bundle's trust map."""

import base64
import io
import json
import re
from pathlib import Path

import dagster as dg
import pytest
from PIL import Image

from synth_pipeline.orchestration import pictures
from synth_pipeline.release.trust_map import TrustMap
from synth_pipeline.report.figure import MOST_BYTES
from synth_pipeline_tests.dagster_example import MARKER_NAME
from synth_pipeline_tests.dagster_walks import materialization, walk_once

pytestmark = pytest.mark.slow
SHOWN = {"profile": "picture_marginals", "generator": "picture_budget_split", "release": "picture_trust_map"}


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    return walk_once(tmp_path_factory.mktemp("pictured"), generator={"kind": "mst"})


@pytest.mark.parametrize("name", SHOWN)
def test_an_asset_shows_its_picture_inside_its_markdown(walked, name):
    place, _ = walked
    entry = materialization(place.home, name).metadata[SHOWN[name]]
    assert isinstance(entry, dg.MarkdownMetadataValue)
    png = base64.b64decode(re.fullmatch(r"!\[[a-z ]+\]\(data:image/png;base64,([^)]+)\)", entry.value)[1])
    assert len(png) < MOST_BYTES
    assert min(Image.open(io.BytesIO(png)).size) > 60


def test_mlflow_keeps_the_report_and_its_pictures(walked, tmp_path):
    import mlflow

    place, report = walked
    run = report.mlflow_run.rsplit("/", 1)[1]
    client = mlflow.MlflowClient(place.home.tracking_uri, place.home.tracking_uri)
    kept = {item.path for item in client.list_artifacts(run, "report")}
    assert kept == {f"report/{name}" for name in ("report.html", "budget_split.png", "marginals.png", "trust_map.png")}
    page = client.download_artifacts(run, "report/report.html", str(tmp_path))
    content = Path(page).read_bytes()
    assert content == (report.release / "report.html").read_bytes()
    assert MARKER_NAME.encode() not in content


def test_the_bundle_holds_the_trust_map_and_its_certificate_names_it(walked):
    _, report = walked
    trust = TrustMap.from_json(json.loads((report.release / "trust_map.json").read_text()))
    assert trust.names == ("age", "ward", "town", "fee", "insured")
    states = [item.state for item in trust.marginals if len(item.columns) == 2]
    assert states.count("measured") == 4  # the edges of a tree over five columns
    assert states.count("model") == 6
    subjects = json.loads((report.release / "certificate.json").read_text())["subject"]
    assert "trust_map.json" in {item["name"] for item in subjects}


def test_a_picture_that_cannot_be_drawn_is_left_out(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no font")

    monkeypatch.setattr(pictures, "marginals_figure", broken)
    assert pictures.profile_pictures(object()) == {}


def test_a_picture_too_large_for_an_event_log_is_not_shown():
    assert pictures.shown({"large": b"x" * MOST_BYTES, "small": b"x"}).keys() == {"picture_small"}
