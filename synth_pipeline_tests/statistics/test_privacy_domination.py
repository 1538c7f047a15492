"""A discrete Gaussian is covered by the Gaussian it is charged as, and the accountants agree with one another."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp, ndtri_exp

from synth_pipeline.privacy.accounting import (
    DOMINATION_OFFSET,
    bounded_range_mu,
    composed_epsilon,
    gaussian_delta,
    gaussian_epsilon,
    gdp_cost,
)
from synth_pipeline.privacy.events import DiscreteGaussianEvent, GaussianPoolEvent


def vertex_quantiles(sigma, reach):
    """Upper normal quantiles z(k) of P[X ≥ k] for k from 1 − reach to reach, from the logarithm of the mass function."""
    support = np.arange(0, reach + math.ceil(45 * sigma) + 1, dtype=float)
    log_mass = -0.5 * (support / sigma) ** 2
    log_total = logsumexp(np.concatenate([log_mass, log_mass[1:]]))
    log_tails = np.logaddexp.accumulate(log_mass[::-1])[::-1] - log_total
    upper = -ndtri_exp(log_tails[1 : reach + 1])
    return np.concatenate([-upper[::-1], upper])  # P[X ≥ 1 − k] = 1 − P[X ≥ k]


@pytest.mark.parametrize("sigma", [1.5, 1.51, 1.6, 1.75, 2.0, 2.5, 3.3, 5.0, 10.0, 47.0, 300.0, 2000.0])
@pytest.mark.parametrize("sensitivity", [1, 2, 3, 8])
def test_no_vertex_of_the_discrete_trade_off_curve_is_below_the_charged_gaussian(sigma, sensitivity):
    z = vertex_quantiles(sigma, math.ceil(30 * sigma) + sensitivity)
    steepest = float((z[sensitivity:] - z[:-sensitivity]).max())
    assert steepest <= math.sqrt(gdp_cost(sigma, sensitivity))
    # The bound is no looser than it says: within one part in a thousand of the truth.
    assert steepest >= 0.998 * math.sqrt(gdp_cost(sigma, sensitivity)) or sensitivity > sigma


@pytest.mark.parametrize("sigma", [1.5, 3.0, 30.0, 1e3, 1e4])
def test_the_steepest_vertex_is_the_central_one(sigma):
    # z(1) − z(0) = 2·Φ⁻¹(½ + P[X = 0]/2); the series keeps its digits where σ is large.
    mass = 1 / np.exp(-0.5 * (np.arange(-50 * int(sigma + 1), 50 * int(sigma + 1) + 1) / sigma) ** 2).sum()
    half = mass / 2
    odd = half + 2 * math.pi * half**3 / 6 + 7 * (2 * math.pi) ** 2 * half**5 / 120
    odd += 127 * (2 * math.pi) ** 3 * half**7 / 5040 + 4369 * (2 * math.pi) ** 4 * half**9 / 362880
    central = 2 * math.sqrt(2 * math.pi) * odd
    assert central <= math.sqrt(gdp_cost(sigma))


def test_a_smaller_offset_would_be_rejected_at_the_smallest_scale():
    z = vertex_quantiles(1.5, 40)
    steepest = float(np.diff(z).max())
    assert steepest > 1 / math.sqrt(1.5**2 - (DOMINATION_OFFSET - 1e-4))


@pytest.mark.parametrize("sigma, count", [(1.5, 1), (3.0, 2), (20.0, 1), (20.0, 50), (300.0, 300)])
def test_loss_distributions_and_gaussian_dp_agree_on_discrete_gaussians(sigma, count):
    by_gdp = gaussian_epsilon(math.sqrt(gdp_cost(sigma, 1, count)), 1e-5)
    truth = composed_epsilon([DiscreteGaussianEvent(sigma, 1, count)], 1e-5)
    assert truth <= by_gdp
    assert truth >= by_gdp * (1 - 0.5 * DOMINATION_OFFSET / sigma - 1e-6)


def test_the_composed_epsilon_of_two_answers_is_what_summing_their_outcomes_gives():
    sigma, delta = 3.0, 1e-4
    x = np.arange(-60, 61)
    mass = np.exp(-0.5 * (x / sigma) ** 2) / np.exp(-0.5 * (x / sigma) ** 2).sum()
    moved = np.exp(-0.5 * ((x - 1) / sigma) ** 2) / np.exp(-0.5 * (x / sigma) ** 2).sum()
    here, there = np.outer(moved, moved), np.outer(mass, mass)

    def exact_delta(epsilon):
        return float(np.maximum(here - math.exp(epsilon) * there, 0).sum())

    reported = composed_epsilon([DiscreteGaussianEvent(sigma, 1, 2)], delta)
    assert exact_delta(reported) <= delta * (1 + 1e-9)
    assert exact_delta(reported - 0.01) > delta


@pytest.mark.parametrize("rows", [2, 3, 5])
@pytest.mark.parametrize("sigma", [1.5, 4.0])
def test_rows_in_one_cell_are_charged_for_every_way_they_may_spread(sigma, rows):
    """One unit's rows all in one cell, or spread: Σ of squared quantile steps never passes the charge for one cell."""
    z = vertex_quantiles(sigma, math.ceil(30 * sigma) + rows)
    step = [0.0] + [float((z[s:] - z[:-s]).max()) for s in range(1, rows + 1)]
    for first in range(rows + 1):
        assert step[first] ** 2 + step[rows - first] ** 2 <= gdp_cost(sigma, rows)


@pytest.mark.parametrize("epsilon", [0.01, 0.5, 2.0, 8.0])
def test_a_bounded_range_choice_is_covered_whatever_its_range_is_centred_on(epsilon):
    mu = bounded_range_mu(epsilon)
    for top in np.linspace(0.001, 0.999, 201) * epsilon:
        q = -math.expm1(top - epsilon) / (math.exp(top) - math.exp(top - epsilon))
        p = q * math.exp(top)
        for level in np.linspace(-epsilon, epsilon, 41):
            for one, other in ((p, q), (1 - p, 1 - q)):
                assert max(one - math.exp(level) * other, 0) <= max(_real_delta(mu, level), 0) + 1e-12


def _real_delta(mu, level):
    """δ of μ-GDP at any real ε: for ε < 0 by the symmetry δ(ε) = 1 − e^ε + e^ε·δ(−ε)."""
    if level >= 0:
        return gaussian_delta(mu, level)
    return -math.expm1(level) + math.exp(level) * gaussian_delta(mu, -level)


def test_a_pool_and_its_loss_distribution_agree_beside_training():
    from dp_accounting.pld import privacy_loss_distribution as pld

    one = pld.from_gaussian_mechanism(2.0, sampling_prob=0.1).self_compose(50)
    whole = one.compose(pld.from_gaussian_mechanism(10.0))
    from synth_pipeline.privacy.events import SubsampledGaussianEvent

    ours = composed_epsilon([GaussianPoolEvent(0.01), SubsampledGaussianEvent(2.0, 0.1, 50)], 1e-5)
    assert ours == pytest.approx(float(whole.get_epsilon_for_delta(1e-5)), rel=1e-6)
