"""Parts of a running stack killed during walks and started again, and a count of what is left: `results/faults.md`; run by hand.

    python -m benchmarks.stack_faults --times 3 --parts daemon postgresql s3 --out stack.jsonl

Snapshot after snapshot is walked through one stack (PostgreSQL, S3 endpoint, MLflow, Dagster's daemon, code server and web server). At a
random moment of a walk a part and all its processes are killed; some seconds later it is started again. Then nobody does anything for as
long as the daemon has runs to start again. If no run has ended well by then, a person starts the walk once more, which is counted.
"""

import argparse
import json
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from infra.stack.processes import ServerFailed
from infra.stack.running import Stack, running_stack
from infra.stack.walk_once import ask, keys
from synth_pipeline.errors import SynthPipelineError
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.codecs import CODECS
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.dagster_example import Place, clinic_rows, make_place

_PATIENCE_SECONDS = 240.0
_REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "synth-pipeline"}
_ADD = """mutation($repo: RepositorySelector!, $partitions: String!, $key: String!) {
  addDynamicPartition(repositorySelector: $repo, partitionsDefName: $partitions, partitionKey: $key) { __typename }}"""
_LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }}"""
_RUNS = """query($key: String!) { runsOrError(filter: {tags: [{key: "dagster/partition", value: $key}]}) {
  ... on Runs { results { runId status stepStats { stepKey status } } } ... on PythonError { message } } }"""
_OVER = {"SUCCESS", "FAILURE", "CANCELED"}
_GONE = (OSError, psycopg.Error, SynthPipelineError, ServerFailed, KeyError)


@dataclass(frozen=True)
class Ended:
    """One walk during which a part was killed.

    Attributes:
        fault: the part.
        stage: how many stages were done when it was killed, and the state of the run.
        runs: how Dagster's runs of the snapshot ended, oldest first.
        started_by_hand: how often a person had to start it again.
        seconds: from the restart of the part to the end of the last run.
        releases: whole bundles of the snapshot.
        charges: reservations charged, beyond the one that the walk is to have.
        repeated_reads: stages announced twice under one reservation.
        half_written: values that do not read.
        orphans: reservations that hold back budget at the end.
        faults: of the ledger's chain.
    """

    fault: str
    stage: str
    runs: list[str]
    started_by_hand: int
    seconds: float
    releases: int
    charges: int
    repeated_reads: int
    half_written: list[str]
    orphans: int
    faults: list[str]


def _launch(stack: Stack, snapshot: str) -> None:
    web = stack.topology.web
    ask(web, _ADD, {"repo": _REPOSITORY, "partitions": "clinic_snapshots", "key": snapshot})
    tags = [{"key": "dagster/partition", "value": snapshot}]
    selector = {**_REPOSITORY, "jobName": "clinic_walk"}
    params = {"selector": selector, "mode": "default", "runConfigData": {}, "executionMetadata": {"tags": tags}}
    answer = ask(web, _LAUNCH, {"params": params})["launchRun"]
    if answer["__typename"] != "LaunchRunSuccess":
        raise RuntimeError(f"the run was refused: {answer}")


def _runs(stack: Stack, snapshot: str) -> list[dict[str, Any]]:
    """Runs of a snapshot, oldest first; none while nobody can say."""
    try:
        return ask(stack.topology.web, _RUNS, {"key": snapshot})["runsOrError"]["results"][::-1]
    except (*_GONE, Exception):  # noqa: BLE001  (the server may say anything while its database is away)
        return []


def _await(stack: Stack, snapshot: str, quiet_seconds: float) -> list[dict[str, Any]]:
    """The runs, once one ended well or none has been on its way for so long."""
    until, quiet = time.monotonic() + _PATIENCE_SECONDS, time.monotonic()
    while time.monotonic() < until:
        runs = _runs(stack, snapshot)
        if not runs or any(run["status"] not in _OVER for run in runs):
            quiet = time.monotonic()
        elif runs[-1]["status"] == "SUCCESS" or time.monotonic() > quiet + quiet_seconds:
            return runs
        time.sleep(0.5)
    return _runs(stack, snapshot)


def _done(runs: list[dict[str, Any]]) -> int:
    return sum(step["status"] == "SUCCESS" for step in runs[-1]["stepStats"]) if runs else 0


def _strike(stack: Stack, part: str, snapshot: str, chance: random.Random) -> str:
    """Kill a part some time after a random number of stages is done, and start it again; when that was."""
    wanted, until = chance.randrange(0, 7), time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        runs = _runs(stack, snapshot)
        if runs and (runs[-1]["status"] in _OVER or (runs[-1]["status"] == "STARTED" and _done(runs) >= wanted)):
            break
        time.sleep(0.1)
    time.sleep(chance.uniform(0.0, 1.5))
    runs = _runs(stack, snapshot)
    stack.kill(part)
    time.sleep(chance.uniform(1.0, 6.0))
    stack.restart(part)
    return f"{_done(runs)} stages done, {runs[-1]['status'].lower() if runs else '?'}"


def _charged(stack: Stack) -> list[Any]:
    ledger = open_ledger(stack.topology.database("ledger"))
    if not ledger.history():
        return []
    return [walk for walk in ledger.account("clinic").walks if walk.status != "released"]


def _half_written(home: Home, snapshot: str) -> list[str]:
    faults = []
    for store in (home.private, home.released):
        for name, codec in CODECS.items():
            try:
                if store.has("clinic", snapshot, name):
                    store.read(codec.load, "clinic", snapshot, name)
            except Exception as fault:  # noqa: BLE001
                faults.append(f"{name}: {type(fault).__name__}: {fault}")
    return faults


def walk(stack: Stack, place: Place, part: str, number: int, *, chance: random.Random) -> Ended:
    """A snapshot arrives and is walked while a part is killed."""
    snapshot, home, by_hand = f"s{number:03d}", Home.at(stack.topology.home), 0
    place.put(snapshot, clinic_rows(150, number))
    before, history = len(_charged(stack)), len(open_ledger(stack.topology.database("ledger")).history())
    _launch(stack, snapshot)
    stage = _strike(stack, part, snapshot, chance) if part != "none" else "none"
    began = time.monotonic()
    runs = _await(stack, snapshot, 25.0)
    while not any(run["status"] == "SUCCESS" for run in runs) and by_hand < 2:
        by_hand += 1
        _launch(stack, snapshot)
        runs = _await(stack, snapshot, 25.0)
    ledger = open_ledger(stack.topology.database("ledger"))
    read = [entry for entry in ledger.history()[history:] if entry.kind == "read"]
    reads = Counter((entry.reservation, entry.body.get("stage")) for entry in read)
    bundles = {
        key.split("/")[-2]
        for key in keys(stack, "released")
        if f"releases/clinic/{snapshot}-" in key and key.endswith("complete.json")
    }
    return Ended(
        part,
        stage,
        [run["status"] for run in runs],
        by_hand,
        time.monotonic() - began,
        len(bundles),
        len(_charged(stack)) - before - 1,
        sum(times - 1 for times in reads.values()),
        _half_written(home, snapshot),
        sum(entry.status == "reserved" for entry in ledger.account("clinic").walks),
        list(ledger.verify().faults),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["daemon", "postgresql", "s3"])
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(argv)
    chance, folder = random.Random(asked.seed), Path(tempfile.mkdtemp(prefix="stack-faults-"))
    privacy = {"epsilon": 2.0, "delta": 1e-5, "cap": {"epsilon": 1000.0, "delta": 0.01}}
    place = make_place(folder, generator={"kind": "independent"}, benchmark=None, privacy=privacy)
    with running_stack(place.home.folder.parent, own=place.own) as stack:
        os.environ.update(stack.topology.variables())
        for number, part in enumerate(["none", *asked.parts * asked.times]):
            ended = {**asdict(walk(stack, place, part, number, chance=chance)), "load": os.getloadavg()[0]}
            with asked.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(ended) + "\n")
    shutil.rmtree(stack.cluster.folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
