"""From a file that arrives to a run that runs, and what sensors cost while nothing arrives, under a real daemon; run by hand.

    python -m benchmarks.latency --drops 12 --datasets 0 1 10 --idle-seconds 180

A drop is a Parquet file moved into the source folder of a dataset whose queue is empty, at a random moment between two looks of its sensor.
It is followed to the run's request (the queue has it) and to its worker (Dagster calls it started); then the run is ended, and the next
drop follows. Idle cost is CPU time of the daemon, the code server and the web server together (`/proc`, Linux), after a
minute in which everything has loaded, with so many datasets whose sensors are on; 0: one dataset, its sensor off.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import dagster as dg

from synth_pipeline.orchestration.sensors import SECONDS_BETWEEN_TICKS
from synth_pipeline_tests.daemon_world import Daemon, World, awaited, make_world

_TERMINATE = """mutation($run: String!) {
  terminateRun(runId: $run, terminatePolicy: SAFE_TERMINATE) { __typename } }"""
_UNFINISHED = dg.RunsFilter(
    statuses=[
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
)
_LOADING_SECONDS = 60.0
_TICK_SECONDS = SECONDS_BETWEEN_TICKS["file"]


@dataclass(frozen=True)
class Drop:
    """How long after a file arrived its run was so far, in seconds.

    Attributes:
        requested: a sensor had asked for it.
        running: its process had started.
    """

    requested: float
    running: float


@dataclass(frozen=True)
class Idle:
    """What waiting costs.

    Attributes:
        datasets: sensors that are on.
        cpu_seconds_per_hour: of all processes.
        processes: how many there are.
        memory_mib: their resident memory, shared pages counted in each.
    """

    datasets: int
    cpu_seconds_per_hour: float
    processes: int
    memory_mib: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drops", type=int, default=12, help="files to drop; default 12")
    parser.add_argument("--datasets", type=int, nargs="*", default=[0, 1, 10], help="numbers of datasets to idle with")
    parser.add_argument("--idle-seconds", type=float, default=180.0, help="how long to idle; default 180")
    parser.add_argument("--json", type=Path, help="write the figures here")
    asked = parser.parse_args(argv)
    load = os.getloadavg()[0]
    drops = measure_drops(asked.drops) if asked.drops else []
    idles = [measure_idle(number, asked.idle_seconds) for number in asked.datasets]
    print(f"a sensor looks every {_TICK_SECONDS} s; load at the start {load:.1f}, at the end {os.getloadavg()[0]:.1f}")
    for name in ("requested", "running") if drops else ():
        values = [getattr(drop, name) for drop in drops]
        print(
            f"{name:<9} median {statistics.median(values):5.1f} s, {min(values):.1f} to {max(values):.1f}, {len(values)} drops"
        )
    for idle in idles:
        print(
            f"{idle.datasets:>3} sensors on: {idle.cpu_seconds_per_hour:6.0f} CPU-seconds an hour,"
            f" {idle.processes} processes, {idle.memory_mib:.0f} MiB"
        )
    if asked.json:
        content = {"tick_seconds": _TICK_SECONDS, "drops": [*map(asdict, drops)], "idle": [*map(asdict, idles)]}
        asked.json.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return 0


def measure_drops(number: int) -> list[Drop]:
    """Drop so many files, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder), "drops")
        with world.daemon() as daemon:
            daemon.start_sensor("drops")
            _one_drop(world, daemon, "warm")
            found: list[Drop] = []
            for turn in range(number):
                time.sleep(random.uniform(0, _TICK_SECONDS))
                found.append(_one_drop(world, daemon, f"drop{turn:03}"))
                print(found[-1], flush=True)
            return found


def measure_idle(datasets: int, seconds: float) -> Idle:
    """Let so many sensors look at empty folders for a while."""
    names = [f"idle{number}" for number in range(max(datasets, 1))]
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder), *names)
        with world.daemon() as daemon:
            for name in names[:datasets]:
                daemon.start_sensor(name)
            time.sleep(_LOADING_SECONDS)
            before, started = _cpu_seconds(daemon.group), time.monotonic()
            time.sleep(seconds)
            used, passed = _cpu_seconds(daemon.group) - before, time.monotonic() - started
            return Idle(datasets, used / passed * 3600, len(_session(daemon.group)), _memory_mib(daemon.group))


def _one_drop(world: World, daemon: Daemon, name: str) -> Drop:
    world.put("drops", name)
    dropped = time.time()

    def partition_run() -> str | None:
        (run,) = daemon.instance.get_runs(limit=1) or [None]
        return run.run_id if run is not None and run.tags.get("dagster/partition") == name else None

    run_id = awaited(partition_run, "a run for the file")
    awaited(lambda: daemon.instance.get_run_stats(run_id).start_time, "the run's process")
    stats = daemon.instance.get_run_stats(run_id)
    daemon.ask(_TERMINATE, run=run_id)
    awaited(lambda: not daemon.instance.get_runs(_UNFINISHED), "the run's end")
    assert stats.enqueued_time is not None
    assert stats.start_time is not None
    return Drop(stats.enqueued_time - dropped, stats.start_time - dropped)


def _session(leader: int) -> list[Path]:
    """The `/proc` folders of a session's processes."""
    found: list[Path] = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = _fields(place)
            except OSError:  # it has just ended
                continue
            if int(fields[3]) == leader:
                found.append(place)
    return found


def _fields(place: Path) -> list[str]:
    """The fields of a process's `stat` after its name: state, parent, group, session and so on."""
    return (place / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _cpu_seconds(leader: int) -> float:
    """User and system time of a session, ended children of its processes included."""
    ticks = sum(sum(int(value) for value in _fields(place)[11:15]) for place in _session(leader))
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_mib(leader: int) -> float:
    pages = sum(int(_fields(place)[21]) for place in _session(leader))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    raise SystemExit(main())
