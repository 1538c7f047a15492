"""Lower bounds hold as often as they say, and come near the truth.

False alarms: coverage is tested over 200 audits at 95 %; a sound bound fails more than 25 of them once in 10,000 runs of this file.
"""

import numpy as np
import pytest
from scipy.stats import binom

from synth_pipeline.audit.bound import (
    direct_bound,
    gaussian_bound,
    one_run_bound,
    one_run_p_value,
    share_above,
    share_below,
)
from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import gaussian_delta, gaussian_epsilon, gaussian_mu

DELTA = 1e-5
AUDITS, MOST_MISSES = 200, 25


def scores(mu: float, runs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(mu, 1, runs), rng.normal(0, 1, runs)


def test_the_number_of_misses_that_is_allowed_is_seldom_reached_by_a_sound_bound() -> None:
    assert binom.sf(MOST_MISSES - 1, AUDITS, 0.05) < 5e-5


@pytest.mark.parametrize("bound", [direct_bound, gaussian_bound])
@pytest.mark.parametrize("mu", [0.3, 2.0])
def test_a_bound_is_at_most_the_truth_as_often_as_it_says(bound, mu: float) -> None:
    truth = gaussian_epsilon(mu, DELTA)
    found = [bound(*scores(mu, 400, seed), delta=DELTA).epsilon for seed in range(AUDITS)]
    assert sum(epsilon > truth for epsilon in found) <= MOST_MISSES


@pytest.mark.parametrize("bound", [direct_bound, gaussian_bound])
def test_scores_that_tell_nothing_give_a_bound_of_zero_as_often_as_it_says(bound) -> None:
    found = [bound(*scores(0.0, 400, seed), delta=DELTA).epsilon for seed in range(AUDITS)]
    assert sum(epsilon > 0 for epsilon in found) <= MOST_MISSES


@pytest.mark.parametrize("mu", [0.3, 2.0])
def test_a_bound_at_a_threshold_known_beforehand_holds_as_often_and_shows_more(mu: float) -> None:
    truth, misses, found, chosen = gaussian_epsilon(mu, DELTA), 0, [], []
    for seed in range(AUDITS):
        with_person, without = scores(mu, 400, seed)
        middle = gaussian_bound(with_person, without, delta=DELTA, threshold=mu / 2).epsilon
        misses += middle > truth
        found.append(middle)
        chosen.append(gaussian_bound(with_person, without, delta=DELTA).epsilon)
    assert misses <= MOST_MISSES
    assert np.mean(found) > np.mean(chosen)


@pytest.mark.parametrize("epsilon, least", [(1.0, 0.8), (3.0, 2.65), (10.0, 9.3)])
def test_twenty_thousand_runs_show_most_of_a_gaussian_epsilon(epsilon: float, least: float) -> None:
    mu = gaussian_mu(epsilon, DELTA)
    found = [gaussian_bound(*scores(mu, 20_000, seed), delta=DELTA).epsilon for seed in range(5)]
    assert least <= np.median(found) <= epsilon


def test_the_direct_bound_needs_no_gaussian_and_shows_a_leak_that_happens_seldom() -> None:
    rng = np.random.default_rng(0)
    with_person = (rng.random(20_000) < 0.01).astype(float)
    without = np.zeros(20_000)
    found = direct_bound(with_person, without, delta=DELTA)
    assert 2.5 < found.epsilon < np.log(0.01 * 20_000)
    assert found.method == "direct"
    assert direct_bound(with_person, without, delta=0.02).epsilon == 0.0


@pytest.mark.parametrize("bound", [direct_bound, gaussian_bound])
def test_both_directions_are_looked_at(bound) -> None:
    high, low = scores(1.5, 5000, 1)
    assert bound(-low, -high, delta=DELTA).epsilon > 0.5 * bound(high, low, delta=DELTA).epsilon > 0
    rare = (np.random.default_rng(0).random(5000) < 0.05).astype(float)
    assert direct_bound(-np.zeros(5000), -rare, delta=DELTA).epsilon > 1


def test_clopper_pearson_bounds_are_those_of_the_binomial() -> None:
    low, high = share_above(7, 50, 0.025), share_below(7, 50, 0.025)
    assert binom.sf(6, 50, low) == pytest.approx(0.025)
    assert binom.cdf(7, 50, high) == pytest.approx(0.025)
    assert (share_above(0, 50, 0.025), share_below(50, 50, 0.025)) == (0.0, 1.0)


@pytest.mark.parametrize("epsilon, least", [(1.0, 0.9), (3.0, 2.6)])
def test_one_run_of_randomised_answers_shows_most_of_its_epsilon(epsilon: float, least: float) -> None:
    rng = np.random.default_rng(0)
    right = int((rng.random(5000) < 1 / (1 + np.exp(-epsilon))).sum())
    found = one_run_bound(right, 5000, canaries=5000, delta=0.0)
    assert least <= found.epsilon <= epsilon + 0.1


def test_a_one_run_bound_is_at_most_the_truth_as_often_as_it_says() -> None:
    rng, epsilon = np.random.default_rng(1), 0.5
    right = rng.binomial(300, 1 / (1 + np.exp(-epsilon)), AUDITS)
    found = [one_run_bound(int(hits), 300, canaries=300, delta=0.0).epsilon for hits in right]
    assert sum(value > epsilon for value in found) <= MOST_MISSES


def test_delta_and_abstentions_lower_a_one_run_bound() -> None:
    exact = one_run_bound(190, 200, canaries=1000, delta=0.0).epsilon
    assert one_run_bound(190, 200, canaries=1000, delta=1e-4).epsilon < exact
    assert one_run_bound(190, 300, canaries=1000, delta=0.0).epsilon < exact
    assert one_run_bound(100, 200, canaries=1000, delta=0.0).epsilon == 0.0
    assert one_run_p_value(1.0, 0, 10, canaries=10, delta=0.1) == 1.0


def test_the_true_gaussian_passes_its_own_delta() -> None:
    """What the bounds are compared with: gaussian_epsilon inverts gaussian_delta."""
    assert gaussian_delta(2.0, gaussian_epsilon(2.0, DELTA)) == pytest.approx(DELTA, rel=1e-6)


@pytest.mark.parametrize("counts", [(5, 4, 10), (3, 11, 10), (-1, 4, 10)])
def test_counts_that_do_not_nest_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(PrivacyError, match="do not nest"):
        one_run_bound(counts[0], counts[1], canaries=counts[2], delta=0.0)


def test_too_few_runs_are_refused() -> None:
    with pytest.raises(PrivacyError, match="fewer than 20 runs"):
        gaussian_bound(np.zeros(10), np.zeros(1000), delta=DELTA)
