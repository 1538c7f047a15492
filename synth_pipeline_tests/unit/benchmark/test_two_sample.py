"""The classifier two-sample test."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from synth_pipeline.benchmark.scored_table import read_tables
from synth_pipeline.benchmark.two_sample import delong, measure_two_sample


def test_delong_auc_is_scikit_learns_and_its_variance_that_of_resampling():
    rng = np.random.default_rng(0)
    positive, negative = np.round(rng.normal(1, 1, 150), 1), np.round(rng.normal(0, 1, 250), 1)
    found = delong(positive, negative)
    label = np.repeat([1, 0], [150, 250])
    assert found.auc == pytest.approx(roc_auc_score(label, np.concatenate([positive, negative])))
    resampled = [delong(rng.choice(positive, 150), rng.choice(negative, 250)).auc for _ in range(2000)]
    assert np.sqrt(found.variance) == pytest.approx(np.std(resampled), rel=0.1)


def test_tables_of_one_population_cannot_be_told_apart_and_shifted_ones_can(frames, make_spec):
    train, holdout, synthetic = frames
    same = measure_two_sample(read_tables(train, holdout, synthetic, make_spec()), seed=0, quick=True)
    shifted = synthetic.assign(age=synthetic["age"] // 2)
    other = measure_two_sample(read_tables(train, holdout, shifted, make_spec()), seed=0, quick=True)
    assert same.synthetic.low < 0.5 < same.synthetic.high
    assert same.floor.low < 0.5 < same.floor.high
    assert other.synthetic.value > 0.8


def test_perfect_separation_still_has_an_interval(frames, make_spec):
    train, holdout, synthetic = frames
    far = synthetic.assign(age=synthetic["age"] + 1000)
    result = measure_two_sample(read_tables(train, holdout, far, make_spec()), seed=0, quick=True).synthetic
    assert result.value == 1.0
    assert 0.9 < result.low < 1.0


def test_few_rows_give_a_reason_and_no_score(draw, make_spec):
    result = measure_two_sample(read_tables(draw(100, 1), draw(20, 2), draw(100, 3), make_spec()), seed=0, quick=True)
    assert result.synthetic is None
    assert result.floor is None
    assert "fewer than 30 rows" in result.reason
