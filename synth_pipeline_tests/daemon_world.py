"""Small datasets under a real daemon and web server, asked over the page's own GraphQL; for journeys."""

import json
import socket
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import yaml

from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.keys import LOCATION, DatasetKeys
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.orchestration.web import web_server

CHARGED_STEPS = ("real_snapshot", "profile", "generator")
PATIENCE_SECONDS = 1200
_ATTRIBUTES = {
    "columns": {"age": {"kind": "integer", "min": 0, "max": 9}, "member": {"kind": "boolean"}},
    "privacy": {"epsilon": 2.0, "delta": 1e-5},
    "generator": {"kind": "independent"},
}
_REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}


@dataclass(frozen=True)
class World:
    """A home with declared datasets.

    Attributes:
        home: the home.
        own: folder of the declarations.
    """

    home: Home
    own: Path

    def put(self, dataset: str, name: str, *, seed: int = 0, rows: int = 400) -> Path:
        """A snapshot file; it appears whole, a moment after the one before."""
        path = self.home.folder / "in" / dataset / f"{name}.parquet"
        hidden = path.with_name(f".{path.name}")
        small_table(rows, seed).to_parquet(hidden, index=False)
        hidden.rename(path)
        return path

    @contextmanager
    def daemon(self) -> Generator["Daemon"]:
        """Daemon, code server and web server, as `synth-pipeline ui` starts them."""
        with (
            web_server(self.home.folder, port=free_port(), own=self.own) as (address, server),
            open_instance(self.home) as instance,
        ):
            yield Daemon(address, instance, server.pid)


@dataclass(frozen=True)
class Daemon:
    """A running daemon.

    Attributes:
        address: of the web server.
        instance: what it keeps its records in.
        group: id of the process group of all its processes.
    """

    address: str
    instance: dg.DagsterInstance
    group: int

    def start_sensor(self, dataset: str) -> None:
        """Switch a dataset's sensor on, as a person does on the page."""
        query = "mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename ... on PythonError { message } } }"
        answer = self.ask(query, s={"sensorName": DatasetKeys(dataset).sensor, **_REPOSITORY})
        assert answer["startSensor"]["__typename"] == "Sensor", answer

    def backfill(self, dataset: str, partitions: list[str], *, assets: tuple[str, ...] | None = None) -> str:
        """Start a backfill of a dataset's job, or of some of its assets; its id."""
        keys = DatasetKeys(dataset)
        params: dict[str, Any] = {"partitionNames": partitions}
        if assets is None:
            repository = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}
            params["selector"] = {
                "partitionSetName": f"{keys.job}_partition_set",
                "repositorySelector": repository,
            }
        else:
            params["assetSelection"] = [{"path": [dataset, asset]} for asset in assets]
        query = """mutation($p: LaunchBackfillParams!) {
          launchPartitionBackfill(backfillParams: $p) {
            __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
        answer = self.ask(query, p=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return answer["backfillId"]

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The answer to a GraphQL question."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.address}/graphql", data=body, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer = json.load(reply)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def await_ended(self, wanted: int, *, tags: dict[str, str] | None = None) -> list[dg.DagsterRun]:
        """So many ended runs, oldest first."""

        def ended() -> list[dg.DagsterRun]:
            runs = [*self.instance.get_runs(dg.RunsFilter(tags=tags or {}))][::-1]
            return runs if len(runs) >= wanted and all(run.is_finished for run in runs) else []

        return awaited(ended, f"{wanted} runs ended")

    def times(self, run: dg.DagsterRun) -> tuple[float, float]:
        """When a run started and ended."""
        stats = self.instance.get_run_stats(run.run_id)
        assert stats.start_time is not None
        assert stats.end_time is not None
        return stats.start_time, stats.end_time

    def step_times(self, run: dg.DagsterRun, step: str) -> tuple[float, float]:
        """When a step of a run started and ended."""
        (found,) = (
            (stats.start_time, stats.end_time)
            for stats in self.instance.get_run_step_stats(run.run_id)
            if stats.step_key.endswith(f"__{step}") and stats.start_time and stats.end_time
        )
        return found


def make_world(folder: Path, *datasets: str, **changes: object) -> World:
    """A fresh home with small datasets of the cheapest engine; changes replace attributes of all of them."""
    home = Home.at(folder / "home").make()
    for dataset in datasets:
        attributes = {"dataset": dataset, "source": {"uri": f"./in/{dataset}"}, **_ATTRIBUTES, **changes}
        content = {"type": "synth_pipeline.orchestration.SyntheticDataset", "attributes": attributes}
        place = folder / "own" / dataset
        place.mkdir(parents=True)
        (place / "defs.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        (home.folder / "in" / dataset).mkdir(parents=True)
    return World(home, folder / "own")


def small_table(rows: int, seed: int) -> pd.DataFrame:
    """Two columns; the second follows the first."""
    rng = np.random.default_rng(seed)
    age = rng.integers(0, 10, rows)
    return pd.DataFrame({"age": age, "member": rng.random(rows) < age / 10})


def overlaps(times: list[tuple[float, float]]) -> bool:
    """Whether any two of some stretches of time share a moment."""
    ordered = sorted(times)
    return any(first[1] > second[0] for first, second in pairwise(ordered))


def awaited(look: Callable[[], Any], what: str, *, patience_seconds: float = PATIENCE_SECONDS) -> Any:
    """What a look finds, as soon as it finds something."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {patience_seconds:.0f} s: {what}")


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
