import numpy as np
import pandas as pd
import pytest

from synth_pipeline.benchmark.fidelity import measure_fidelity
from synth_pipeline.benchmark.scored_table import read_tables
from synth_pipeline.report.comparison import Tables, association_maps
from synth_pipeline.report.pair_table import worst_pairs
from synth_pipeline_tests.reported_example import reported_spec

COLUMNS = {
    "a": {"kind": "integer", "min": 0, "max": 9},
    "b": {"kind": "categorical", "categories": ["x", "y", "z"], "nullable": True},
    "c": {"kind": "boolean"},
}


def pairs_of(real, synthetic, columns=COLUMNS, **options):
    spec = reported_spec(columns=columns, benchmark=None, fairness=None)
    tables = Tables(real, real, synthetic)
    fidelity = measure_fidelity(read_tables(real, real, synthetic, spec), seed=0, quick=True)
    return worst_pairs(fidelity, tables, spec, association_maps(tables, spec), **options)


@pytest.fixture(scope="module")
def frames():
    """In the real table b follows a; in the synthetic one it does not. c is a coin in both."""
    rng = np.random.default_rng(0)
    a = np.repeat([0, 1], 500)
    real = pd.DataFrame({"a": a, "b": np.where(a == 0, "x", "y"), "c": rng.random(1000) < 0.5})
    return real, real.assign(b=rng.permutation(real["b"].to_numpy()))


def test_the_pair_that_lost_its_association_comes_first_with_the_shares_of_each_cell(frames):
    worst = pairs_of(*frames)[0]
    assert {worst.first, worst.second} == {"a", "b"}
    np.testing.assert_allclose(worst.real, [[0.5, 0], [0, 0.5]])
    np.testing.assert_allclose(worst.synthetic.sum(), 1)
    assert worst.synthetic.min() > 0.2
    assert worst.rows == ("≤ 0", "> 0")
    assert worst.heads == ("x", "y")
    assert worst.distance == pytest.approx(np.abs(worst.real - worst.synthetic).sum() / 2)
    assert "distance 0.5" in worst.reason or "distance 0.4" in worst.reason
    assert "Cramér's V 1.00 real, 0.0" in worst.reason


def test_each_pair_stands_once_and_no_more_than_asked_for(frames):
    found = [frozenset((table.first, table.second)) for table in pairs_of(*frames)]
    assert len(found) == len(set(found)) == 3
    assert len(pairs_of(*frames, most=1)) == 1


def test_long_columns_are_cut_to_fifths_and_their_largest_categories():
    rng = np.random.default_rng(1)
    columns = {
        "n": {"kind": "float", "min": 0, "max": 1000},
        "k": {"kind": "categorical", "categories": [f"k{number}" for number in range(12)], "nullable": True},
    }
    names = np.array([f"k{number}" for number in range(12)])
    k = pd.Series(names[np.minimum(rng.geometric(0.3, 2000), 12) - 1]).where(rng.random(2000) < 0.9)
    frame = pd.DataFrame({"n": rng.random(2000) * 1000, "k": k})
    (table,) = pairs_of(frame, frame.assign(n=rng.permutation(frame["n"])), columns)
    sides = {table.first: table.rows, table.second: table.heads}
    assert len(sides["n"]) == 5
    assert sides["k"] == ("k0", "k1", "k2", "k3", "k4", "others", "null")
    real = table.real if table.first == "n" else table.real.T
    np.testing.assert_allclose(real.sum(axis=1), 0.2, atol=0.001)


def test_ordered_categories_keep_their_order_and_nulls_that_never_occur_are_left_out():
    columns = {
        "s": {"kind": "ordinal", "categories": ["low", "middle", "high"]},
        "d": {"kind": "datetime", "min": "2020-01-01", "max": "2020-12-31", "nullable": True},
    }
    days = pd.to_datetime(["2020-01-01", "2020-02-01", "2020-03-01"] * 40)
    frame = pd.DataFrame({"s": ["high", "middle", "low", "high"] * 30, "d": days})
    (table,) = pairs_of(frame, frame.iloc[::-1].reset_index(drop=True).assign(d=days), columns)
    sides = {table.first: table.rows, table.second: table.heads}
    assert sides["s"] == ("low", "middle", "high")
    assert sides["d"] == ("≤ 2020-01-01", "to 2020-02-01", "> 2020-02-01")


def test_a_single_column_has_no_pairs():
    columns = {"n": {"kind": "integer", "min": 0, "max": 9}}
    frame = pd.DataFrame({"n": [1, 2, 3, 4] * 25})
    assert pairs_of(frame, frame, columns) == ()
