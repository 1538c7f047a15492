"""One walk through a running stack: asked for at the web server, run by the daemon; and where its results landed.

Belongs here: what a person does with the pages, over the pages' own GraphQL. Does not: starting and stopping (running).
"""

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.stack.running import Stack, client, untold
from infra.stack.topology import BUCKETS
from synth_pipeline.privacy.ledger.postgres_tables import SCHEMA

_REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "synth-pipeline"}
_ADD = """mutation($repo: RepositorySelector!, $partitions: String!, $key: String!) {
  addDynamicPartition(repositorySelector: $repo, partitionsDefName: $partitions, partitionKey: $key) { __typename }}"""
_LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }}"""
_STATUS = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status stepStats { stepKey status } } } }"""
_OVER = {"SUCCESS", "FAILURE", "CANCELED"}


class WalkFailed(Exception):
    """The walk did not end well; the message says how."""


@dataclass(frozen=True)
class Landed:
    """What lies where after a walk.

    Attributes:
        run_id: Dagster's run.
        rows: rows in tables of PostgreSQL, by what they are.
        objects: objects in buckets, by bucket.
    """

    run_id: str
    rows: dict[str, int]
    objects: dict[str, int]


def walk_once(
    stack: Stack,
    dataset: str,
    partition: str,
    *,
    tell: Callable[[str, float], None] | None = None,
    patience_seconds: float = 900.0,
) -> Landed:
    """Ask for a walk, wait until it ends, and look where everything is.

    Raises:
        WalkFailed: if it was refused, failed, or did not end in time.
    """
    say = tell or untold
    web = stack.topology.web
    names = {"repo": _REPOSITORY, "partitions": f"{dataset}_snapshots", "key": partition}
    ask(web, _ADD, names)
    selector = {**_REPOSITORY, "jobName": f"{dataset}_walk"}
    tags = [{"key": "dagster/partition", "value": partition}]
    params = {"selector": selector, "mode": "default", "runConfigData": {}, "executionMetadata": {"tags": tags}}
    answer = ask(web, _LAUNCH, {"params": params})["launchRun"]
    if answer["__typename"] != "LaunchRunSuccess":
        raise WalkFailed(f"{dataset}: the run was refused: {answer}")
    run_id = answer["run"]["runId"]
    _await(web, run_id, say, patience_seconds)
    return landed(stack, run_id)


def landed(stack: Stack, run_id: str) -> Landed:
    """Where the results of a run are."""
    count = stack.cluster.count
    rows = {
        "runs that succeeded (dagster)": count("dagster", "SELECT count(*) FROM runs WHERE status='SUCCESS'"),
        "events of runs (dagster)": count("dagster", "SELECT count(*) FROM event_logs"),
        "registered generators (mlflow)": count("mlflow", "SELECT count(*) FROM model_versions"),
        "entries of the ledger (ledger)": count("ledger", f"SELECT count(*) FROM {SCHEMA}.entry"),  # noqa: S608  (a constant of ours)
    }
    return Landed(run_id, rows, dict(Counter({name: len(keys(stack, name)) for name in BUCKETS})))


def keys(stack: Stack, bucket: str) -> list[str]:
    """The keys of a bucket, which is called by what it is for."""
    pages = client(stack.topology).get_paginator("list_objects_v2").paginate(Bucket=BUCKETS[bucket])
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def ask(web: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """An answer of Dagster's web server.

    Raises:
        WalkFailed: if the question was not understood.
    """
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{web}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310  (our own server)
        answer = json.load(response)
    if answer.get("errors"):
        raise WalkFailed(f"dagster: {answer['errors'][0].get('message')}")
    return answer["data"]


def _await(web: str, run_id: str, say: Callable[[str, float], None], patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        run = ask(web, _STATUS, {"id": run_id})["runOrError"]
        done = [step["stepKey"] for step in run["stepStats"] if step["status"] == "SUCCESS"]
        say(f"{run['status'].lower()}: {len(done)} stages done", min(len(done) / 9, 0.99))
        if run["status"] in _OVER:
            if run["status"] != "SUCCESS":
                raise WalkFailed(f"run {run_id}: {run['status'].lower()}; see {web}/runs/{run_id}")
            return
        time.sleep(1.0)
    raise WalkFailed(f"run {run_id}: not over after {patience_seconds:.0f} s; see {web}/runs/{run_id}")
