"""Refresh against refit: an earlier release, a fresh snapshot, and what each way to answer it is worth.

    python -m benchmarks.refresh                                        every case that is here, ε = 1 and 0.5, two repeats
    python -m benchmarks.refresh --cases adult-same --epsilons 1 --seeds 0 --engine maxent

`reuse` samples the earlier generator, `refit SHARE` trains anew at that share of ε, `refresh SHARE` starts from the earlier release. Which
columns changed is decided from noisy one-ways at the ε of a drift report, which is a part of ε. Distances are to fresh people who were
trained on, and to fresh people of the same snapshot who were not (three in ten, held out): the latter say how near a way comes
to the population, in which an earlier sample counts for as much as a fresh one. Predictions are of held-out rows.
"""

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from benchmarks.datasets import MissingTableError, prepare, read_spec
from benchmarks.matrix import RESULTS
from synth_pipeline.benchmark.binning import fit_binning
from synth_pipeline.benchmark.feature import fit_coding
from synth_pipeline.benchmark.learner import LearnerConfig, predict
from synth_pipeline.benchmark.marginal_distance import BinnedTables, Marginal, bin_tables
from synth_pipeline.benchmark.prediction_metric import class_predictions
from synth_pipeline.benchmark.scored_table import ScoredTables, read_tables
from synth_pipeline.benchmark.target import Labelled, label_tables
from synth_pipeline.constrain.rules import Rules
from synth_pipeline.generate.engine_registry import chosen_kind, engine_for
from synth_pipeline.generate.maxent.sharpen import sharpened
from synth_pipeline.generate.measured import MeasuredPair
from synth_pipeline.generate.plan import make_plan
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.person import profiled_columns
from synth_pipeline.profile.recount import count_again
from synth_pipeline.profile.refresh import refresh_profile
from synth_pipeline.release.model import ReleasedModel, resolved_columns
from synth_pipeline.snapshot.take import Snapshot, take_snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import CategoryProfile, Profile

CASES = ("adult-same", "adult-one", "adult-two", "gss-12", "gss-45")
WAYS = ("reuse", "refresh 0.25", "refresh 0.5", "refit 0.5", "refit 1")
DRIFT_SHARE = 0.1
ALPHA = 0.05
HOLDOUT = 0.3
MOVED, STRENGTH = ("fnlwgt", "hours-per-week"), 0.25
"""Columns of adult by which rows are drawn with unequal chances: e to this power for each standard deviation."""


@dataclass(frozen=True, repr=False)
class Case:
    """Two snapshots of one dataset.

    Attributes:
        spec: its specification file.
        old: rows of the earlier one.
        new: rows of the fresh one.
        always: columns that are measured anew whatever the test says.
    """

    spec: Path
    old: pd.DataFrame
    new: pd.DataFrame
    always: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Figures:
    """One way on one case.

    Attributes:
        case: name of the case.
        engine: kind of generator.
        epsilon: ε of the whole walk.
        seed: number of the repeat.
        way: what was done.
        tvd1: mean distance of columns to the fresh rows.
        tvd2: of pairs.
        held2: mean distance of pairs to fresh rows that were held out.
        auc: gradient boosting trained on the synthetic rows, on fresh rows that were held out.
        real_auc: the same, trained on the fresh rows.
        cpu_seconds: of the training, profile included.
        changed: columns that were measured anew.
    """

    case: str
    engine: str
    epsilon: float
    seed: int
    way: str
    tvd1: float
    tvd2: float
    held2: float
    auc: float
    real_auc: float
    cpu_seconds: float
    changed: tuple[str, ...] = ()


def make_case(name: str, seed: int) -> Case:
    """The two snapshots of a case.

    Raises:
        MissingTableError: if its table is not on this machine.
    """
    dataset, kind = name.split("-")
    if dataset == "gss":
        from synth_pipeline.integrations.demo_data import SNAPSHOT_YEARS, read_gss

        table, spec = read_gss(), prepare("gss").spec
        years = [range(SNAPSHOT_YEARS[int(era) - 1][0], SNAPSHOT_YEARS[int(era) - 1][1] + 1) for era in kind]
        eras = [pd.DataFrame(table.loc[table["year"].isin(list(era))]).reset_index(drop=True) for era in years]
        return Case(spec, eras[0], eras[1], frozenset({"year"}))
    tables = prepare(dataset)
    rows = pd.concat([pd.read_parquet(tables.train), pd.read_parquet(tables.holdout)], ignore_index=True)
    order = np.random.default_rng(seed).permutation(len(rows))
    half = len(rows) // 2
    old, rest = rows.iloc[order[:half]], rows.iloc[order[half:]]
    strengths = dict.fromkeys(MOVED[: ("same", "one", "two").index(kind)], STRENGTH)
    if strengths:
        values = rest[list(strengths)].astype("float64")
        weights = np.exp(((values - values.mean()) / values.std()).to_numpy() @ np.array(list(strengths.values())))
        drawn = np.random.default_rng(seed + 1).choice(len(rest), len(rest), p=weights / weights.sum())
        rest = rest.iloc[drawn]
    return Case(tables.spec, old.reset_index(drop=True), rest.reset_index(drop=True))


def specification(case: Case, *, engine: str, epsilon: float) -> Spec:
    """The specification of a case, with a drift report of a tenth of ε."""
    content = read_spec(case.spec, engine=engine, epsilon=epsilon).model_dump(mode="json", by_alias=True)
    content["drift"] = {"epsilon": DRIFT_SHARE * epsilon}
    content["holdout"] = HOLDOUT
    return Spec.from_mapping(content, where=str(case.spec))


class Bench:
    """One case at one ε, its earlier release and its fresh snapshot."""

    def __init__(self, case: Case, spec: Spec, *, seed: int) -> None:
        self.case, self.spec, self.seed = case, spec, seed
        self.kind = chosen_kind(spec)
        self.budget = make_plan(spec).budget
        self.old, self.new = (
            take_snapshot(rows, spec, key=uuid.uuid4().bytes, holdout=True) for rows in (case.old, case.new)
        )
        self._real_area: float | None = None
        self.prior = self.fitted(self.old, 1.0)

    def run(self, way: str) -> tuple[ReleasedModel, tuple[str, ...]]:
        """A model for the fresh snapshot, and the columns that it took for changed."""
        name, _, share = way.partition(" ")
        if name == "reuse":
            return self.prior, ()
        if name == "refit":
            return self.fitted(self.new, float(share)), ()
        return self.refreshed(float(share))

    def fitted(self, snapshot: Snapshot, share: float) -> ReleasedModel:
        """A model trained at a share of ε."""
        curator, columns = self._curator(snapshot, share * self.budget.epsilon), self._columns(snapshot)
        engine = engine_for(self.kind)
        profile = build_profile(curator, columns, share=engine.profile_share)
        generator = engine.fit(
            curator, profile, engine.make_config(self.spec), budget=curator.budget, runtime=self._runtime(profile)
        )
        return ReleasedModel(self.spec.in_order(snapshot.dtypes), profile, generator, snapshot.dtypes)

    def refreshed(self, share: float) -> tuple[ReleasedModel, tuple[str, ...]]:
        """A model refreshed at a share of ε."""
        fresh, rows = self.drift_report()
        changed = frozenset(self.case.always | self.moved(fresh))
        curator, columns = self._curator(self.new, share * self.budget.epsilon), self._columns(self.new)
        engine = engine_for(self.kind)
        if engine.refresh is None:
            raise SystemExit(f"{self.kind}: this engine cannot refresh; use maxent, hybrid or mixture")
        measured: tuple[MeasuredPair, ...] = getattr(self.prior.generator, "measured", ())
        profile = refresh_profile(
            curator,
            sharpened(self.prior.profile, measured),
            columns,
            changed=changed,
            fresh=fresh,
            rows=rows,
            share=engine.profile_share,
        )
        generator = engine.refresh(
            curator,
            profile,
            engine.make_config(self.spec),
            budget=curator.budget,
            runtime=self._runtime(profile),
            prior=self.prior.generator,
            changed=changed,
        )
        model = ReleasedModel(self.spec.in_order(self.new.dtypes), profile, generator, self.new.dtypes)
        return model, tuple(sorted(changed))

    def drift_report(self) -> tuple[dict[str, Noisy], Noisy]:
        """Noisy one-ways of the fresh rows over the earlier codes, and their noisy number, at a tenth of ε."""
        curator = self._curator(self.new, DRIFT_SHARE * self.spec.privacy.epsilon)
        profile = self.prior.profile
        cost = 0.7 * curator.budget.cost / len(profile.columns)
        rows = curator.count_rows(cost=0.05 * curator.budget.cost, stage="drift_report", purpose="row count")
        fresh: dict[str, Noisy] = {}
        for column in profile.columns:
            name = column.part_of if isinstance(column, CategoryProfile) else None
            found = count_again(curator, column, profile.column(name) if name else None, cost=cost)
            fresh[column.name] = Noisy(found.values, float(np.sqrt(found.variance.mean())))
        return fresh, rows

    def moved(self, fresh: dict[str, Noisy]) -> set[str]:
        """Columns whose fresh one-way is farther from the earlier one than noise and chance allow."""
        from scipy.stats import chi2

        found: set[str] = set()
        for column in self.prior.profile.columns:
            values, sigma = fresh[column.name].values, fresh[column.name].sigma
            scale = values.sum() / max(column.counts.sum(), 1.0)
            chance = (1 + scale) * np.maximum(column.counts * scale, 0.0)
            gaps = (values - column.counts * scale) ** 2 / (sigma**2 + (column.sigma * scale) ** 2 + chance)
            if chi2.sf(gaps.sum(), max(len(values) - 1, 1)) < ALPHA / len(fresh):
                part_of = column.part_of if isinstance(column, CategoryProfile) else None
                found.add(part_of or column.name)
        return found

    def scores(self, model: ReleasedModel) -> tuple[float, float, float, float, float]:
        """Distances of columns and pairs to trained and of pairs to held-out rows, and AUC of the synthetic and of the fresh rows."""
        if self.new.holdout is None or self.spec.benchmark is None:
            raise SystemExit(f"{self.spec.dataset}: no holdout or no benchmark target")
        synthetic = model.sample(len(self.new.train), seed=self.seed)
        tables = read_tables(self.new.train, self.new.holdout, synthetic, self.spec)
        binned = bin_tables(tables, fit_binning(tables), seed=0)
        return (
            _mean_distance(binned, [(name,) for name in tables.names]),
            _mean_distance(binned, list(combinations(tables.names, 2))),
            _mean_distance(binned, list(combinations(tables.names, 2)), use="floor"),
            *self._areas(tables),
        )

    def _areas(self, tables: ScoredTables) -> tuple[float, float]:
        """AUC of gradient boosting on held-out fresh rows, trained on the synthetic rows and on the fresh ones."""
        if self.spec.benchmark is None:
            raise SystemExit(f"{self.spec.dataset}: no benchmark target")
        labelled = label_tables(tables, self.spec.benchmark, seed=0, quick=True)
        names = tuple(name for name in tables.names if name != self.spec.benchmark.target)
        config, coding = LearnerConfig(labelled.classes, 0, quick=True), fit_coding(tables, names)
        truth = labelled.holdout.target.astype(np.int64)

        def area(side: Labelled) -> float:
            trained_on = (side.rows, side.target)
            guess = predict("gradient_boosting", trained_on, labelled.holdout.rows, coding=coding, config=config)
            ones = np.ones((len(truth), 1))
            return float(class_predictions(truth, guess, rarest=labelled.rarest).metrics(ones)["auc"][0])

        if self._real_area is None:
            self._real_area = area(labelled.train)
        return area(labelled.synthetic), self._real_area

    def _columns(self, snapshot: Snapshot) -> dict[str, Any]:
        return dict(profiled_columns(self.spec, list(snapshot.dtypes)))

    def _curator(self, snapshot: Snapshot, epsilon: float) -> Curator:
        unit = self.spec.privacy.unit
        return Curator(
            snapshot.native,
            unit=PrivacyUnit(unit.column, unit.max_rows),
            budget=Budget(epsilon, self.budget.delta, self.budget.discovery_delta),
        )

    def _runtime(self, profile: Profile) -> RuntimeConfig:
        rules = Rules.from_spec(self.spec).compile(resolved_columns(self.spec, profile))
        return RuntimeConfig(seed=self.seed, rules=rules.tables)


def _mean_distance(
    binned: BinnedTables, marginals: Sequence[Marginal], *, use: Literal["train", "floor"] = "train"
) -> float:
    """Mean total variation distance between the synthetic rows and fresh ones (trained on, or held out: `floor`) over marginals."""
    found: list[float] = []
    for marginal in marginals:
        cells = [binned.by_use[side].joint(marginal, binned.sizes) for side in (use, "synthetic")]
        most = 1 + max(int(part.max()) for part in cells)
        shares = [np.bincount(part, minlength=most) / len(part) for part in cells]
        found.append(float(np.abs(shares[0] - shares[1]).sum()) / 2)
    return float(np.mean(found))


def measure(name: str, *, engine: str, epsilon: float, seed: int, ways: Sequence[str]) -> Iterator[Figures]:
    """The ways on one case, one after another."""
    case = make_case(name, seed)
    bench = Bench(case, specification(case, engine=engine, epsilon=epsilon), seed=seed)
    for way in ways:
        before = time.process_time()
        model, changed = bench.run(way)
        spent = time.process_time() - before
        tvd1, tvd2, held2, auc, real = bench.scores(model)
        yield Figures(name, bench.kind, epsilon, seed, way, tvd1, tvd2, held2, auc, real, round(spent, 1), changed)


def table(figures: Sequence[Figures]) -> str:
    """Means over the repeats as a Markdown table, and the largest distance from the mean of any repeat."""
    lines = [
        "| case | ε | way | 1-way TVD | 2-way TVD | 2-way TVD, held out | AUC (real) | CPU s | changed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((item.case, item.epsilon, item.way) for item in figures)
    for case, epsilon, way in keys:
        items = [item for item in figures if (item.case, item.epsilon, item.way) == (case, epsilon, way)]

        def mean(read: Callable[[Figures], float], digits: int, items: list[Figures] = items) -> str:
            values = np.array([read(item) for item in items])
            spread = f" ± {np.abs(values - values.mean()).max():.{digits}f}" if len(values) > 1 else ""
            return f"{values.mean():.{digits}f}{spread}"

        changed = ", ".join(items[0].changed) or "none"
        lines.append(
            f"| {case} | {epsilon:g} | {way} | {mean(lambda i: i.tvd1, 4)} | {mean(lambda i: i.tvd2, 4)} | "
            f"{mean(lambda i: i.held2, 4)} | "
            f"{mean(lambda i: i.auc, 4)} ({items[0].real_auc:.3f}) | {mean(lambda i: i.cpu_seconds, 0)} | {changed} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and print the table."""
    asked = _arguments(argv)
    figures: list[Figures] = []
    for name in asked.cases.split(","):
        for epsilon in map(float, asked.epsilons.split(",")):
            for seed in map(int, asked.seeds.split(",")):
                try:
                    for item in measure(
                        name, engine=asked.engine, epsilon=epsilon, seed=seed, ways=asked.ways.split(",")
                    ):
                        figures.append(item)
                        print(json.dumps(asdict(replace(item, tvd1=round(item.tvd1, 5)))), file=sys.stderr, flush=True)
                except MissingTableError as error:
                    print(error, file=sys.stderr)
    text = table(figures)
    print(text)
    if asked.save and figures:
        (RESULTS / "refresh.md").write_text(f"# Refresh against refit\n\n{text}\n", encoding="utf-8")
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.refresh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default=",".join(CASES), help=f"comma list; default: {', '.join(CASES)}")
    parser.add_argument("--epsilons", default="1,0.5", help="comma list; default 1,0.5")
    parser.add_argument("--seeds", default="0,1", help="comma list of repeats; default 0,1")
    parser.add_argument("--ways", default=",".join(WAYS), help=f"comma list; default: {', '.join(WAYS)}")
    parser.add_argument("--engine", default="auto", help="maxent, hybrid, mixture or auto; default auto")
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results/refresh.md")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
