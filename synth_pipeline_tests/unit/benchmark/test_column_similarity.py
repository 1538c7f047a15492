"""KS and TV complements of single columns."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from synth_pipeline.benchmark.scored_table import read_tables
from synth_pipeline.benchmark.univariate import compare_categories, compare_numbers, ks_complement


def test_ks_complement_is_one_minus_scipys_statistic():
    rng = np.random.default_rng(0)
    left, right = np.round(rng.normal(0, 1, 300), 1), np.round(rng.normal(0.3, 1.2, 200), 1)
    assert ks_complement(left, right) == pytest.approx(1 - ks_2samp(left, right).statistic)


def test_ks_complement_ignores_nulls_and_is_zero_against_a_column_of_nulls():
    assert ks_complement(np.array([1.0, np.nan]), np.array([1.0])) == 1.0
    assert ks_complement(np.array([1.0]), np.array([np.nan])) == 0.0
    assert ks_complement(np.array([np.nan]), np.array([np.nan])) == 1.0


def test_equal_tables_are_wholly_similar_and_the_worst_column_is_the_changed_one(frames, make_spec):
    train, holdout, _ = frames
    tables = read_tables(train, holdout, train.assign(age=train["age"] + 9), make_spec())
    numbers = compare_numbers(tables, seed=0, resamples=50)
    assert numbers.worst_column == "age"
    assert numbers.by_column["wage"] == 1.0
    assert compare_categories(tables, seed=0, resamples=50).synthetic.value == 1.0


def test_null_counts_as_a_category(frames, make_spec):
    train, holdout, _ = frames
    tables = read_tables(train, holdout, train.assign(job=None), make_spec())
    complement = compare_categories(tables, seed=0, resamples=50)
    assert complement.by_column["job"] == pytest.approx(train["job"].isna().mean())
