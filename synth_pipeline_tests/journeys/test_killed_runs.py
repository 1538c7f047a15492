"""Runs of the daemon that are killed with SIGKILL, their worker or a step's process: the daemon starts them again, as the same walk."""

import json
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import dagster as dg
import pytest

from synth_pipeline.integrations.run_queue import DATASET_TAG
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.orchestration.retries import FINAL_TAG
from synth_pipeline.orchestration.web import web_server
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.dagster_example import clinic_rows, make_place
from synth_pipeline_tests.killed_walks import Left

pytestmark = pytest.mark.slow
PATIENCE_SECONDS = 600.0
START_SENSOR = """mutation {
  startSensor(sensorSelector: {
    sensorName: "clinic_arrivals", repositoryName: "__repository__", repositoryLocationName: "synth-pipeline"
  }) { __typename ... on PythonError { message } }
}"""
DONE = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(address, query):
    request = urllib.request.Request(
        f"{address}/graphql", data=json.dumps({"query": query}).encode(), headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)["data"]


@pytest.fixture
def daemon(tmp_path):
    """A home whose daemon watches its folder, and Dagster's instance of it."""
    privacy = {"epsilon": 2.0, "delta": 1e-5, "cap": {"epsilon": 9.0}}
    place = make_place(tmp_path, generator={"kind": "mst"}, privacy=privacy)
    place.put("first", clinic_rows(150, seed=1))
    with web_server(place.home.folder, port=free_port(), own=place.own) as (address, _):
        assert ask(address, START_SENSOR)["startSensor"]["__typename"] == "Sensor"
        with open_instance(place.home) as instance:
            yield place, instance


def await_that(condition, what):
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no {what} in time")


def runs(instance):
    records = instance.get_run_records(dg.RunsFilter(tags={DATASET_TAG: "clinic"}))
    return [record.dagster_run for record in sorted(records, key=lambda record: record.create_timestamp)]


def step_process(instance, run, step):
    """Process number of a step that has started and not ended."""
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    of_step = [event for event in events if event.step_key == f"clinic__{step}"]
    names = {event.event_type_value for event in of_step}
    if "STEP_START" not in names or names & {"STEP_SUCCESS", "STEP_FAILURE"}:
        return None
    found = [getattr(event.event_specific_data, "metadata", {}).get("pid") for event in of_step]
    return next((int(str(pid.value)) for pid in found if pid is not None), None)


def worker_process(instance, run):
    return int((Path(instance.root_directory) / "workers" / run.run_id).read_text())


def ended(instance, count):
    """The runs, once so many have ended and none is on its way."""
    found = runs(instance)
    return found if len(found) == count and all(run.status in DONE for run in found) else None


def test_a_run_whose_worker_and_then_whose_step_is_killed_ends_as_one_walk(daemon):
    place, instance = daemon
    first = await_that(lambda: next(iter(runs(instance)), None), "run")
    await_that(lambda: step_process(instance, first, "profile"), "profile")
    os.kill(worker_process(instance, first), signal.SIGKILL)
    second = await_that(lambda: next(iter(runs(instance)[1:]), None), "retry of the killed run")
    assert second.root_run_id == first.run_id
    pid = await_that(lambda: step_process(instance, second, "generator"), "generator")
    os.kill(pid, signal.SIGKILL)
    found = await_that(lambda: ended(instance, 3), "end of the second retry")
    assert [run.status.value for run in found] == ["FAILURE", "FAILURE", "SUCCESS"]
    left = Left.at(place)
    assert left.releases == 1
    assert left.ledger == {"reserve": 1, "read": 2, "commit": 1}
    assert (left.reserved_epsilon, left.faults, left.journals) == (0, (), 0)


def test_a_refused_run_is_not_started_again(daemon):
    place, instance = daemon
    await_that(lambda: ended(instance, 1), "first walk")
    place.put("second", clinic_rows(150, seed=2).assign(ward="Z"))
    found = await_that(lambda: ended(instance, 2), "second walk")
    time.sleep(15)
    assert [run.status.value for run in runs(instance)] == ["SUCCESS", "FAILURE"]
    assert found[1].tags[FINAL_TAG] == "0"
    assert open_ledger(place.home.ledger).account("clinic").reserved_epsilon == 0
