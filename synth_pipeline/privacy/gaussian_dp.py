"""Gaussian differential privacy: exact conversions, and what a discrete Gaussian costs in it.

Belongs here: closed formulas in μ. Does not: composition of other mechanisms (accounting).

Sources: Dong, Roth and Su 2022 ("Gaussian Differential Privacy", Corollary 2.13 and Corollary 3.3); Balle and Wang
2018 (the same curve as the analytic Gaussian mechanism, Theorem 8); Canonne, Kamath and Steinke 2020.

Why a discrete Gaussian may be charged as a Gaussian. Let X be discrete Gaussian noise of scale σ. The trade-off curve
of X against X+1 is the chord polygon through the points (P[X ≥ k+1], 1 − P[X ≥ k]), k an integer, because the
likelihood ratio is monotone. The curve of μ-GDP is convex, so it lies below that polygon as soon as it lies below
every vertex, that is when μ ≥ z(k+1) − z(k) for every k, with z(k) the upper normal quantile of P[X ≥ k]. The largest
difference is the one at k = 0, and squared it is below 1/(σ² − c) with c = 0.0843 for every σ ≥ 1.5 (c tends to 1/12
from above, the variance of rounding). A shift by s is s shifts by one, so its μ is at most s times as large. Gaussian
DP then composes exactly: releases of several answers, or spread over cells, cost the sum of their squares.
"""

import math
from collections.abc import Callable

from scipy.special import log_ndtr, ndtr, ndtri

from synth_pipeline.errors import PrivacyError

DOMINATION_OFFSET = 0.0843
MIN_SIGMA = 1.5
_LARGEST_MU = 1e4


def check_epsilon_delta(epsilon: float, delta: float) -> None:
    """Refuse a pair that is no privacy level.

    Raises:
        PrivacyError: when epsilon is not a finite number above 0, or delta does not lie between 0 and 1.
    """
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise PrivacyError(f"epsilon is {epsilon!r}; it must be a finite number above 0")
    check_delta(delta)


def check_delta(delta: float) -> None:
    """Refuse a δ outside (0, 1).

    Raises:
        PrivacyError: when delta does not lie between 0 and 1.
    """
    if not 0 < delta < 1:
        raise PrivacyError(f"delta is {delta!r}; it must lie between 0 and 1")


def bisect_crossing(is_right: Callable[[float], bool], left: float, right: float) -> tuple[float, float]:
    """Narrow [left, right] to where a monotone predicate turns true, to the resolution of floats.

    Returns:
        The last point found false and the first found true; `right` is trusted to be true.
    """
    for _ in range(200):
        middle = 0.5 * (left + right)
        if middle <= left or middle >= right:
            break
        if is_right(middle):
            right = middle
        else:
            left = middle
    return left, right


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Return the exact δ at `epsilon` of a μ-GDP mechanism, Φ(−ε/μ + μ/2) − e^ε Φ(−ε/μ − μ/2).

    Example:
        >>> round(gaussian_delta(1.0, 1.0), 6)
        0.126937
    """
    if mu <= 0:
        return 0.0
    first = float(log_ndtr(-epsilon / mu + mu / 2))
    second = epsilon + float(log_ndtr(-epsilon / mu - mu / 2))
    return math.exp(first) * -math.expm1(min(second - first, 0.0))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Return the smallest ε ≥ 0 at which a μ-GDP mechanism is (ε, δ)-DP; the rounding is upwards.

    Raises:
        PrivacyError: when delta does not lie between 0 and 1, or μ is beyond any use.
    """
    check_delta(delta)
    if gaussian_delta(mu, 0.0) <= delta:
        return 0.0
    if mu > _LARGEST_MU:
        raise PrivacyError(f"μ is {mu:.3g}; a release that weak is not differential privacy: add noise")
    # Φ(−ε/μ + μ/2) ≤ δ alone suffices, which bounds ε from above.
    upper = mu * (mu / 2 - float(ndtri(delta))) + 1.0
    return bisect_crossing(lambda epsilon: gaussian_delta(mu, epsilon) <= delta, 0.0, upper)[1]


def gaussian_mu(epsilon: float, delta: float) -> float:
    """Return the largest μ whose μ-GDP is (ε, δ)-DP; the rounding is downwards.

    Raises:
        PrivacyError: for an epsilon or delta out of range.

    Example:
        >>> round(gaussian_mu(1.0, 1e-5), 4)
        0.2681
    """
    check_epsilon_delta(epsilon, delta)
    upper = 1.0
    while gaussian_delta(upper, epsilon) <= delta:
        upper *= 2
    return bisect_crossing(lambda mu: gaussian_delta(mu, epsilon) > delta, 0.0, upper)[0]


def gdp_cost(sigma: float, sensitivity: int = 1, count: int = 1) -> float:
    """Return the μ² that discrete Gaussian noise of scale `sigma` costs: s²·count / (σ² − 0.0843).

    Raises:
        PrivacyError: when sigma is below 1.5, where the bound has not been established.

    Source: the module's docstring; the tests compare the two curves vertex by vertex.
    """
    if not sigma >= MIN_SIGMA:
        raise PrivacyError(
            f"discrete Gaussian: sigma is {sigma:.4g}, below {MIN_SIGMA}, where its cost is not bounded here; "
            "ask for less budget for this release, or spread it over more answers"
        )
    return sensitivity**2 * count / (sigma**2 - DOMINATION_OFFSET)


def sigma_for_cost(cost: float, sensitivity: int = 1, count: int = 1) -> float:
    """Return the scale of discrete Gaussian noise whose cost is `cost` in μ², the inverse of `gdp_cost`.

    The scale is rounded so that `gdp_cost` of it never passes `cost`. A cost that would allow a scale below 1.5
    gets 1.5; the rest of it is left unspent.

    Raises:
        PrivacyError: when the cost is not a finite number above 0.
    """
    if not (math.isfinite(cost) and cost > 0):
        raise PrivacyError(f"discrete Gaussian: the cost μ² is {cost!r}; it must be a finite number above 0")
    sigma = max(MIN_SIGMA, math.sqrt(sensitivity**2 * count / cost + DOMINATION_OFFSET))
    while gdp_cost(sigma, sensitivity, count) > cost:
        sigma = math.nextafter(sigma, math.inf)
    return sigma


def bounded_range_mu(epsilon: float) -> float:
    """Return the μ of the Gaussian DP that covers one exponential-mechanism choice of bounded range ε.

    A privacy loss confined to [t − ε, t] is dominated by two outcomes with those losses; their trade-off curve has one
    inner vertex (p, q), so μ = Φ⁻¹(p) − Φ⁻¹(q), maximised over t (Dong, Durfee and Rogers 2020 for the two outcomes).
    About 0.627 ε for small ε. By symmetry and concavity the maximum is at t = ε/2; the tests scan the others.

    Example:
        >>> round(bounded_range_mu(0.1), 4)
        0.0627
    """
    return 2 * float(ndtri(1 / (1 + math.exp(-epsilon / 2))))


def pure_mu(epsilon: float) -> float:
    """Return the μ of the Gaussian DP that covers an ε-DP mechanism, 2Φ⁻¹(e^ε/(1 + e^ε)); about 1.25 ε for small ε.

    Every ε-DP mechanism, interactive ones included, is a post-processing of randomized response (Kairouz, Oh and Viswanath 2015; Lyu
    2022; Vadhan and Zhang 2023), whose trade-off curve has one inner vertex (q, q), q = 1/(1 + e^ε). The curve of μ-GDP lies below it
    as soon as it lies below that vertex (docs/proofs/above_threshold.md). A loss in [−ε, ε] has range 2ε, hence the formula below.

    Example:
        >>> round(pure_mu(0.1), 4)
        0.1253
    """
    return bounded_range_mu(2 * epsilon)


def pure_epsilon_for_cost(cost: float) -> float:
    """Return the ε of an ε-DP mechanism whose cost is `cost` in μ², rounded so that `pure_mu(ε)²` never passes `cost`.

    Raises:
        PrivacyError: when the cost is not a finite number above 0.

    Example:
        >>> round(pure_epsilon_for_cost(pure_mu(0.1) ** 2), 6)
        0.1
    """
    return choice_epsilon_for_cost(cost) / 2


def choice_epsilon_for_cost(cost: float) -> float:
    """Return the bounded range ε of an exponential-mechanism choice whose cost is `cost` in μ².

    The inverse of `bounded_range_mu`, rounded so that `bounded_range_mu(ε)²` never passes `cost`.

    Raises:
        PrivacyError: when the cost is not a finite number above 0.

    Example:
        >>> round(choice_epsilon_for_cost(bounded_range_mu(0.1) ** 2), 6)
        0.1
    """
    if not (math.isfinite(cost) and cost > 0):
        raise PrivacyError(f"exponential mechanism: the cost μ² is {cost!r}; it must be a finite number above 0")
    below = float(ndtr(-math.sqrt(cost) / 2))
    epsilon = 2 * (math.log1p(-below) - math.log(below))
    while bounded_range_mu(epsilon) ** 2 > cost:
        epsilon -= 4e-16 * max(epsilon, 1.0)
    return epsilon
