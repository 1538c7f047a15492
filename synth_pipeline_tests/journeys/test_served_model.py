"""An approved generator behind `mlflow models serve`: a real registry, a real server process, requests over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path

import mlflow
import pytest

from synth_pipeline.integrations.mlflow import register_generator, walk_run
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.privacy.gate import Released
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.walk import fit
from synth_pipeline_tests.toy_table import toy_frame, toy_spec

pytestmark = pytest.mark.slow

MLFLOW = Path(sys.executable).with_name("mlflow")
APPROVED, MOST_ROWS, PATIENCE_SECONDS = "models:/toy-generator@approved", 500, 240


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry with one generator, which the alias `approved` names."""
    place = tmp_path_factory.mktemp("registry")
    model = fit(toy_spec(), toy_frame(2000), ledger=open_ledger(place / "ledger.sqlite"))
    model.save(place / "model")
    tracking = Tracking(f"sqlite:///{place / 'mlflow.db'}", (place / "artifacts").as_uri())
    run = walk_run(tracking, dataset="toy", walk_id="walk-1", snapshot="s1")
    found = register_generator(tracking, run, spec=model.spec, folder=Released(place / "model"))
    client(tracking).set_registered_model_alias("toy-generator", "approved", found.version)
    return tracking


def client(tracking):
    return mlflow.MlflowClient(tracking.uri, tracking.uri)


def serving(tracking, place, *, port, most_rows=str(MOST_ROWS)):
    """`mlflow models serve`, in a process group of its own."""
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": tracking.uri,
        "MLFLOW_REGISTRY_URI": tracking.uri,  # this process's own may be set: MLflow keeps it in the environment
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "SYNTH_PIPELINE_MOST_ROWS_SERVED": most_rows,
        "PATH": f"{MLFLOW.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    options = ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    with (place / "server.log").open("w") as log:
        return subprocess.Popen(
            [str(MLFLOW), "models", "serve", "-m", APPROVED, *options],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end(process):
    """End the server and the worker that it started: the process group is its own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def address(registry, tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = tmp_path_factory.mktemp("server")
    process = serving(registry, place, port=port)
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process, place / "server.log")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        end(process)


def wait_for(url, process, log):
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"no server after {PATIENCE_SECONDS} s: {log.read_text()[-2000:]}")


def asked(address, *, inputs=(), **params):
    """Status and answer of a request."""
    body = json.dumps({"inputs": list(inputs), "params": params}).encode()
    request = urllib.request.Request(address, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read(), parse_constant=refused_constant)
    except urllib.error.HTTPError as fault:
        return fault.code, json.loads(fault.read())


def refused_constant(word):
    raise AssertionError(f"{word} is not JSON")


def test_every_row_meets_the_condition_and_is_plain_json(address):
    status, answer = asked(address, num_rows=300, where="age < 30 AND member AND grade <> 'high'", seed=3)
    rows = answer["predictions"]
    assert (status, len(rows)) == (200, 300)
    assert all(row["age"] < 30 and row["member"] is True and row["grade"] in ("low", "mid") for row in rows)
    assert list(rows[0]) == list(toy_frame(1).columns)
    assert all("2020-01-01" <= datetime.fromisoformat(row["visit"]).date().isoformat() <= "2025-01-01" for row in rows)
    assert any(row["income"] is None for row in rows)
    assert all(type(row["age"]) is int and type(row["income"]) in (float, type(None)) for row in rows)


def test_a_seed_repeats_the_rows_and_without_one_they_are_fresh(address):
    first, again, other = (asked(address, num_rows=20, seed=seed)[1]["predictions"] for seed in (7, 7, 8))
    assert first == again != other
    fresh = [asked(address, num_rows=20)[1]["predictions"] for _ in range(2)]
    assert fresh[0] != fresh[1]


def test_shares_of_groups_are_met_exactly(address):
    status, answer = asked(address, num_rows=50, shares='{"member": "equal"}')
    assert (status, sum(row["member"] for row in answer["predictions"])) == (200, 25)
    pairs = json.dumps([["age < 30", 0.9], ["age >= 60", 0.1]])
    ages = [row["age"] for row in asked(address, num_rows=20, shares=pairs)[1]["predictions"]]
    assert (sum(age < 30 for age in ages), sum(age >= 60 for age in ages)) == (18, 2)


@pytest.mark.parametrize(
    "inputs, params, words",
    [
        ((), {"where": "agee < 30"}, "where: no column 'agee'"),
        ((), {"where": "age <"}, "where: does not parse"),
        ((), {"where": "age < 3 AND age > 5"}, "where: no row of the declared domain"),
        ((), {"num_rows": MOST_ROWS + 1}, f"num_rows: {MOST_ROWS + 1} asked for; a request gets 1 to {MOST_ROWS} rows"),
        ((), {"num_rows": 0}, "num_rows: 0 asked for"),
        ((), {"shares": "equal"}, "shares: give JSON text"),
        ((), {"shares": '{"member": {"True": 0.7}}'}, "add up to 0.7"),
        ((), {"shares": '{"member": "equal"}', "where": "age < 30"}, "where, shares: give one of them"),
        (({"where": "age < 30"},), {}, "inputs: leave them empty"),
        ((), {"were": "age < 30"}, "params: no parameter 'were'; there are num_rows, where, shares, seed"),
    ],
    ids=lambda value: next(iter(value.values()), None) if isinstance(value, dict) and value else None,
)
def test_a_bad_request_is_answered_with_400_and_one_line(address, inputs, params, words):
    status, answer = asked(address, inputs=inputs, **params)
    assert status == 400
    assert words in answer["message"]
    assert "\n" not in answer["message"]
    told = json.dumps(answer)
    assert not any(trace in told for trace in ("Traceback", "site-packages", ".py", "stack_trace", "--where"))


def test_after_a_bad_request_the_server_goes_on(address):
    assert asked(address, where="nonsense(")[0] == 400
    assert asked(address, num_rows=2)[0] == 200


def test_a_server_does_not_start_without_an_approved_version_and_a_running_one_keeps_its_model(
    address, registry, tmp_path
):
    (version,) = client(registry).search_model_versions("name = 'toy-generator'")
    client(registry).delete_registered_model_alias("toy-generator", "approved")  # what a withdrawal does
    try:
        process = serving(registry, tmp_path, port=1)
        try:
            assert process.wait(timeout=PATIENCE_SECONDS) != 0
        finally:
            end(process)
        assert "approved not found" in (tmp_path / "server.log").read_text()
        assert asked(address, num_rows=1)[0] == 200  # it must be ended by whoever runs it: docs/serving.md
    finally:
        client(registry).set_registered_model_alias("toy-generator", "approved", version.version)
