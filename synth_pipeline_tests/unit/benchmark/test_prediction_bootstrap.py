"""Replicates of the scores of predictions."""

import numpy as np
import pytest

from synth_pipeline.benchmark.prediction_bootstrap import Truth, evaluate


@pytest.fixture
def guesses():
    """Two classes, and the probabilities of a good and of a poor model."""
    rng = np.random.default_rng(0)
    target = (rng.random(6000) < 0.3).astype(np.int64)
    noise = rng.normal(size=(2, 6000))
    scores = {"good": 2 * target + noise[0], "poor": 0.2 * target + noise[1]}
    chances = {name: 1 / (1 + np.exp(-score)) for name, score in scores.items()}
    return Truth(target, rarest=1), {name: np.stack([1 - chance, chance], axis=1) for name, chance in chances.items()}


def test_replicates_lie_around_the_score_of_all_rows(guesses):
    truth, models = guesses
    for evaluated in evaluate(models, truth, seed=0, resamples=200).values():
        for metric, replicates in evaluated.replicates.items():
            assert len(replicates) == 200
            assert abs(replicates.mean() - evaluated.scores[metric]) < 0.3 * replicates.std()


def test_a_bag_gives_the_spread_of_all_rows_around_the_score_of_all_rows(guesses, monkeypatch):
    truth, models = guesses
    whole = evaluate(models, truth, seed=0, resamples=400)["good"]
    monkeypatch.setattr("synth_pipeline.benchmark.prediction_bootstrap.MOST_RANKED_CELLS", 1)
    bagged = evaluate(models, truth, seed=0, resamples=400)["good"]
    assert bagged.scores == whole.scores
    for metric in ("auc", "accuracy", "ap_rarest"):
        assert bagged.replicates[metric].std() == pytest.approx(whole.replicates[metric].std(), rel=0.25)
        assert bagged.replicates[metric].mean() == pytest.approx(whole.scores[metric], abs=0.002)


def test_the_same_model_twice_has_the_same_replicates(guesses):
    truth, models = guesses
    found = evaluate({"one": models["good"], "two": models["good"]}, truth, seed=0, resamples=50)
    np.testing.assert_array_equal(found["one"].replicates["auc"], found["two"].replicates["auc"])
