"""Private drift reports: false alarms on re-draws of one population, power against the size of a change, and real changes over time.

    python -m benchmarks.drift [--redraws 400] [--power 40] [--parts false,power,eras,bike] [--json benchmarks/results/drift.json]

Every redraw is two samples of people drawn with replacement from one table. Both go through the real profile and the real report; only the
noise comes from a seeded source of the same law. The released pairs are up to 55 pairs of columns over tables of up to 7 × 7 groups,
counted with what a walk of ε = 1 has left after its profile: what a generator of tables would keep, without its fit. Populations: `gss`,
all respondents of the demo's table, each one row; `panel`, the people of nlswork with up to 8 rows each, weighed.
"""

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from benchmarks.matrix import RESULTS, ROOT, SHARED
from benchmarks.persons import Cell, panel, panel_spec
from synth_pipeline.drift.baseline import Baseline, baseline_of
from synth_pipeline.drift.judge import Tests, run_tests
from synth_pipeline.drift.measure import ask, measure_drift, plan_questions
from synth_pipeline.drift.report import DriftReport
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.generate.maxent.grouping import group_columns
from synth_pipeline.generate.measured import MeasuredPair, measured_pair
from synth_pipeline.integrations.demo_data import SNAPSHOT_YEARS, read_gss
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.person import profiled_columns
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.snapshot.take import take_snapshot, with_person_rows
from synth_pipeline.spec import Spec
from synth_pipeline.spec.sections import Drift
from synth_pipeline.table.native import NativeTable
from synth_pipeline_tests.seeded_noise import SeededNoise

EPSILONS = (0.05, 0.1, 0.5)
PEOPLE = {"gss": (1_000, 4_000, 12_000), "panel": (2_000,)}
OLD_EPSILON, DELTA, ALPHA = 1.0, 1e-6, 0.05
_MOST_ROWS = 8
_GROUPS = 6
_MOST_PAIRS = 55

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Population:
    """A real table that stands for a population.

    Attributes:
        spec: its specification.
        table: native codes of all its rows, sorted by person.
        starts: first row of each person, and the number of rows as the last.
    """

    spec: Spec
    table: NativeTable
    starts: Rows

    @property
    def people(self) -> int:
        """Number of people."""
        return len(self.starts) - 1

    def of(self, people: Rows) -> NativeTable:
        """The rows of the given people; one that is given twice is two people."""
        sizes = np.diff(self.starts)[people]
        owner = np.repeat(np.arange(len(people)), sizes)
        inside = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        taken = self.table.take(self.starts[people][owner] + inside)
        most = self.spec.privacy.unit.max_rows
        return with_person_rows(replace(taken, units=owner if most > 1 else None), most)


def gss() -> Population:
    """All respondents of the demo's table."""
    spec = Spec.from_yaml(ROOT / "synth_pipeline" / "defs" / "gss" / "defs.yaml")
    table, _ = to_native(read_gss(), spec)
    return Population(spec, table, np.arange(table.rows + 1))


def panel_people() -> Population:
    """The people of nlswork, with at most 8 of their rows."""
    spec = panel_spec(Cell("people", 1.0, _MOST_ROWS, 0), "maxent")
    native = take_snapshot(panel(), spec, key=b"0" * 32, holdout=False).native
    units = native.units if native.units is not None else np.arange(native.rows)
    order = np.argsort(units, kind="stable")
    starts = np.flatnonzero(np.diff(units[order], prepend=-1, append=units.max() + 1))
    return Population(spec, native.take(order), starts)


def curator_of(population: Population, table: NativeTable, epsilon: float, seed: int) -> Curator:
    """A curator with seeded noise."""
    unit = population.spec.privacy.unit
    budget = Budget.for_walk(epsilon=epsilon, delta=DELTA, discovered_columns=0)
    return Curator(table, unit=PrivacyUnit(unit.column, unit.max_rows), budget=budget, noise=SeededNoise(seed))


def released(population: Population, table: NativeTable, seed: int) -> Baseline:
    """What a walk of ε = 1 releases: the real profile, and tables of all pairs with what is left."""
    curator = curator_of(population, table, OLD_EPSILON, seed)
    profile = build_profile(curator, profiled_columns(population.spec))
    view, grouping = curator.encoded(Encoder(profile)), group_columns(profile, (_GROUPS,))
    every = list(itertools.combinations(range(len(profile.columns)), 2))
    indices = every[:: -(-len(every) // _MOST_PAIRS)]
    cost = curator.left_cost / len(indices) * (1 - 1e-9)
    measured: list[MeasuredPair] = []
    for first, second in indices:
        part = grouping.product(first, second, 1)
        noisy = view.pair_counts(part, cost=cost, stage="generator", purpose=part.name)
        measured.append(measured_pair(part, noisy.values, noisy.sigma, rows=profile.rows))
    return baseline_of(profile, measured)


def report_on(population: Population, baseline: Baseline, table: NativeTable, drift: Drift, seed: int) -> DriftReport:
    """A drift report on a fresh table."""
    return measure_drift(curator_of(population, table, drift.epsilon, seed), baseline, drift)


def false_alarms(populations: dict[str, Population], redraws: int) -> Iterator[dict[str, Any]]:
    """Alarms where nothing changed, for each population, size and ε; without the effect sizes, which decide nothing."""
    for (name, population), number in ((item, n) for item in populations.items() for n in PEOPLE[item[0]]):
        found: dict[float, list[Tests]] = {epsilon: [] for epsilon in EPSILONS}
        for seed in range(redraws):
            rng = np.random.default_rng([seed, number])
            old, new = (population.of(rng.integers(population.people, size=number)) for _ in range(2))
            baseline = released(population, old, 2 * seed)
            for epsilon in EPSILONS:
                curator, drift = curator_of(population, new, epsilon, 2 * seed + 1), Drift(epsilon=epsilon)
                answers = ask(curator, plan_questions(curator, baseline, drift))
                found[epsilon].append(run_tests(baseline, answers, drift))
        names = list(profiled_columns(population.spec))
        for epsilon, tests in found.items():
            yield {"population": name, "people": number, "epsilon": epsilon, **_alarm_figures(tests, names)}


def _alarm_figures(found: Sequence[Tests], names: Sequence[str]) -> dict[str, Any]:
    from scipy import stats

    alarms, count = sum(tests.overall <= ALPHA for tests in found), len(found)
    columns = np.array([[item.p_value for item in tests.items[: len(names)]] for tests in found])
    pairs = np.array([item.p_value for tests in found for item in tests.items[len(names) :]])
    rates = (columns <= ALPHA).mean(axis=0)
    interval = stats.binomtest(alarms, count).proportion_ci(0.95)
    return {
        "redraws": count,
        "alarms": alarms / count,
        "interval": [float(interval.low), float(interval.high)],
        "columns_below_alpha": float(rates.mean()),
        "pairs_below_alpha": float((pairs <= ALPHA).mean()) if len(pairs) else None,
        "worst_column": {"name": names[int(rates.argmax())], "rate": float(rates.max())},
    }


def moved_category(table: NativeTable, share: float, rng: np.random.Generator) -> NativeTable:
    """Marital status, with a share of all people moved from married to never married."""
    codes = table.columns["maritalcat"].copy()
    married = np.flatnonzero(codes == 0)
    codes[rng.permutation(married)[: round(share * table.rows)]] = 1
    return replace(table, columns={**table.columns, "maritalcat": codes})


def raised_income(table: NativeTable, share: float, rng: np.random.Generator) -> NativeTable:
    """Incomes raised by a share of themselves."""
    del rng
    codes = table.columns["realrinc"].astype(np.int64)
    raised = np.where(codes < 0, codes, np.minimum(np.rint(codes * (1 + share)), 500_000).astype(np.int64))
    return replace(table, columns={**table.columns, "realrinc": raised})


def unlinked(table: NativeTable, share: float, rng: np.random.Generator) -> NativeTable:
    """Education dealt anew among a share of the people: both columns keep their distribution, what ties education to others weakens."""
    codes = table.columns["educcat"].copy()
    chosen = rng.permutation(table.rows)[: round(share * table.rows)]
    codes[chosen] = codes[rng.permutation(chosen)]
    return replace(table, columns={**table.columns, "educcat": codes})


Change = Callable[[NativeTable, float, np.random.Generator], NativeTable]
CHANGES: dict[str, tuple[Change, str, tuple[float, ...]]] = {
    "people moved from one category to another": (moved_category, "maritalcat", (0.0, 0.02, 0.05, 0.1, 0.2)),
    "all incomes raised": (raised_income, "realrinc", (0.0, 0.05, 0.1, 0.2, 0.4)),
    "education dealt anew among": (unlinked, "educcat", (0.0, 0.25, 0.5, 1.0)),
}


def power(population: Population, redraws: int, number: int = 7_800) -> Iterator[dict[str, Any]]:
    """How often a change of known size raises the alarm, and in the column that changed; people as many as in a snapshot of the demo."""
    for (words, (change, name, _)), size in ((item, size) for item in CHANGES.items() for size in item[1][2]):
        found: dict[float, list[tuple[bool, bool, float, bool]]] = {epsilon: [] for epsilon in EPSILONS}
        for seed in range(redraws):
            rng = np.random.default_rng([seed, round(1000 * size)])
            old, new = (population.of(rng.integers(population.people, size=number)) for _ in range(2))
            baseline, changed = released(population, old, 2 * seed), change(new, size, rng)
            for epsilon in EPSILONS:
                report = report_on(population, baseline, changed, Drift(epsilon=epsilon), 2 * seed + 1)
                column = next(item for item in report.columns if item.name == name)
                found[epsilon].append(
                    (
                        report.is_alarm,
                        name in report.drifted,
                        column.tvd.value,
                        column.tvd.low <= size <= column.tvd.high,
                    )
                )
        for epsilon, results in found.items():
            alarms, named, estimates, covered = (np.array(part) for part in zip(*results, strict=True))
            yield {
                "change": words, "column": name, "size": size, "epsilon": epsilon, "redraws": redraws,
                "alarms": float(alarms.mean()), "column_named": float(named.mean()), "tvd": float(estimates.mean()),
                "covered": float(covered.mean()) if name == "maritalcat" else None,
            }  # fmt: skip


def eras(population: Population) -> Iterator[dict[str, Any]]:
    """The demo's snapshots, each against the one before, and halves of the same one against each other; the year may move."""
    years = read_gss()["year"].to_numpy()
    rng = np.random.default_rng(0)
    parts = [np.flatnonzero((years >= first) & (years <= last)) for first, last in SNAPSHOT_YEARS]
    for number, epsilon in itertools.product(range(1, len(parts)), EPSILONS):
        halves = np.array_split(rng.permutation(parts[number]), 2)
        for words, old, new in (("era before", parts[number - 1], parts[number]), ("its own halves", *halves)):
            baseline = released(population, population.of(old), number)
            drift = Drift(epsilon=epsilon, ignore=("year",))
            report = report_on(population, baseline, population.of(new), drift, number + 100)
            yield {
                "snapshot": "{}–{}".format(*SNAPSHOT_YEARS[number]),
                "against": words,
                "epsilon": epsilon,
                **_found(report),
            }


def bike() -> Iterator[dict[str, Any]]:
    """Bike rentals: the first 80 % of two years against the last 20 %, and two random parts of the same sizes."""
    import pandas as pd

    folder = SHARED / "data" / "bike"
    if not (folder / "meta.json").exists():
        return
    tool = SHARED / "bench" / "spec_from_meta.py"
    text = subprocess.run(
        [sys.executable, str(tool), str(folder / "meta.json")], check=True, capture_output=True, text=True
    )
    spec = Spec.from_mapping(yaml.safe_load(text.stdout))
    early, late = (pd.read_parquet(folder / f"{name}.parquet") for name in ("early", "late"))
    table, _ = to_native(pd.concat([early, late], ignore_index=True), spec)
    population = Population(spec, table, np.arange(table.rows + 1))
    mixed = np.random.default_rng(0).permutation(table.rows)
    for epsilon, (words, order) in itertools.product(
        EPSILONS, (("early, then late", np.arange(table.rows)), ("drawn at random", mixed))
    ):
        baseline = released(population, population.of(order[: len(early)]), 1)
        drift = Drift(epsilon=epsilon, ignore=("timestamp", "yr", "mnth", "season"))
        report = report_on(population, baseline, population.of(order[len(early) :]), drift, 2)
        yield {"split": words, "epsilon": epsilon, **_found(report)}


def _found(report: DriftReport) -> dict[str, Any]:
    return {
        "overall_p": report.overall_p,
        "alarm": report.is_alarm,
        "drifted": list(report.drifted),
        "pairs": [f"{pair.first} × {pair.second}" for pair in report.pairs if pair.is_drifted],
        "largest": max(
            ((column.name, str(column.tvd)) for column in report.columns if not column.is_ignored),
            key=lambda item: float(item[1].split()[0]),
        ),
    }


COLUMNS: dict[str, tuple[str, ...]] = {
    "false": (
        "population",
        "people",
        "epsilon",
        "redraws",
        "alarms",
        "interval",
        "columns_below_alpha",
        "pairs_below_alpha",
    ),
    "power": ("change", "size", "epsilon", "redraws", "alarms", "column_named", "tvd", "covered"),
    "eras": ("snapshot", "against", "epsilon", "overall_p", "alarm", "drifted", "pairs"),
    "bike": ("split", "epsilon", "overall_p", "alarm", "drifted", "pairs"),
}
"""What the tables show of each part."""


def tables(kept: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Lines of one Markdown table for each part."""
    for part, names in COLUMNS.items():
        if kept.get(part):
            yield from ("", "| " + " | ".join(names) + " |", "|---" * len(names) + "|")
            yield from ("| " + " | ".join(_shown(line.get(name)) for name in names) + " |" for line in kept[part])


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value) or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else "–" if value is None else str(value)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print every line as it is found and all tables at the end, and keep them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drift", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--redraws", type=int, default=400, help="redraws of the false-alarm table")
    parser.add_argument("--power", type=int, default=40, help="redraws of the power table")
    parser.add_argument(
        "--parts", default="false,power,eras,bike", help="what to measure; empty: print the tables that are kept"
    )
    parser.add_argument("--json", type=Path, default=RESULTS / "drift.json", help="parts measured are replaced there")
    asked = parser.parse_args(argv)
    people = gss()
    parts: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "false": lambda: false_alarms({"gss": people, "panel": panel_people()}, asked.redraws),
        "power": lambda: power(people, asked.power),
        "eras": lambda: eras(people),
        "bike": bike,
    }
    for name in filter(None, asked.parts.split(",")):
        kept = json.loads(asked.json.read_text(encoding="utf-8")) if asked.json.exists() else {}
        kept[name] = []
        for line in parts[name]():
            print(json.dumps({"part": name, **line}, ensure_ascii=False), flush=True)
            kept[name].append(line)
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    kept = json.loads(asked.json.read_text(encoding="utf-8")) if asked.json.exists() else {}
    print("\n".join(tables(kept)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
