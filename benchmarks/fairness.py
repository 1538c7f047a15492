"""What a classifier trained on real, synthetic and rebalanced rows does to groups, and to the rarest class.

    python -m benchmarks.fairness run --datasets adult credit_default --repeats 3 > results.jsonl
    python -m benchmarks.fairness table results.jsonl > benchmarks/results/fairness.md

Each repeat fits the model anew, with fresh noise (the seed steers post-processing alone), draws as many rows as the real table has, and the
same number with equal shares of every cell of sensitive columns and target; the benchmark's gradient boosting learns from each and from the
real training rows, and is tested on the same real holdout. The ledger is a temporary one: for public tables only.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.cell import Clock, fitted
from benchmarks.datasets import prepare, read_spec

if TYPE_CHECKING:
    import pandas as pd

    from synth_pipeline.spec import Spec

EPSILON = 1.0
RESAMPLES = 500

FAIRNESS: Mapping[str, Mapping[str, Any]] = {
    "adult": {"sensitive": ["sex", "race"], "favourable": ">50K"},
    "credit_default": {"sensitive": ["SEX", "AGE"], "favourable": 1, "bins": {"AGE": [30, 45]}},
    "bank": {"sensitive": ["marital", "age"], "favourable": "yes", "bins": {"age": [30, 60]}},
}
SOURCES = ("real", "synthetic", "rebalanced")
OVERALL = ("auc", "accuracy", "selection_rate", "tpr", "fpr", "tpr_at_share", "fpr_at_share")
GAPS = (
    "demographic_parity_difference", "demographic_parity_ratio", "tpr_difference", "fpr_difference", "equalized_odds_difference",
    "demographic_parity_difference_at_share", "tpr_difference_at_share", "fpr_difference_at_share",
    "equalized_odds_difference_at_share", "auc_difference",
)  # fmt: skip
RARE = ("ap", "recall_at_argmax", "precision_at_argmax", "recall_at_share")


def specified(name: str, path: Path, engine: str) -> "Spec":
    """The dataset's specification with its sensitive columns."""
    from synth_pipeline.spec import Spec

    content = read_spec(path, engine=engine, epsilon=EPSILON).model_dump(mode="json", by_alias=True)
    return Spec.from_mapping({**content, "fairness": FAIRNESS[name]}, where=name)


def measured(name: str, repeat: int, engine: str) -> dict[str, Any]:
    """One fit, and what is learned from its rows."""
    from synth_pipeline.release.balanced import balanced_shares
    from synth_pipeline.snapshot.read import read_table

    tables, clock = prepare(name), Clock()
    spec = specified(name, tables.spec, engine)
    train, holdout = (read_table(path, spec) for path in (tables.train, tables.holdout))
    start = {"load_at_start": [round(value, 2) for value in os.getloadavg()]}
    model = fitted(spec, train, repeat, clock)
    with clock.time("sample"):
        synthetic = model.sample(len(train), seed=repeat)
    shares = balanced_shares(spec, model.columns, synthetic)
    with clock.time("rebalance"):
        rebalanced = model.rebalance(len(train), shares=shares, seed=repeat)
    with clock.time("score"):
        scores = scored(spec, (train, holdout, synthetic, rebalanced))
    return {
        "dataset": name,
        "repeat": repeat,
        "epsilon": EPSILON,
        "kind": model.generator.kind,
        "rows": len(train),
        "holdout_rows": len(holdout),
        "cells": len(shares),
        "cpu_seconds": clock.cpu_seconds,
        **start,
        **scores,
    }


def scored(
    spec: "Spec", frames: "tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]"
) -> dict[str, dict[str, Any]]:
    """Fairness and rarest class, as in a scorecard."""
    from synth_pipeline.benchmark.fairness import measure_fairness
    from synth_pipeline.benchmark.holdout_prediction import predict_holdout
    from synth_pipeline.benchmark.rare_class import measure_rare_class
    from synth_pipeline.benchmark.scored_table import read_tables

    train, holdout, synthetic, rebalanced = frames
    tables = read_tables(train, holdout, synthetic, spec, rebalanced=rebalanced)
    if spec.benchmark is None or spec.fairness is None:
        raise SystemExit(f"{spec.dataset}: no target or no sensitive columns")
    predicted = predict_holdout(tables, spec.benchmark, seed=0, quick=False, progress=lambda _: None)
    people = np.arange(len(predicted.labelled.holdout.places))
    rare = measure_rare_class(predicted, people, seed=0, resamples=RESAMPLES)
    fair = measure_fairness(predicted, tables, spec.fairness, people, seed=0, resamples=RESAMPLES)
    return {"fairness": fair.model_dump(mode="json"), "rare_class": rare.model_dump(mode="json") if rare else {}}


def table(runs: list[dict[str, Any]]) -> str:
    """The results as Markdown: a section a dataset."""
    lines: list[str] = []
    for name in dict.fromkeys(run["dataset"] for run in runs):
        lines += _section(name, [run for run in runs if run["dataset"] == name])
    return "\n".join(lines)


def _section(name: str, runs: list[dict[str, Any]]) -> Iterable[str]:
    first, fairness = runs[0], [run["fairness"] for run in runs]
    yield f"## {name}: {', '.join(FAIRNESS[name]['sensitive'])}; target {fairness[0]['target']}\n"
    yield (
        f"{first['rows']:,} training rows, {first['holdout_rows']:,} holdout rows, generator {first['kind']}, {len(runs)} fits,"
        f" {first['cells']} cells in the first rebalanced table; favourable: {fairness[0]['favourable']}"
        f" ({fairness[0]['favourable_share']:.1%} of train).\n"
    )
    yield "| score | real | synthetic | rebalanced |\n|---|---|---|---|"
    yield from _rows("all rows: ", OVERALL, [fair["overall"] for fair in fairness])
    yield from _rows("rarest class: ", RARE, [run["rare_class"]["scores"] for run in runs])
    for number, grouping in enumerate(fairness[0]["groupings"]):
        title = " × ".join(grouping["columns"])
        yield from _rows(f"{title}: ", GAPS, [fair["groupings"][number]["gaps"] for fair in fairness])
    yield ""
    for number, grouping in enumerate(fairness[0]["groupings"]):
        yield from _groups(number, grouping, fairness)


def _groups(number: int, grouping: dict[str, Any], fairness: list[dict[str, Any]]) -> Iterable[str]:
    """Rates of each group: selection rate, TPR and FPR of the likeliest class, TPR at an equal number of selected rows, AUC."""
    metrics = ("selection_rate", "tpr", "fpr", "tpr_at_share", "auc")
    yield f"| {' × '.join(grouping['columns'])} | holdout rows | favourable | " + " | ".join(metrics) + " |"
    yield "|---|---:|---:|" + "---|" * len(metrics)
    for place, group in enumerate(grouping["groups"]):
        cells: list[str] = []
        for metric in metrics:
            values: list[str] = []
            for source in SOURCES:
                found = [
                    fair["groupings"][number]["groups"][place]["scores"].get(source, {}).get(metric)
                    for fair in fairness
                ]
                values.append(_mean(found))
            cells.append(" / ".join(values) if any(value != "–" for value in values) else "too small")
        named = ", ".join("null" if value is None else value for value in group["group"].values())
        yield f"| {named} | {group['rows']} | {group['favourable_rows']} | " + " | ".join(cells) + " |"
    yield "\nReal / synthetic / rebalanced, means of the fits.\n"


def _rows(prefix: str, metrics: Iterable[str], scores: list[dict[str, Any]]) -> Iterable[str]:
    for metric in metrics:
        cells = [_cell([found.get(source, {}).get(metric) for found in scores]) for source in SOURCES]
        yield f"| {prefix}{metric.replace('_', ' ')} | " + " | ".join(cells) + " |"


def _cell(found: list[dict[str, float] | None]) -> str:
    """Mean of the fits, and the lowest and highest end of their intervals."""
    known = [interval for interval in found if interval]
    if not known:
        return "–"
    low, high = min(interval["low"] for interval in known), max(interval["high"] for interval in known)
    return f"{_mean(found)} [{low:.3f}, {high:.3f}]"


def _mean(found: list[dict[str, float] | None]) -> str:
    values = [interval["value"] for interval in found if interval]
    return f"{np.mean(values):.3f}" if values else "–"


def main() -> None:
    """Run repeats, one JSON line each, or print the table of such lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--datasets", nargs="+", choices=sorted(FAIRNESS), default=["adult", "credit_default"])
    run.add_argument("--repeats", type=int, default=3)
    run.add_argument("--generator", default="auto")
    commands.add_parser("table").add_argument("results", type=Path)
    asked = parser.parse_args()
    if asked.command == "table":
        lines = asked.results.read_text(encoding="utf-8").splitlines()
        print(table([json.loads(line) for line in lines]))
        return
    facts = {name: version(name) for name in ("fairlearn", "scikit-learn", "numpy", "torch")}
    facts |= {"python": platform.python_version(), "cpus": str(os.cpu_count())}
    for repeat in range(asked.repeats):
        for name in asked.datasets:
            start = time.monotonic()
            found = measured(name, repeat, asked.generator)
            print(json.dumps({**found, "wall_seconds": round(time.monotonic() - start), "versions": facts}), flush=True)
            print(f"{name} {repeat}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
