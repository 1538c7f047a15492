"""What a person sees: Dagster's page over a home with a walk, in a real browser, and a walk started from that page's server."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from synth_pipeline.errors import SynthPipelineError
from synth_pipeline.orchestration.keys import ASSET_NAMES
from synth_pipeline.orchestration.launch import run_walk
from synth_pipeline.orchestration.web import web_server
from synth_pipeline_tests.dagster_example import clinic_rows, make_place

pytestmark = pytest.mark.slow
BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)

WALKED = [
    name for name in ASSET_NAMES if name not in ("drift_report", "published_score")
]  # the specification asks for neither


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A home with one walk, and the server over it."""
    place = make_place(tmp_path_factory.mktemp("served"), privacy={"epsilon": 2.0, "delta": 1e-5})
    place.put("visits_2024", clinic_rows())
    report = run_walk("clinic", home=place.home.folder, own=place.own)
    with web_server(place.home.folder, port=free_port(), own=place.own) as (address, _):
        yield place, report, address


def page_text(address, path, folder):
    """The page's document after its scripts have run; a screenshot is left beside it for whoever wants to look."""
    if BROWSER is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    common = [
        BROWSER,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1600,1000",
        f"--user-data-dir={folder}/profile",
    ]
    look = [*common, "--virtual-time-budget=30000"]
    subprocess.run(
        [*look, f"--screenshot={folder}/page.png", address + path], capture_output=True, check=True, timeout=120
    )
    done = subprocess.run(
        [*look, "--dump-dom", address + path], capture_output=True, text=True, check=True, timeout=120
    )
    assert (Path(folder) / "page.png").stat().st_size > 20_000
    return done.stdout


def test_the_asset_graph_shows_every_asset_of_the_walk(served, tmp_path):
    _, _, address = served
    document = page_text(address, "/locations/synth-pipeline/asset-groups/clinic/lineage", tmp_path)
    assert [name for name in WALKED if name not in document] == []


def test_the_checks_page_shows_checks_and_their_outcome(served, tmp_path):
    _, _, address = served
    document = page_text(address, "/assets/clinic/validation_suite?view=checks", tmp_path)
    assert "bounds__age" in document
    assert "Succeeded" in document


def test_the_release_page_shows_epsilon_the_ledger_and_the_mlflow_run(served, tmp_path):
    _, report, address = served
    document = page_text(address, "/assets/clinic/release?view=events", tmp_path)
    assert report.release.name in document
    assert "commit" in document
    assert report.mlflow_run.replace("&", "&amp;") in document


def test_the_run_is_listed_as_a_success(served, tmp_path):
    _, report, address = served
    document = page_text(address, "/runs", tmp_path)
    assert report.run_id[:8] in document
    assert "Success" in document


def test_a_file_that_arrives_is_walked_by_the_daemon_in_processes_of_its_own(served):
    """Sensor, partition, queue, code server and the forkserver executor: the way of every run that no command starts."""
    place, report, address = served
    place.put("visits_2025", clinic_rows(seed=1))
    assert ask(address, START_SENSOR, {})["startSensor"]["__typename"] == "Sensor"
    assert await_other_run(address, report.run_id) == {
        "status": "SUCCESS",
        "stats": {"stepsSucceeded": 9},
        "partition": "visits_2025",
    }
    assert len(list((place.home.releases / "clinic").iterdir())) == 2


def test_a_taken_port_is_refused_in_one_line(served):
    place, _, address = served
    port = int(address.rsplit(":", 1)[1])
    with pytest.raises(SynthPipelineError, match=f"port {port} is taken"), web_server(place.home.folder, port=port):
        pass


def test_nothing_of_the_server_is_left_running(tmp_path):
    place = make_place(tmp_path)
    with web_server(place.home.folder, port=free_port(), own=place.own) as (_, server):
        group = server.pid
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


START_SENSOR = """mutation {
  startSensor(sensorSelector: {
    sensorName: "clinic_arrivals", repositoryName: "__repository__", repositoryLocationName: "synth-pipeline"
  }) { __typename ... on PythonError { message } }
}"""
RUNS = """{
  runsOrError { ... on Runs { results {
    runId status tags { key value } stats { ... on RunStatsSnapshot { stepsSucceeded } }
  } } }
}"""


def ask(address, query, variables):
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql", data=body, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer = json.load(reply)
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


def await_other_run(address, known, patience_seconds=500):
    """The one run besides the known one, when it has ended: status, steps done, partition."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        others = [run for run in ask(address, RUNS, {})["runsOrError"]["results"] if run["runId"] != known]
        if others and others[0]["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
            (run,) = others
            partition = {tag["key"]: tag["value"] for tag in run["tags"]}["dagster/partition"]
            return {"status": run["status"], "stats": run["stats"], "partition": partition}
        time.sleep(1)
    raise AssertionError(f"no other run ended within {patience_seconds} s")
