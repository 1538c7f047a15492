"""The topology of production, as processes: a walk through it lands in PostgreSQL and S3, and nothing is left when it ends."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from infra.stack.postgres import cluster_folder
from infra.stack.processes import ServerFailed, is_taken
from infra.stack.running import client, running_stack
from infra.stack.topology import BUCKETS
from infra.stack.walk_once import WalkFailed, ask, keys, walk_once
from synth_pipeline_tests.dagster_example import MARKER_NAME, clinic_rows, make_place
from synth_pipeline_tests.postgres_server import installed_programs

ROOT = Path(__file__).parents[2]
ASSETS = {
    "private": {"real_snapshot", "tstr_benchmark", "internal_report"},
    "released": {"profile", "generator", "synthetic_table", "validation_suite", "privacy_audit", "release"},
}
_METADATA = """query($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset { assetMaterializations(limit: 1) {
  metadataEntries { label ... on TextMetadataEntry { text } ... on PathMetadataEntry { path } ... on UrlMetadataEntry { url } } } } } }"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(installed_programs() is None, reason="no PostgreSQL binaries for this platform"),
]


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A stack that walked one snapshot, still up."""
    place = make_place(tmp_path_factory.mktemp("stack"))
    place.put("visits", clinic_rows())
    with running_stack(place.home.folder.parent, own=place.own) as stack:
        yield stack, walk_once(stack, "clinic", "visits")
    shutil.rmtree(stack.cluster.folder)


def test_the_walk_is_in_postgresql_and_its_values_are_in_the_buckets_of_their_zones(walked):
    stack, landed = walked
    assert landed.rows["runs that succeeded (dagster)"] == 1
    assert landed.rows["events of runs (dagster)"] > 50
    assert landed.rows["registered generators (mlflow)"] == 1
    assert landed.rows["entries of the ledger (ledger)"] >= 2
    for zone, assets in ASSETS.items():
        pointers = {key for key in keys(stack, zone) if key.endswith("/current.json")}
        assert assets <= {key.split("/")[-2] for key in pointers}
    assert any(key.endswith("/complete.json") for key in keys(stack, "released"))
    assert any(key.startswith("dagster/") for key in keys(stack, "logs"))
    assert keys(stack, "mlflow")


def test_nothing_of_the_real_rows_left_the_private_bucket(walked):
    stack, _ = walked
    objects = client(stack.topology)
    for zone in ("released", "logs", "mlflow"):
        for key in keys(stack, zone):
            body = objects.get_object(Bucket=BUCKETS[zone], Key=key)["Body"].read()
            assert MARKER_NAME.encode() not in body, f"{zone}: {key}"
    for database in ("dagster", "mlflow", "ledger"):
        with psycopg.connect(stack.topology.database(database)) as connection:
            tables = connection.execute(
                "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
                " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
            ).fetchall()
            assert tables
            for schema, table in tables:
                held = connection.execute(
                    f'SELECT count(*) FROM "{schema}"."{table}" AS line WHERE line::text LIKE %s', (f"%{MARKER_NAME}%",)
                ).fetchone()
                assert held == (0,), f"{database}: {schema}.{table}"


def test_what_the_pages_show_leads_to_the_buckets(walked):
    stack, _ = walked
    shown = {}
    for name in ("validation_suite", "release", "tstr_benchmark"):
        answer = ask(stack.topology.web, _METADATA, {"key": {"path": ["clinic", name]}})
        (made,) = answer["assetOrError"]["assetMaterializations"]
        for entry in made["metadataEntries"]:
            shown[entry["label"]] = entry.get("text") or entry.get("path") or entry.get("url")
    assert re.fullmatch(
        rf"s3://{BUCKETS['released']}/zone/values/clinic/visits/data_docs/\S+/index\.html", shown["data_docs"]
    )
    assert re.fullmatch(rf"s3://{BUCKETS['released']}/zone/releases/clinic/\S+", shown["release"])
    assert f"s3://{BUCKETS['private']}/zone/clinic/visits/tstr_benchmark.internal/" in shown["scores"]
    for address in (shown["data_docs"],):
        bucket, _, key = address.removeprefix("s3://").partition("/")
        assert client(stack.topology).head_object(Bucket=bucket, Key=key)["ContentLength"] > 0


def test_rows_are_on_no_disk_of_the_worker(walked):
    stack, _ = walked
    left = [path for path in stack.topology.home.rglob("*") if path.is_file() and "arrivals" not in path.parts]
    assert not [path for path in left if path.suffix in (".parquet", ".npz")]
    assert not [path for path in left if MARKER_NAME.encode() in path.read_bytes()]


def test_a_partition_that_has_no_file_is_a_failed_run_and_changes_no_object(walked):
    stack, _ = walked
    before = {zone: set(keys(stack, zone)) for zone in ("private", "released")}
    with pytest.raises(WalkFailed, match="failure"):
        walk_once(stack, "clinic", "not_there")
    new = set(keys(stack, "released")) - before["released"]
    assert not [key for key in new if "not_there" in key]


def test_postgresql_and_the_endpoint_come_back_with_what_they_held(walked):
    stack, landed = walked
    before = {zone: keys(stack, zone) for zone in BUCKETS}
    events = stack.cluster.count("dagster", "SELECT count(*) FROM runs WHERE status='SUCCESS'")
    for name in ("s3", "postgresql"):
        stack.kill(name)
        stack.restart(name)
    assert (
        eventually(lambda: stack.cluster.count("dagster", "SELECT count(*) FROM runs WHERE status='SUCCESS'")) == events
    )
    assert {zone: set(keys(stack, zone)) >= set(before[zone]) for zone in BUCKETS} == dict.fromkeys(BUCKETS, True)
    answer = eventually(lambda: ask(stack.topology.web, _METADATA, {"key": {"path": ["clinic", "release"]}}))
    assert answer["assetOrError"]["assetMaterializations"]
    assert landed.run_id


def eventually(look, *, patience_seconds=60):
    """What a look finds once it finds anything: a server that was started again recovers first."""
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return look()
        except (ServerFailed, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stack_that_is_told_to_stop_leaves_no_process_and_no_port(tmp_path, number):
    command = [
        sys.executable,
        "-m",
        "infra.stack",
        "--home",
        str(tmp_path / "stack"),
        "--port",
        "0",
        "--mlflow-port",
        "0",
    ]
    environment = {**os.environ, "COLUMNS": "200"}
    stack = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    text = ""
    try:
        for line in stack.stdout:
            text += line
            if "Ctrl-C" in line:
                break
        assert "the stack is up" in text
        started = [int(word) for word in re.findall(r"│ (\d+) +│$", text, re.MULTILINE)]
        ports = [int(word) for word in re.findall(r"127\.0\.0\.1:(\d+)", text)]
        assert len(started) == 6
        assert all(is_taken(port) for port in ports)
        stack.send_signal(number)
        assert stack.wait(timeout=120) == 0
    finally:
        stack.kill()
        stack.wait()
        shutil.rmtree(cluster_folder(tmp_path / "stack" / "postgres"), ignore_errors=True)
    assert not [process for process in started if Path(f"/proc/{process}").exists()]
    assert not [port for port in ports if is_taken(port)]
    assert "stopped" in stack.stdout.read()
