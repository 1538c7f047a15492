"""Noise has the distribution that is charged for: the claimed scale is accepted, ×0.7 and ×1.3 are rejected.

False alarms: each acceptance test of the secure source fails by chance once in a million runs (two-sided χ²).
"""

import numpy as np
import pytest
from scipy.stats import chi2

from synth_pipeline.privacy.mechanisms.exponential import choose
from synth_pipeline.privacy.mechanisms.stability import KeyReach, discovery_threshold
from synth_pipeline.privacy.noise import SecureNoise
from synth_pipeline_tests.seeded_noise import SeededNoise

FALSE_ALARM = 1e-6
DRAWS = 4000


def has_scale(drawn, sigma):
    """Accept when Σx²/σ² is where χ² with as many degrees of freedom puts it but for one in a million."""
    statistic = float((drawn.astype(float) ** 2).sum()) / sigma**2
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], drawn.size)
    return bool(low <= statistic <= high)


@pytest.mark.parametrize("sigma", [1.5, 4.3, 50.0, 12_345.6])
def test_secure_noise_has_the_claimed_scale_and_not_less_or_more(sigma):
    source = SecureNoise()
    assert has_scale(source.discrete_gaussian(DRAWS, sigma), sigma)
    # Power: at these scales Σx²/σ² sits more than 20 standard deviations outside; a miss has no measurable chance.
    assert not has_scale(source.discrete_gaussian(DRAWS, 0.7 * sigma), sigma)
    assert not has_scale(source.discrete_gaussian(DRAWS, 1.3 * sigma), sigma)


@pytest.mark.parametrize("sigma", [1.5, 4.3, 50.0])
def test_the_seeded_source_of_the_tests_has_the_claimed_scale_too(sigma):
    assert has_scale(SeededNoise(11).discrete_gaussian(DRAWS, sigma), sigma)
    assert not has_scale(SeededNoise(11).discrete_gaussian(DRAWS, 0.7 * sigma), sigma)


@pytest.mark.parametrize("source", [SecureNoise(), SeededNoise(5)], ids=["secure", "seeded"])
def test_noise_follows_the_mass_function_cell_by_cell(source):
    sigma, draws = 1.7, 20_000
    support = np.arange(-6, 7)
    mass = np.exp(-0.5 * (np.arange(-40, 41) / sigma) ** 2)
    expected = np.exp(-0.5 * (support / sigma) ** 2) / mass.sum() * draws
    drawn = source.discrete_gaussian(draws, sigma)
    observed = np.array([(drawn == x).sum() for x in support])
    kept = expected > 5
    statistic = float(((observed - expected)[kept] ** 2 / expected[kept]).sum())
    assert statistic < chi2.ppf(1 - FALSE_ALARM, int(kept.sum()))


@pytest.mark.parametrize("source", [SecureNoise(), SeededNoise(6)], ids=["secure", "seeded"])
def test_the_exponential_mechanism_chooses_with_the_charged_probabilities(source):
    scores, epsilon, draws = np.array([0.0, 2.0, 3.0]), 1.2, 3000
    picked = [choose(scores, epsilon=epsilon, sensitivity=1.0, noise=source).index for _ in range(draws)]
    weights = np.exp(epsilon * scores / 2)
    expected = draws * weights / weights.sum()
    statistic = float(((np.bincount(picked, minlength=3) - expected) ** 2 / expected).sum())
    assert statistic < chi2.ppf(1 - FALSE_ALARM, 2)
    twice_as_bold = np.exp(epsilon * scores)
    assert abs(expected[2] - draws * twice_as_bold[2] / twice_as_bold.sum()) > 10 * np.sqrt(draws) / 2


@pytest.mark.parametrize("rows", [(1,), (3,), (2, 1), (1, 1, 1)], ids=str)
def test_a_lone_units_keys_are_published_with_at_most_the_charged_delta(rows):
    """Runs the mechanism on the keys of one unit alone 40,000 times; false alarm below 1e-6 (five standard deviations)."""
    sigma, delta, runs = 4.0, 0.02, 40_000
    threshold = discovery_threshold(sigma, delta, reach=KeyReach(sum(rows)))
    noisy = np.array(rows) + SecureNoise().discrete_gaussian(runs * len(rows), sigma).reshape(runs, len(rows))
    assert (noisy > threshold).any(axis=1).mean() <= delta + 5 * np.sqrt(delta / runs)


@pytest.mark.parametrize("rows", [(1,), (3,), (4,), (2, 1), (1, 1, 1), (1, 1, 1, 1)], ids=str)
def test_a_lone_persons_weighted_keys_are_published_with_at_most_the_charged_delta(rows):
    """The same for a person of at most four rows, each weighing 12 / (number of rows); false alarm below 1e-6."""
    sigma, delta, runs = 48.0, 0.02, 40_000
    threshold = discovery_threshold(sigma, delta, reach=KeyReach(4, 12))
    weights = np.array(rows) * (12 // sum(rows))
    noisy = weights + SecureNoise().discrete_gaussian(runs * len(rows), sigma).reshape(runs, len(rows))
    assert (noisy > threshold).any(axis=1).mean() <= delta + 5 * np.sqrt(delta / runs)


def test_a_threshold_two_rows_too_low_would_be_caught():
    sigma, delta, runs = 4.0, 0.02, 40_000
    threshold = discovery_threshold(sigma, delta, reach=KeyReach()) - 2
    noisy = 1 + SecureNoise().discrete_gaussian(runs, sigma)
    assert (noisy > threshold).mean() > delta + 5 * np.sqrt(delta / runs)
