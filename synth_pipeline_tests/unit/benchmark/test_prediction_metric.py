"""Weighted metrics against scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics

from synth_pipeline.benchmark.prediction_metric import class_predictions, value_predictions


@pytest.fixture
def predicted():
    """Truth of three classes, probabilities with ties, weights of two resamples."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    probabilities = np.round(rng.dirichlet(np.ones(3), 300) + np.eye(3)[truth] * 0.3, 1)
    weights = np.stack([np.ones(300), np.bincount(rng.integers(300, size=300), minlength=300)], axis=1)
    return truth, probabilities, weights


@pytest.mark.parametrize("resample", [0, 1])
def test_multiclass_metrics_are_scikit_learns(predicted, resample):
    truth, probabilities, weights = predicted
    found = class_predictions(truth, probabilities, rarest=2).metrics(weights)
    weight = weights[:, resample]
    areas = [metrics.roc_auc_score(truth == label, probabilities[:, label], sample_weight=weight) for label in range(3)]
    guess = probabilities.argmax(axis=1)
    assert found["auc"][resample] == pytest.approx(np.mean(areas))
    expected = metrics.average_precision_score(truth == 2, probabilities[:, 2], sample_weight=weight)
    assert found["ap_rarest"][resample] == pytest.approx(expected)
    assert found["macro_f1"][resample] == pytest.approx(
        metrics.f1_score(truth, guess, average="macro", sample_weight=weight)
    )
    assert found["accuracy"][resample] == pytest.approx(metrics.accuracy_score(truth, guess, sample_weight=weight))


def test_binary_auc_is_that_of_the_rarest_class(predicted):
    truth, probabilities, weights = predicted
    binary = (truth > 0).astype(np.int64)
    two = np.stack([probabilities[:, 0], 1 - probabilities[:, 0]], axis=1)
    found = class_predictions(binary, two, rarest=0).metrics(weights)
    assert found["auc"][0] == pytest.approx(metrics.roc_auc_score(binary == 0, two[:, 0]))


@pytest.mark.parametrize("resample", [0, 1])
def test_regression_metrics_are_scikit_learns(predicted, resample):
    _, probabilities, weights = predicted
    truth, guess = probabilities[:, 0], probabilities[:, 1]
    found = value_predictions(truth, guess).metrics(weights)
    weight = weights[:, resample]
    assert found["r2"][resample] == pytest.approx(metrics.r2_score(truth, guess, sample_weight=weight))
    assert found["rmse"][resample] == pytest.approx(metrics.root_mean_squared_error(truth, guess, sample_weight=weight))


def test_what_is_undefined_is_nan_and_warns_of_nothing():
    one_class = class_predictions(np.zeros(5, dtype=np.int64), np.tile([0.9, 0.1], (5, 1)), rarest=1)
    found = one_class.metrics(np.ones((5, 2)))
    assert np.isnan(found["auc"]).all()
    assert np.isnan(found["ap_rarest"]).all()
    assert found["accuracy"].tolist() == [1.0, 1.0]
    assert np.isnan(value_predictions(np.ones(5), np.zeros(5)).metrics(np.ones((5, 1)))["r2"]).all()
