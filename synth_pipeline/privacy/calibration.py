"""Calibration: the noise that DP-SGD needs to stay within what a walk has left.

Belongs here: searches over the accountants. Does not: the accountants (composition), nor plans (plan).
"""

import math
from collections.abc import Callable, Sequence

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.composition import composed_epsilon, pooled_mu_squared
from synth_pipeline.privacy.events import Event, GaussianPoolEvent, SubsampledGaussianEvent
from synth_pipeline.privacy.gaussian_dp import check_epsilon_delta, gaussian_mu

EPSILON_TOLERANCE = 1e-4
"""The calibrated walk costs at least 1 − this of its ε, and never more than its ε."""


def calibrate_noise_multiplier(
    *, before: Sequence[Event] | float, sample_rate: float, steps: int, epsilon: float, delta: float
) -> float:
    """Return the smallest noise multiplier that keeps DP-SGD, after what is charged before it, within (ε, δ).

    Args:
        before: the walk's other events, or their Gaussian budget μ² as a number (0 for none).
        sample_rate: chance of each unit to be in a batch.
        steps: how many steps.
        epsilon: the whole walk's ε.
        delta: the whole walk's δ.

    Returns:
        The multiplier; the walk with it costs between ε·(1 − 1e-4) and ε, found by interpolating log ε in log σ.

    Raises:
        PrivacyError: when what is charged before leaves nothing for DP-SGD, or an argument is out of range.
    """
    check_epsilon_delta(epsilon, delta)
    if isinstance(before, int | float):
        others: tuple[Event, ...] = (GaussianPoolEvent(float(before)),) if before > 0 else ()
    else:
        others = tuple(before)
    spent = composed_epsilon(others, delta)
    if spent >= epsilon:
        raise PrivacyError(f"epsilon {epsilon:g} leaves nothing for DP-SGD: the events before it cost {spent:.6g}")

    def excess(log_noise: float) -> float:
        step = SubsampledGaussianEvent(math.exp(log_noise), sample_rate, steps)
        return math.log(composed_epsilon((*others, step), delta) / epsilon)

    guess = _expected_noise(others, sample_rate, steps, level=(epsilon, delta))
    return math.exp(_smallest_within(excess, math.log(guess)))


def _expected_noise(others: Sequence[Event], sample_rate: float, steps: int, *, level: tuple[float, float]) -> float:
    """Guess the multiplier from the central limit of DP-SGD, μ² = steps·q²·(e^(1/σ²) − 1) (Bu et al. 2020)."""
    whole = gaussian_mu(*level) ** 2
    left = max(whole - pooled_mu_squared(others), 1e-3 * whole)
    return 1 / math.sqrt(math.log1p(left / (steps * sample_rate**2)))


def _smallest_within(excess: Callable[[float], float], guess: float) -> float:
    """Return a point where a falling function lies in [−tolerance, 0], or the safe side of the narrowest bracket."""
    low, high = _bracket(excess, guess)
    for _ in range(60):
        if high[1] >= -EPSILON_TOLERANCE or high[0] - low[0] < EPSILON_TOLERANCE / 100:
            break
        # Aim a little inside, so that the interpolated point lands on the safe side; keep off the bracket's ends.
        share = (low[1] + EPSILON_TOLERANCE / 2) / (low[1] - high[1])
        point = low[0] + min(max(share, 0.02), 0.98) * (high[0] - low[0])
        value = excess(point)
        low, high = ((point, value), high) if value > 0 else (low, (point, value))
    return high[0]


def _bracket(excess: Callable[[float], float], guess: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Step out from a guess, in strides that double, until one side is too little noise and the other enough."""
    here = (guess, excess(guess))
    direction, stride = (1 if here[1] > 0 else -1), 0.02
    while abs(here[0]) < math.log(1e6):
        there_at = here[0] + direction * stride
        there = (there_at, excess(there_at))
        if (there[1] > 0) != (here[1] > 0):
            return (here, there) if direction > 0 else (there, here)
        here, stride = there, 2 * stride
    raise PrivacyError("DP-SGD: no noise multiplier between 1e-6 and 1e6 meets the budget; change epsilon or the steps")
