"""How well a frontier predicts the truth: scores simulated on a release at ε = 1, beside those of real fits at the same ε on real rows.

    python -m benchmarks.frontier                       # everything that is not done yet, then the tables
    python -m benchmarks.frontier --table               # the tables of what there is

On public tables only: the ledger of every walk is thrown away. Results are JSON lines, one a walk, in the scratch folder; a line that is
there is not measured again. Repeats are the outer loop, so that what is there first is one of everything. The n-th base release of a
table serves the n-th repeat of every simulated ε: the spread of what is predicted includes that of the release it is predicted from.
"""

import argparse
import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.datasets import prepare, read_spec
from benchmarks.frontier_table import tables
from benchmarks.matrix import RESULTS, SCRATCH

DATASETS = ("adult", "bank", "credit_default", "gss")
EPSILONS = (0.3, 1.0, 3.0, 10.0)
BASE_EPSILON = 1.0
ROWS = 10_000


def main(argv: list[str] | None = None) -> int:
    """Measure what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", default=",".join(DATASETS))
    parser.add_argument("--epsilons", default=",".join(f"{epsilon:g}" for epsilon in EPSILONS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--rows", type=int, default=ROWS, help="Rows of each table at most; the holdout has a quarter as many."
    )
    parser.add_argument("--scratch", type=Path, default=SCRATCH / "frontier")
    parser.add_argument("--out", type=Path, default=RESULTS / "frontier.md")
    parser.add_argument("--table", action="store_true", help="Measure nothing.")
    asked = parser.parse_args(argv)
    asked.scratch.mkdir(parents=True, exist_ok=True)
    results = asked.scratch / "walks.jsonl"
    epsilons = [float(word) for word in asked.epsilons.split(",")]
    if not asked.table:
        for repeat in range(asked.repeats):
            for name in asked.datasets.split(","):
                for line in measured(name, epsilons, repeat, rows=asked.rows, scratch=asked.scratch):
                    with results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")
                    print(name, line["what"], line["epsilon"], repeat, round(line["wall_seconds"], 1), flush=True)
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    asked.out.write_text(tables(lines), encoding="utf-8")
    return 0


def measured(name: str, epsilons: list[float], repeat: int, *, rows: int, scratch: Path) -> Iterator[dict[str, Any]]:
    """The walks of one table and repeat that are not on record yet: real ones, and those simulated on a release of it."""
    from synth_pipeline.frontier.measure import figures_of, metric_of, repeated_walk
    from synth_pipeline.frontier.released_rows import ReleasedRows, rows_from_model, simulated_spec
    from synth_pipeline.release.model import load_model
    from synth_pipeline.snapshot.read import read_table

    done = _on_record(scratch / "walks.jsonl")
    if all((name, what, epsilon, repeat) in done for what in ("truth", "predicted") for epsilon in epsilons):
        return
    files = prepare(name, scratch=scratch)
    spec = read_spec(files.spec, engine="auto", epsilon=BASE_EPSILON)
    train, holdout = (
        table if len(table) <= most else table.sample(most, random_state=0).reset_index(drop=True)
        for table, most in ((read_table(files.train, spec), rows), (read_table(files.holdout, spec), rows // 4))
    )
    real = ReleasedRows(spec.in_order(train.columns), train, holdout, len(train), "of a public table")
    folder = scratch / "bases" / f"{name}.{repeat}"
    if not folder.exists():
        base_release(real, seed=repeat).save(folder)
    model = load_model(folder)
    simulated = rows_from_model(model, rows=len(train), seed=repeat, origin="of a release at ε = 1")
    for epsilon in epsilons:
        for what, table in (("truth", real), ("predicted", simulated)):
            if (name, what, epsilon, repeat) in done:
                continue
            began, load = time.monotonic(), os.getloadavg()[0]
            card = repeated_walk(table, simulated_spec(table.spec, epsilon), seed=repeat)
            yield {
                "dataset": name,
                "what": what,
                "epsilon": epsilon,
                "repeat": repeat,
                "rows": len(table.train),
                "metric": metric_of(card),
                "load": round(load, 2),
                "wall_seconds": round(time.monotonic() - began, 2),
                "figures": {key: round(value, 6) for key, value in figures_of(card).items()},
            }


def base_release(real: Any, *, seed: int) -> Any:
    """A generator fitted to a public table at the ε from which the others are predicted."""
    from synth_pipeline.generate.protocol import RuntimeConfig
    from synth_pipeline.privacy.ledger import open_ledger
    from synth_pipeline.walk import fit

    with TemporaryDirectory() as place:
        ledger = open_ledger(Path(place) / "ledger.sqlite")
        return fit(
            real.spec, real.train.copy(), ledger=ledger, key=uuid.uuid4().bytes * 2, runtime=RuntimeConfig(seed=seed)
        )


def _on_record(results: Path) -> set[tuple[str, str, float, int]]:
    if not results.exists():
        return set()
    lines = (json.loads(line) for line in results.read_text(encoding="utf-8").splitlines())
    return {(line["dataset"], line["what"], line["epsilon"], line["repeat"]) for line in lines}


if __name__ == "__main__":
    raise SystemExit(main())
