"""One cell in a process of its own: fit, sample, time, score, write the result. `run.py` starts it; this does so by hand.

    python -m benchmarks.cell '{"dataset": "adult", "engine": "maxent", "epsilon": 1, "seed": 0, "quick": true}' RESULTS [JUDGE]

Times are CPU-seconds of this process, all threads (`getrusage`), because wall time on a shared machine says more about its other tenants.
Peak memory is that of the whole process up to the end of sampling, libraries included. The ledger is a fresh one in a temporary folder:
what is measured here is charged to nobody, so it is for public tables only.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.datasets import Tables, prepare, read_spec
from benchmarks.matrix import Cell, write_result

if TYPE_CHECKING:
    import pandas as pd

    from synth_pipeline.release.model import ReleasedModel
    from synth_pipeline.spec import Spec

CONDITIONAL_ROWS = 10_000
_KIBIBYTES_OF_A_MEGABYTE = 1000**2 / 1024


@dataclass
class Clock:
    """CPU and wall seconds of named stages."""

    cpu_seconds: dict[str, float] = field(default_factory=dict)
    wall_seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, stage: str) -> Generator[None]:
        """Time a block under a name."""
        cpu, wall = _cpu_seconds(), time.monotonic()
        yield
        self.cpu_seconds[stage] = round(_cpu_seconds() - cpu, 3)
        self.wall_seconds[stage] = round(time.monotonic() - wall, 3)


def main(argv: list[str]) -> int:
    """Measure the cell given as JSON and write its result."""
    cell, results = Cell(**json.loads(argv[0])), Path(argv[1])
    judge = Path(argv[2]) if len(argv) > 2 else None
    tag = os.environ.get("BENCH_FINGERPRINT", "")
    start = {"load_at_start": [round(value, 2) for value in os.getloadavg()], "cpus": os.cpu_count()}
    measured = measure(cell, prepare(cell.dataset), judge)
    facts = {"python": platform.python_version(), "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    write_result(
        cell.path(results), {"status": "done", "fingerprint": tag, **asdict(cell), **start, **facts, **measured}
    )
    return 0


def measure(cell: Cell, tables: Tables, judge: Path | None) -> dict[str, Any]:
    """Everything that is measured of a cell."""
    clock = Clock()
    with clock.time("import"):
        from synth_pipeline.generate.engine_registry import chosen_kind, engine_for
        from synth_pipeline.privacy.accounting import composed_epsilon
        from synth_pipeline.snapshot.read import read_table

        spec = read_spec(tables.spec, engine=cell.engine, epsilon=cell.epsilon)
        engine_for(chosen_kind(spec))
    train, holdout = (read_table(path, spec) for path in (tables.train, tables.holdout))
    model = fitted(spec, train, cell.seed, clock)
    with clock.time("sample"):
        synthetic = model.sample(len(train), seed=cell.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIBIBYTES_OF_A_MEGABYTE
    speed = {
        "fit_cpu_seconds": round(sum(clock.cpu_seconds[stage] for stage in ("snapshot", "profile", "train")), 2),
        "sample_rows_per_second": round(len(train) / max(clock.cpu_seconds["sample"], 1e-3)),
        "conditional_rows_per_second": _conditional_speed(model, train, clock),
        "peak_megabytes": round(peak),
    }
    scores, source = _scores(cell, tables, (train, holdout, synthetic), spec, judge)
    return {
        "kind": model.generator.kind,
        "spent_epsilon": composed_epsilon(model.events, spec.privacy.delta),
        "delta": spec.privacy.delta,
        "rows": len(train),
        "columns": len(train.columns),
        **speed,
        "cpu_seconds": clock.cpu_seconds,
        "wall_seconds": clock.wall_seconds,
        "scored_by": source,
        "scores": {name: round(value, 6) for name, value in scores.items()},
    }


def judge_figures(report: dict[str, Any]) -> dict[str, float]:
    """The figures of a judge's report that tables show, by flat name; what it did not measure is left out."""
    found: dict[str, float | None] = {}
    for order in (1, 2, 3):
        found[f"tvd{order}"] = _figure(report, "marginals", f"{order}way", "synth", "mean")
        found[f"ratio{order}"] = _figure(report, "marginals", f"{order}way", "ratio_to_floor")
    for name in ("k2", "k3"):
        found[name] = _figure(report, "nist", name, "synth")
    found["grouped"] = _figure(report, "nist", "grouped", "synth", "score")
    found["c2st"] = _figure(report, "c2st", "synth", "auc")
    metric = "r2" if _figure(report, "tstr", "hgb", "tstr", "r2") is not None else "auc"
    found[metric] = _figure(report, "tstr", "hgb", "tstr", metric)
    found[f"real_{metric}"] = _figure(report, "tstr", "hgb", "trtr", metric)
    found["tstr_ratio"] = _figure(report, "tstr", "hgb", "ratio", metric)
    return {name: value for name, value in found.items() if value is not None}


def own_figures(metrics: dict[str, float]) -> dict[str, float]:
    """The same figures from our own scorecard's flat metrics, as far as it has them."""
    names = {
        **{f"tvd{order}": f"tvd_{order}way" for order in (1, 2, 3)},
        "k2": "nist_k2",
        "k3": "nist_k3",
        "c2st": "c2st_auc",
        "auc": "tstr_gradient_boosting_auc",
        "real_auc": "trtr_gradient_boosting_auc",
        "r2": "tstr_gradient_boosting_r2",
    }
    return {short: metrics[name] for short, name in names.items() if name in metrics}


def fitted(spec: "Spec", train_rows: "pd.DataFrame", seed: int, clock: Clock) -> "ReleasedModel":
    """A model of all rows, charged to a ledger that is thrown away; the seed steers post-processing, the noise is fresh."""
    from synth_pipeline.generate.protocol import RuntimeConfig
    from synth_pipeline.privacy.ledger import open_ledger
    from synth_pipeline.reserve import open_walk
    from synth_pipeline.snapshot.take import take_snapshot
    from synth_pipeline.walk import profile, train

    walk_id, runtime = uuid.uuid4().hex, RuntimeConfig(seed=seed)
    with tempfile.TemporaryDirectory() as scratch:
        ledger = open_ledger(Path(scratch) / "ledger.sqlite")
        with clock.time("reserve"):
            walk = open_walk(spec, snapshot="bench", ledger=ledger, walk_id=walk_id, cohort="all")
        with clock.time("snapshot"):
            snapshot = take_snapshot(train_rows, spec, key=walk_id.encode(), holdout=False)
        with clock.time("profile"):
            profiled = profile(walk, snapshot, runtime=runtime)
        with clock.time("train"):
            return train(walk, snapshot, profiled, runtime=runtime)


def _conditional_speed(model: "ReleasedModel", train_rows: "pd.DataFrame", clock: Clock) -> int | None:
    """Rows a second under `column = commonest category`, for the first declared category column; None where it is refused."""
    from synth_pipeline.errors import SynthPipelineError
    from synth_pipeline.table.column import CategoricalColumn

    names = [name for name, column in model.columns.items() if isinstance(column, CategoricalColumn)]
    rows = min(CONDITIONAL_ROWS, len(train_rows))
    if not names:
        return None
    value = str(train_rows[names[0]].mode().iloc[0]).replace("'", "''")
    try:
        with clock.time("conditional"):
            model.sample(rows, where=f"\"{names[0]}\" = '{value}'", seed=0)
    except SynthPipelineError:
        return None
    return round(rows / max(clock.cpu_seconds["conditional"], 1e-3))


def _scores(
    cell: Cell,
    tables: Tables,
    frames: "tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]",
    spec: "Spec",
    judge: Path | None,
) -> tuple[dict[str, float], str]:
    """The figures, and who measured them: the judge where it is there and knows the table, else our own scorecard."""
    if judge is None or tables.meta is None:
        from synth_pipeline.benchmark.measure import score
        from synth_pipeline.benchmark.summary import flat_metrics

        return own_figures(flat_metrics(score(*frames, spec, quick=cell.quick))), "synth_pipeline.benchmark"
    with tempfile.TemporaryDirectory() as scratch:
        table, report = Path(scratch) / "synthetic.parquet", Path(scratch) / "score.json"
        frames[2].to_parquet(table, index=False)
        files = {"real": tables.train, "holdout": tables.holdout, "meta": tables.meta, "synth": table, "json": report}
        options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
        options += ["--quiet", "--skip", ",".join(tables.skip), *(["--quick"] if cell.quick else [])]
        done = subprocess.run([sys.executable, str(judge), *options], check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the judge ended with exit code {done.returncode}: {done.stderr.strip()[-300:]}")
        content = json.loads(report.read_text(encoding="utf-8"))
    return judge_figures(content), f"judge {content.get('judge', '')}".strip()


def _figure(content: Any, *path: str) -> float | None:
    for part in path:
        content = content.get(part) if isinstance(content, dict) else None
    return float(content) if isinstance(content, int | float) else None


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
