"""Bounds from canaries: right on simulated trainings whose loss is known, silent on honest ones."""

from dataclasses import replace

import numpy as np
import pytest

from synth_pipeline.audit.canary_bound import CanaryScores, guessing_bound, is_refuted, score_canaries, training_bound
from synth_pipeline.privacy.composition import composed_epsilon
from synth_pipeline.privacy.events import SubsampledGaussianEvent

EVENT = SubsampledGaussianEvent(purpose="toy", noise_multiplier=1.6, sample_rate=0.1, steps=60)
DELTA = 1e-5


def simulate(*, noise: float = 1.6, canaries: int = 8000, shift: float = 1.0, seed: int = 0) -> CanaryScores:
    """Canaries of a training whose noise may be other than the charged one."""
    rng = np.random.default_rng(seed)
    is_in = rng.random(canaries) < 0.5
    drawn = (rng.random((EVENT.steps, canaries)) < EVENT.sample_rate) & is_in
    return score_canaries(drawn * shift + noise * rng.standard_normal(drawn.shape), is_in, EVENT)


def test_an_honest_training_shows_most_of_its_epsilon_and_not_more() -> None:
    """Seeds are fixed; with fresh ones a bound would pass the truth in one run of 20."""
    claimed = composed_epsilon([EVENT], DELTA)
    bounds = [training_bound(simulate(seed=seed), EVENT, delta=DELTA).epsilon for seed in range(3)]
    assert all(0.6 * claimed < bound <= claimed for bound in bounds)


@pytest.mark.parametrize("noise, expected", [(1.6, False), (1.12, True)])
def test_noise_of_seven_tenths_is_refuted(noise: float, expected: bool) -> None:
    """At a false-alarm rate of one in a million."""
    assert is_refuted(simulate(noise=noise, canaries=20_000), EVENT, confidence=1 - 1e-6) is expected


def test_the_bound_of_a_broken_training_is_above_the_claim_and_below_what_it_lost() -> None:
    lost = composed_epsilon([replace(EVENT, noise_multiplier=0.8)], DELTA)
    found = training_bound(simulate(noise=0.8), EVENT, delta=DELTA)
    assert composed_epsilon([EVENT], DELTA) < found.epsilon <= lost


def test_canaries_without_effect_show_nothing() -> None:
    scores = simulate(shift=0.0, seed=2)
    assert training_bound(scores, EVENT, delta=DELTA).epsilon < 0.2
    assert guessing_bound(scores, delta=DELTA).epsilon < 0.2


def test_noise_that_repeats_is_refuted_by_the_spread_of_coordinates() -> None:
    rng = np.random.default_rng(0)
    is_in = rng.random(2000) < 0.5
    drawn = (rng.random((EVENT.steps, 2000)) < EVENT.sample_rate) & is_in
    scores = score_canaries(drawn + 1.6 * rng.standard_normal(2000), is_in, EVENT)
    assert is_refuted(scores, EVENT, confidence=1 - 1e-6)


def test_the_ratio_is_the_log_of_the_likelihood_ratio() -> None:
    x = np.array([[0.3], [-1.0]])
    q, variance = EVENT.sample_rate, EVENT.noise_multiplier**2
    by_hand = np.log(1 - q + q * np.exp((2 * x[:, 0] - 1) / (2 * variance))).sum()
    assert score_canaries(x, np.array([True]), EVENT).ratio[0] == pytest.approx(by_hand)


def test_with_rate_one_the_score_is_gaussian() -> None:
    event = replace(EVENT, sample_rate=1.0)
    ratio = score_canaries(np.array([[0.5], [1.5]]), np.array([True]), event).ratio[0]
    assert ratio == pytest.approx(1.0 / event.noise_multiplier**2)
