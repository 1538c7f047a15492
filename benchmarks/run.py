"""Speed and quality of one walk without Dagster, measured and printed; run by hand or by `make bench`.

    python benchmarks/run.py                                    the demo's newest snapshot
    python benchmarks/run.py --spec S --folder D                a folder with train.parquet and holdout.parquet (and meta.json)
    python benchmarks/run.py --spec S --folder D --generator autoregressive --epsilon 3 --repeats 3 --json out.json

Times are CPU-seconds of this process (all threads), because wall time on a shared machine says more about its other tenants; the load
of the machine is printed beside them. Where an independent judge lies at `../shared/bench/score.py`, it scores the table as well.
The ledger is a fresh one in a temporary folder: what is measured here is charged to nobody, so use public tables only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before torch is loaded: two threads on a busy machine are slower than one

if TYPE_CHECKING:
    import pandas as pd

    from synth_pipeline.release.model import ReleasedModel
    from synth_pipeline.spec import Spec

ROOT = Path(__file__).resolve().parents[1]
JUDGE = ROOT.parent / "shared" / "bench" / "score.py"
HOLDOUT = 0.2


@dataclass
class Clock:
    """CPU and wall seconds of named stages."""

    cpu_seconds: dict[str, float] = field(default_factory=dict)
    wall_seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, stage: str) -> Generator[None]:
        """Time a block under a name."""
        cpu, wall = time.process_time(), time.monotonic()
        yield
        self.cpu_seconds[stage] = time.process_time() - cpu
        self.wall_seconds[stage] = time.monotonic() - wall


@dataclass(frozen=True)
class Tables:
    """What is fitted and scored against."""

    spec: "Spec"
    train: "pd.DataFrame"
    holdout: "pd.DataFrame"
    folder: Path | None


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write what was asked for."""
    asked = _arguments(argv)
    tables = _tables(asked)
    runs = [_one_run(asked, tables) for _ in range(asked.repeats)]
    if asked.json:
        asked.json.write_text(json.dumps(runs, indent=1), encoding="utf-8")
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", type=Path, help="spec file; default: the demo's")
    parser.add_argument(
        "--folder", type=Path, help="folder with train.parquet and holdout.parquet; default: the demo's table"
    )
    parser.add_argument("--generator", help="kind of generator, in place of the spec's")
    parser.add_argument("--epsilon", type=float, help="ε, in place of the spec's")
    parser.add_argument("--rows", type=int, help="synthetic rows; default: as many as train has")
    parser.add_argument("--repeats", type=int, default=1, help="fits, each with fresh noise")
    parser.add_argument("--quick", action="store_true", help="the quick scorecard")
    parser.add_argument("--judge", type=Path, default=JUDGE, help="independent scorer, used where it exists")
    parser.add_argument("--json", type=Path, help="file for everything that was measured")
    asked = parser.parse_args(argv)
    if (asked.spec is None) != (asked.folder is None):
        parser.error("--spec and --folder go together; leave both out for the demo's table")
    return asked


def _tables(asked: argparse.Namespace) -> Tables:
    from synth_pipeline.snapshot.read import read_table
    from synth_pipeline.spec import Spec

    spec = Spec.from_yaml(asked.spec or ROOT / "synth_pipeline" / "defs" / "gss" / "defs.yaml")
    spec = spec.with_generator(asked.generator) if asked.generator else spec
    spec = spec.with_privacy(epsilon=asked.epsilon) if asked.epsilon else spec
    if asked.folder is not None:
        train, holdout = (read_table(asked.folder / f"{part}.parquet", spec) for part in ("train", "holdout"))
        return Tables(spec, train, holdout, asked.folder)
    from synth_pipeline.integrations.demo_data import SNAPSHOT_YEARS, read_gss

    first, last = SNAPSHOT_YEARS[-1]
    table = read_gss()
    newest = table[table["year"].between(first, last)].sample(frac=1.0, random_state=0).reset_index(drop=True)
    cut = int(len(newest) * HOLDOUT)
    return Tables(spec, newest[cut:].reset_index(drop=True), newest[:cut].reset_index(drop=True), None)


def _one_run(asked: argparse.Namespace, tables: Tables) -> dict[str, Any]:
    from synth_pipeline.benchmark.measure import score
    from synth_pipeline.benchmark.summary import flat_metrics, summary_lines
    from synth_pipeline.privacy.accounting import composed_epsilon

    clock, load = Clock(), os.getloadavg()
    model = _fitted(tables, clock)
    with clock.time("sample"):
        synthetic = model.sample(asked.rows or len(tables.train))
    with clock.time("score"):
        card = score(tables.train, tables.holdout, synthetic, tables.spec, quick=asked.quick)
    spent = composed_epsilon(model.events, tables.spec.privacy.delta)
    print(f"\n{tables.spec.dataset}: {model.generator.kind}, ε = {spent:.6g} at δ = {tables.spec.privacy.delta:g}")
    print(
        f"{len(tables.train):,} rows × {len(tables.train.columns)} columns; {os.cpu_count()} CPUs, load {load[0]:.1f} before"
    )
    for stage, seconds in clock.cpu_seconds.items():
        print(f"  {stage:<10} {seconds:8.2f} CPU-s {clock.wall_seconds[stage]:8.2f} s of wall time")
    for name, value, reading in summary_lines(card):
        print(f"  {name:<28} {value:<28} {reading}")
    judged = _judged(asked, tables, synthetic)
    return {
        "dataset": tables.spec.dataset,
        "generator": model.generator.kind,
        "epsilon": spent,
        "cpu_seconds": clock.cpu_seconds,
        "wall_seconds": clock.wall_seconds,
        "load_before": load,
        "scores": flat_metrics(card),
        "judge": judged,
    }


def _fitted(tables: Tables, clock: Clock) -> "ReleasedModel":
    with clock.time("import"):
        from synth_pipeline.generate.engine_registry import chosen_kind, engine_for
        from synth_pipeline.privacy.ledger import open_ledger
        from synth_pipeline.snapshot.take import take_snapshot
        from synth_pipeline.walk import open_walk, profile, train

        engine_for(chosen_kind(tables.spec))
    walk_id = uuid.uuid4().hex
    with tempfile.TemporaryDirectory() as scratch:
        ledger = open_ledger(Path(scratch) / "ledger.sqlite")
        with clock.time("reserve"):
            walk = open_walk(tables.spec, snapshot="bench", ledger=ledger, walk_id=walk_id, cohort="all")
        with clock.time("snapshot"):
            snapshot = take_snapshot(tables.train, tables.spec, key=walk_id.encode(), holdout=False)
        with clock.time("profile"):
            profiled = profile(walk, snapshot)
        with clock.time("train"):
            return train(walk, snapshot, profiled)


def _judged(asked: argparse.Namespace, tables: Tables, synthetic: "pd.DataFrame") -> dict[str, Any] | None:
    """What the independent judge says, where there is one and it knows the table."""
    if tables.folder is None or not asked.judge.exists() or not (tables.folder / "meta.json").exists():
        return None
    with tempfile.TemporaryDirectory() as scratch:
        table, report = Path(scratch) / "synthetic.parquet", Path(scratch) / "score.json"
        synthetic.to_parquet(table, index=False)
        inputs = {"real": "train.parquet", "holdout": "holdout.parquet", "meta": "meta.json"}
        options = [part for name, file in inputs.items() for part in (f"--{name}", str(tables.folder / file))]
        options += ["--synth", str(table), "--json", str(report), "--quiet", "--skip", "privacy"]
        done = subprocess.run(
            [sys.executable, str(asked.judge), *options, *(["--quick"] if asked.quick else [])], check=False
        )
        if done.returncode:
            print(f"  the judge at {asked.judge} ended with exit code {done.returncode}")
            return None
        content: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    marginals = {order: content["marginals"][order]["synth"]["mean"] for order in ("1way", "2way", "3way")}
    print(f"  judge: TVD {' / '.join(f'{value:.4f}' for value in marginals.values())}", end="")
    print(f"; C2ST {_figure(content, 'c2st', 'synth', 'auc')}; TSTR {_figure(content, 'tstr', 'hgb', 'tstr', 'auc')}")
    return content


def _figure(content: Any, *path: str) -> str:
    for part in path:
        content = content.get(part) if isinstance(content, dict) else None
    return f"{content:.4f}" if isinstance(content, float) else "not measured"


if __name__ == "__main__":
    raise SystemExit(main())
