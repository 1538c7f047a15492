"""Total variation distance of marginals."""

import itertools

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.benchmark.binning import fit_binning
from synth_pipeline.benchmark.marginal_distance import bin_tables, choose_triples, compare_marginals, nist_score
from synth_pipeline.benchmark.resample import draw_bag, weighted_counts
from synth_pipeline.benchmark.scored_table import read_tables
from synth_pipeline.spec import Spec

SPEC = Spec.from_mapping(
    {
        "dataset": "tiny",
        "columns": {name: {"kind": "categorical", "discover": True} for name in ("a", "b")},
        "privacy": {"epsilon": 1.0},
    }
)


def binned_tables(train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame):
    tables = read_tables(train, holdout, synthetic, SPEC)
    return bin_tables(tables, fit_binning(tables), seed=0)


def table(*rows: str) -> pd.DataFrame:
    """One row a word, one letter a cell."""
    return pd.DataFrame([list(row) for row in rows], columns=["a", "b"])


def test_distances_of_four_rows_are_those_computed_by_hand():
    binned = binned_tables(table("xu", "xu", "yv", "yv"), table("xu", "yv"), table("xv", "xv", "yu", "yv"))
    one_way, each = compare_marginals(binned, [("a",), ("b",)], seed=0, resamples=50)
    two_way, _ = compare_marginals(binned, [("a", "b")], seed=0, resamples=50)
    assert [interval.value for interval in each] == [0.0, 0.25]  # shares (½, ½), (½, ½); and (½, ½), (¼, ¾)
    assert one_way.synthetic.value == 0.125
    assert one_way.worst[0].columns == ("b",)
    assert two_way.synthetic.value == 0.75  # of the cells xu, yv at ½ each only ¼ of yv is met
    assert two_way.floor.value == 0.0
    assert two_way.ratio_to_floor is None


def test_a_category_that_train_never_has_is_as_far_as_it_is_frequent():
    binned = binned_tables(table("xu", "xu"), table("xu"), table("xu", "zu"))
    scores, _ = compare_marginals(binned, [("a",)], seed=0, resamples=50)
    assert scores.synthetic.value == 0.5


def test_nist_score_is_a_thousand_times_one_minus_the_distance():
    binned = binned_tables(table("xu", "xu", "yv", "yv"), table("xu", "yv"), table("xv", "xv", "yu", "yv"))
    scores, _ = compare_marginals(binned, [("a", "b")], seed=0, resamples=50)
    nist = nist_score(scores)
    assert nist.synthetic.value == 250
    assert nist.synthetic.low == pytest.approx(1000 * (1 - scores.synthetic.high))
    assert nist_score(None) is None


def test_subsamples_have_as_many_rows_as_the_smaller_of_holdout_and_synthetic(frames, make_spec):
    tables = read_tables(*frames, make_spec())
    binned = bin_tables(tables, fit_binning(tables), seed=0)
    assert {which: part.rows for which, part in binned.by_use.items()} == {
        "train": 400,
        "synthetic": 300,
        "matched": 150,
        "floor": 150,
    }


def test_a_wider_difference_gives_a_ratio_whose_interval_lies_above_one(frames, make_spec):
    train, holdout, synthetic = frames
    tables = read_tables(train, holdout, synthetic.assign(age=synthetic["age"] // 2), make_spec())
    pairs = list(itertools.combinations(tables.names, 2))
    scores, _ = compare_marginals(bin_tables(tables, fit_binning(tables), seed=0), pairs, seed=0, resamples=100)
    assert scores.ratio_to_floor.low > 1
    assert "age" in scores.worst[0].columns
    assert scores.synthetic.low <= scores.synthetic.value <= scores.synthetic.high


@pytest.mark.parametrize("columns, expected", [(2, 0), (3, 1), (5, 10), (12, 50), (70, 50)])
def test_triples_are_distinct_and_no_more_than_asked_for(columns, expected):
    names = tuple(f"c{index}" for index in range(columns))
    triples = choose_triples(names, 50, seed=0)
    assert len(triples) == len(set(triples)) == expected
    assert all(len(set(triple)) == 3 for triple in triples)


def test_every_resample_of_a_bag_has_the_rows_of_the_whole_table():
    bag = draw_bag(1000, 20, np.random.default_rng(0), most_rows=100)
    assert bag.weights.shape == (100, 20)
    assert (bag.weights.sum(axis=0) == 1000).all()


def test_weighted_counts_are_the_counts_of_repeated_rows():
    codes, weights = np.array([0, 2, 2, 1]), np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    assert weighted_counts(codes, 4, weights).tolist() == [[1, 0], [1, 0], [2, 4], [0, 0]]
