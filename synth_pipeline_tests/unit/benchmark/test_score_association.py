"""Pairwise associations against independent implementations."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats.contingency import association as scipy_association

from synth_pipeline.benchmark.association import _weigh as weigh
from synth_pipeline.benchmark.association import associations, compare_associations
from synth_pipeline.benchmark.binning import fit_binning
from synth_pipeline.benchmark.scored_table import read_tables


@pytest.fixture
def train_alone(frames, make_spec):
    tables = read_tables(*frames, make_spec())
    return frames[0], weigh(tables.train, fit_binning(tables))


def test_numbers_are_compared_by_pearson_on_complete_rows(train_alone):
    frame, table = train_alone
    assert associations(table, [("age", "wage")])[0, 0] == pytest.approx(frame["age"].corr(frame["wage"]))


def test_categories_are_compared_by_cramers_v_with_null_a_category(train_alone):
    frame, table = train_alone
    counts = pd.crosstab(frame["job"].fillna("null"), frame["level"])
    assert associations(table, [("job", "level")])[0, 0] == pytest.approx(
        scipy_association(counts.to_numpy(), method="cramer")
    )


@pytest.mark.parametrize("pair", [("wage", "level"), ("level", "wage")])
def test_a_category_and_a_number_are_compared_by_the_correlation_ratio(pair, train_alone):
    frame, table = train_alone
    known = frame.dropna(subset="wage")
    fitted = known.groupby("level")["wage"].transform("mean")
    assert associations(table, [pair])[0, 0] == pytest.approx(np.sqrt(fitted.var() / known["wage"].var()))


def test_weights_of_two_are_the_same_as_every_row_twice(frames, make_spec):
    train, holdout, _ = frames
    twice = pd.concat([train, train], ignore_index=True)
    tables = read_tables(train, holdout, twice, make_spec())
    binning = fit_binning(tables)
    pairs = [("age", "wage"), ("job", "level"), ("wage", "job")]
    weights = np.full((len(train), 1), 2.0)
    weighted = associations(weigh(tables.train, binning, weights), pairs)
    np.testing.assert_allclose(weighted, associations(weigh(tables.synthetic, binning), pairs))


def test_constant_columns_have_no_association_and_the_worst_pair_is_named(frames, make_spec):
    train, holdout, _ = frames
    tables = read_tables(train, holdout, train.assign(wage=5.0), make_spec())
    scores = compare_associations(tables, fit_binning(tables), seed=0, resamples=50)
    assert set(scores.worst_pair) == {"age", "wage"}
    assert scores.worst_difference == pytest.approx(abs(train["age"].corr(train["wage"])))
    assert set(scores.by_kind) == {"pearson", "cramers_v", "correlation_ratio"}
