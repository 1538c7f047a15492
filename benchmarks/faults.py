"""Faults injected into whole walks, and a count of what is left: `results/faults.md`; run by hand, on Linux.

    python -m benchmarks.faults kill --walks 20 --drift --out kills.jsonl
    python -m benchmarks.faults full --walks 10 --out full.jsonl        # needs the right to mount a tmpfs
    python -m benchmarks.faults denied --walks 10 --out denied.jsonl    # as root: the walk runs as another user

One home, snapshot after snapshot. A walk runs in a process of its own and tells when a stage begins. Then, after a random time within what
the stage takes, its process is killed from outside (`kill`), the file system of its whole home, ledger and Dagster's records included, is
filled up (`full`), or its stores may no longer be written (`denied`). It is started again, for another fault or, the last time, for none.
After every end everything stored is read; after the last one the books are.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from benchmarks.fault_walks import stage_under_way, start_walk
from synth_pipeline.orchestration import launch
from synth_pipeline.orchestration.codecs import CODECS
from synth_pipeline.orchestration.retries import journals_of
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.verify import verify_digests
from synth_pipeline_tests.dagster_example import Place, clinic_rows, make_place

_STAGES = (
    "real_snapshot",
    "drift_report",
    "profile",
    "generator",
    "synthetic_table",
    "release",
    "privacy_audit",
    "validation_suite",
)
_FAULTS_OF_A_WALK = (
    3  # a walk is gone on with three times; then, by design, a new one is opened (orchestration.unfinished)
)
_TMPFS_MIB = 64
_DRIFTING = {
    "columns": {
        "age": {"kind": "integer", "min": 0, "max": 99},
        "ward": {"kind": "categorical", "categories": ["A", "B", "C"]},
        "insured": {"kind": "boolean"},
    },
    "constraints": [],
    "generator": {"kind": "maxent"},
    "drift": {"epsilon": 0.5, "on_drift": "refresh", "alpha": 1e-6, "pairs": 2},
}


@dataclass(frozen=True)
class Ended:
    """One walk, from its first start to its end.

    Attributes:
        fault: what was injected.
        drift: whether the dataset asks for drift reports.
        stages: which stage was under way at each injection ("between": none was).
        last: how the last start ended.
        releases: whole bundles of the snapshot.
        charges: reservations that this walk was charged for, beyond the one (with a refresh: two) that it is to have.
        repeated_reads: stages announced twice under one reservation.
        half_written: values and bundles in their places that do not read.
        orphans: reservations that hold back budget at the end.
        journals: answer journals that are left.
        leftovers: hidden drafts, which a later write removes once they are a day old.
        faults: of the ledger's chain.
        said: how the starts with a fault ended, where they were not killed.
    """

    fault: str
    drift: bool
    stages: list[str]
    last: str
    releases: int
    charges: int
    repeated_reads: int
    half_written: list[str]
    orphans: int
    journals: int
    leftovers: int
    faults: list[str]
    said: list[str]


def _half_written(place: Place, snapshot: str) -> Iterator[str]:
    for store in (place.home.private, place.home.released):
        for name, codec in CODECS.items():
            folder = store.root / "clinic" / snapshot / name
            if folder.is_dir():
                try:
                    json.loads((folder / "origin.json").read_text())
                    codec.load(folder)
                except Exception as fault:  # noqa: BLE001
                    yield f"{name}: {type(fault).__name__}: {fault}"
    for bundle in _bundles(place, snapshot):
        yield from (f"{bundle.name}: {fault}" for fault in verify_digests(bundle))


def _bundles(place: Place, snapshot: str) -> list[Path]:
    folder = place.home.releases / "clinic"
    return sorted(folder.glob(f"{snapshot}-*")) if folder.is_dir() else []


class Injector:
    """One home and the faults of one kind that walks in it meet."""

    def __init__(self, fault: str, folder: Path, *, drift: bool, seed: int) -> None:
        changes = _DRIFTING if drift else {"generator": {"kind": "independent"}}
        privacy = {"epsilon": 2.0, "delta": 1e-5, "cap": {"epsilon": 1000.0, "delta": 0.01}}
        self.place = make_place(folder, benchmark=None, privacy=privacy, **changes)
        self.fault, self.drift, self.random = fault, drift, random.Random(seed)
        self.seconds: dict[str, float] = {}
        self.number = 0

    def rows(self) -> pd.DataFrame:
        """A snapshot; with drift, one that differs from the one before."""
        frame = clinic_rows(2000 if self.drift else 150, self.number)
        if not self.drift:
            return frame
        if self.number % 2:
            frame.loc[:1000, "ward"] = "C"
        return frame.loc[:, ["age", "ward", "insured"]]

    def walk(self, stages: Sequence[str]) -> Ended:
        """A snapshot arrives and is walked, with a fault in each of some stages, in their order."""
        self.number += 1
        snapshot, met, half, said = f"s{self.number:03d}", [], [], []
        before = len(self._charged()), len(open_ledger(self.place.home.ledger).history())
        self.place.put(snapshot, self.rows())
        last = "not ended"
        for stage in [*stages, None]:
            if stage is None:
                last = start_walk(self.place, None, self.fault, lambda _: None)
                break
            seconds = self.random.uniform(0.0, 1.4 * self.seconds.get(stage, 1.0))
            with self._striking(seconds, snapshot) as strike:
                ended = start_walk(self.place, stage, self.fault, strike)
            half += _half_written(self.place, snapshot)
            if ended == "done":
                last = ended
                break
            met.append(stage_under_way(self.place) if ended == "killed" else stage)
            if met[-1] == "over":
                last = "done"
                break
            if ended != "killed":
                said.append(ended.splitlines()[0][:200])
        if last != "done":
            print(last, flush=True)
        self._measure()
        return self._ended(snapshot, met, last, before, half, said)

    def _ended(
        self, snapshot: str, met: list[str], last: str, before: tuple[int, int], half: list[str], said: list[str]
    ) -> Ended:
        ledger = open_ledger(self.place.home.ledger)
        reads = Counter(
            (entry.reservation, entry.body.get("stage"))
            for entry in ledger.history()[before[1] :]
            if entry.kind == "read"
        )
        expected = 2 if self.drift and self.number > 1 else 1
        home = self.place.home
        hidden = [
            path
            for folder in (home.private.root, home.released.root, home.releases)
            for path in folder.rglob(".*.draft.*")
        ]
        return Ended(
            self.fault, self.drift, met, last,
            releases=len(_bundles(self.place, snapshot)),
            charges=len(self._charged()) - before[0] - expected,
            repeated_reads=sum(times - 1 for times in reads.values()),
            half_written=[*half, *_half_written(self.place, snapshot)],
            orphans=sum(walk.status == "reserved" for walk in ledger.account("clinic").walks),
            journals=len(list(journals_of(home).rglob("*.journal"))),
            leftovers=len(hidden),
            faults=list(ledger.verify().faults),
            said=said,
        )  # fmt: skip

    def _charged(self) -> list[object]:
        ledger = open_ledger(self.place.home.ledger)
        if not ledger.history():
            return []
        return [walk for walk in ledger.account("clinic").walks if walk.status != "released"]

    def _measure(self) -> None:
        """The least that each stage took on this machine."""
        with launch.open_instance(self.place.home) as instance:
            for step in instance.get_run_step_stats(instance.get_runs(limit=1)[0].run_id):
                if step.start_time and step.end_time:
                    name, took = step.step_key.split("__")[-1], step.end_time - step.start_time
                    self.seconds[name] = min(took, self.seconds.get(name, took))

    @contextmanager
    def _striking(self, seconds: float, snapshot: str) -> Generator[Callable[[int], None]]:
        home = self.place.home
        stores = [store.root / "clinic" / snapshot for store in (home.private, home.released)]
        zones = self.random.sample([*stores, home.releases / "clinic", journals_of(home) / "clinic"], 2)
        ballast = home.folder / "ballast"

        def strike(process: int) -> None:
            time.sleep(seconds)
            match self.fault:
                case "kill":
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                case "full":
                    left = os.statvfs(home.folder)
                    with ballast.open("wb") as file, suppress(OSError):
                        os.posix_fallocate(
                            file.fileno(),
                            0,
                            max(left.f_bavail * left.f_frsize - self.random.randrange(0, 24) * 4096, 1),
                        )
                case _:
                    for zone in zones:
                        zone.mkdir(parents=True, exist_ok=True)
                        for folder in (zone, *(path for path in zone.rglob("*") if path.is_dir())):
                            folder.chmod(0o555)

        try:
            yield strike
        finally:
            ballast.unlink(missing_ok=True)
            for zone in zones if self.fault == "denied" else ():
                for folder in (zone, *(path for path in zone.rglob("*") if path.is_dir())) if zone.exists() else ():
                    folder.chmod(0o700)


@contextmanager
def _folder(fault: str) -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if fault == "full":
            options = f"size={_TMPFS_MIB}m,mode=755"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", name], check=True)
        try:
            yield folder
        finally:
            if fault == "full":
                subprocess.run(["umount", name], check=True)


def inject(fault: str, *, walks: int, drift: bool, seed: int, out: Path, stages: Sequence[str] | None) -> None:
    """Walk after walk, each with faults; one line of JSON each."""
    with _folder(fault) as folder:
        injector = Injector(fault, folder, drift=drift, seed=seed)
        injector.walk([])
        injector.walk([])
        stages = stages or [stage for stage in _STAGES if drift or stage != "drift_report"]
        order = {
            stage: place for place, stage in enumerate((*_STAGES[:5], "privacy_audit", "validation_suite", "release"))
        }
        queue: list[str] = []
        for _ in range(walks):
            while len(queue) < _FAULTS_OF_A_WALK:
                queue += injector.random.sample(stages, len(stages))
            chosen = sorted((queue.pop(0) for _ in range(_FAULTS_OF_A_WALK)), key=lambda stage: order[stage])
            ended = {**asdict(injector.walk(chosen)), "load": os.getloadavg()[0]}
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(ended) + "\n")


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fault", choices=["kill", "full", "denied"])
    parser.add_argument("--walks", type=int, default=10)
    parser.add_argument("--drift", action="store_true")
    parser.add_argument("--stages", nargs="+", help="stages to inject into, in equal shares; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(argv)
    inject(asked.fault, walks=asked.walks, drift=asked.drift, seed=asked.seed, out=asked.out, stages=asked.stages)


if __name__ == "__main__":
    main()
