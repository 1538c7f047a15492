"""How long a look at a source takes, and how much memory: many objects under an S3 prefix, or many files in a folder.

    python -m benchmarks.arrivals --objects 10000 --ticks 30

The server is moto's, in a process of its own; every figure is of the process that looks. A real store answers a page of 1,000 keys in
some 100 ms, moto in about a second, so the seconds here are mostly the server's; CPU-seconds are of this process alone.
"""

import argparse
import gc
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synth_pipeline.integrations.sources import SnapshotSource
from synth_pipeline.integrations.sources.folder import FolderSource
from synth_pipeline.integrations.sources.news import Position, Watched, watch
from synth_pipeline.integrations.sources.s3 import S3Source
from synth_pipeline.integrations.stores import Home

BUCKET, PREFIX = "lake", "in"
_SERVER = """
import sys
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
backend.create_bucket("lake", "us-east-1")
for number in range(int(sys.argv[1])):
    backend.put_object("lake", f"in/2026/part-{number:06}.parquet", b"x")
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
for line in sys.stdin:
    backend.put_object("lake", line.strip(), b"y")
    print("put", flush=True)
server.stop()
"""


def main() -> None:
    """Measure and print one JSON object."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--objects", type=int, default=10_000)
    reader.add_argument("--ticks", type=int, default=30, help="idle looks, after the backlog was given out")
    reader.add_argument("--source", choices=sorted(SOURCES), action="append", help="default: both")
    chosen = reader.parse_args()
    found: dict[str, Any] = {"objects": chosen.objects, "ticks": chosen.ticks, "load": os.getloadavg()[0]}
    for name in chosen.source or sorted(SOURCES):
        with SOURCES[name](chosen.objects) as (make, add):
            found[name] = measure(make, add, idle=chosen.ticks)
    print(json.dumps(found, indent=1))


def measure(make: Callable[[Home], SnapshotSource], add: Callable[[str], None], *, idle: int) -> dict[str, Any]:
    """Seconds and memory of looks: the first, those that give out a backlog, idle ones, and one that finds one object more."""
    folder = Path(tempfile.mkdtemp())
    try:
        home = Home.at(folder)
        watched = Watched(make(home), home, "d", lambda _: None)
        start = time.perf_counter()
        count = sum(1 for _ in watched.source.look())
        figures: dict[str, Any] = {"listed": count, "bare_listing_seconds": round(time.perf_counter() - start, 3)}
        position, first = timed(watched, Position())
        figures["first_look"] = first
        tracemalloc.start()
        position, second = timed(watched, position)
        figures["second_look_traced_peak_mb"] = round(tracemalloc.get_traced_memory()[1] / 1e6, 1)
        tracemalloc.stop()
        figures["second_look"] = second
        print(json.dumps(figures), file=sys.stderr, flush=True)
        position, seconds = drained(watched, position, most=5_000)
        figures["backlog_looks"], figures["backlog_look_median_seconds"] = len(seconds), median(seconds)
        print(json.dumps(figures), file=sys.stderr, flush=True)
        seconds, used, resident = [], [], list[float]()
        for _ in range(idle):
            position, one = timed(watched, position)
            seconds.append(one["seconds"])
            used.append(one["cpu_seconds"])
            resident.append(resident_mb())
        figures |= {"idle_look_median_seconds": median(seconds), "idle_look_most_seconds": max(seconds)}
        figures["idle_look_median_cpu_seconds"] = median(used)
        figures |= {"resident_mb_after_idle_looks": [resident[0], resident[len(resident) // 2], resident[-1]]}
        add("late-one.parquet")
        position, one = timed(watched, position)
        position, two = timed(watched, position)
        figures["look_with_one_new"] = two if two["fresh"] else one
        figures["cursor_bytes"] = len(str(position))
        figures["peak_resident_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
        return figures
    finally:
        shutil.rmtree(folder)


def timed(watched: Watched, position: Position) -> tuple[Position, dict[str, Any]]:
    """One look at the sensor's own pace."""
    start, used = time.perf_counter(), time.process_time()
    found = watch(watched, position)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    gc.collect()
    return found.position, {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(used, 3),
        "fresh": len(found.fresh),
        "waiting": found.position.waiting,
    }


def drained(watched: Watched, position: Position, *, most: int) -> tuple[Position, list[float]]:
    """Looks until nothing waits; larger batches than a sensor's, which would take hours."""
    seconds: list[float] = []
    while position.waiting:
        start = time.perf_counter()
        position = watch(watched, position, most=most).position
        seconds.append(time.perf_counter() - start)
    return position, seconds


@contextmanager
def s3_source(objects: int) -> Generator[tuple[Callable[[Home], SnapshotSource], Callable[[str], None]]]:
    """Objects in a server of their own process."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    command = [sys.executable, "-c", _SERVER, str(objects)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdin
        assert server.stdout
        host, port = server.stdout.readline().split()

        def add(name: str) -> None:
            server.stdin.write(f"{PREFIX}/{name}\n")
            server.stdin.flush()
            server.stdout.readline()

        yield (
            lambda home: S3Source.at(
                f"s3://{BUCKET}/{PREFIX}", "**/*.parquet", key=home.make().key(), endpoint=f"http://{host}:{port}"
            ),
            add,
        )
        server.stdin.close()
        server.wait(timeout=60)


@contextmanager
def folder_source(objects: int) -> Generator[tuple[Callable[[Home], SnapshotSource], Callable[[str], None]]]:
    """As many files in a folder."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "2026").mkdir()
        for number in range(objects):
            (folder / "2026" / f"part-{number:06}.parquet").write_bytes(b"x")

        def add(name: str) -> None:
            (folder / name).write_bytes(b"y")

        yield lambda home: FolderSource(folder, "**/*.parquet", home.make().key()), add


SOURCES = {"s3": s3_source, "folder": folder_source}


def resident_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)


def median(seconds: list[float]) -> float | None:
    """Median, in seconds to a millisecond."""
    return round(statistics.median(seconds), 3) if seconds else None


if __name__ == "__main__":
    main()
