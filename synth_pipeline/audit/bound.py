"""Lower bounds on ε, with confidence, from scores of runs with and without one person.

Every bound holds with probability at least its confidence, whatever the scores are: a bad score only makes it low. The threshold is chosen
on a part of the runs that is not used again.

Sources:
    Nasr et al. 2023 ("Tight auditing of differentially private machine learning", arXiv 2302.07956): Clopper–Pearson, and the bound on μ of
    Gaussian DP. Steinke, Nasr and Jagielski 2023 ("Privacy auditing with one (1) training run", arXiv 2305.08846), Theorem 5.2.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtri

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import check_delta, gaussian_epsilon

Scores = npt.NDArray[np.float64]

PILOT_SHARE = 0.2
"""Share of the runs that choose the threshold and are then left out."""

_THRESHOLDS = 100
_LARGEST_EPSILON = 100.0


@dataclass(frozen=True)
class LowerBound:
    """A lower bound on ε.

    Attributes:
        epsilon: the true ε at `delta` is at least this, with probability at least `confidence`.
        delta: the δ it is stated at.
        confidence: such as 0.95.
        method: "direct" (any mechanism), "gaussian" (a mechanism said to be Gaussian DP) or "one run".
        runs: runs or canaries it rests on.
    """

    epsilon: float
    delta: float
    confidence: float
    method: str
    runs: int

    def to_json(self) -> dict[str, Any]:
        """Plain data; `LowerBound(**content)` reads it back."""
        return asdict(self)


def share_above(hits: int, runs: int, alpha: float) -> float:
    """Lower Clopper–Pearson bound of a probability: the truth is above it but for a chance of `alpha`."""
    return 0.0 if hits <= 0 else float(betaincinv(hits, runs - hits + 1, alpha))


def share_below(hits: int, runs: int, alpha: float) -> float:
    """Upper Clopper–Pearson bound of a probability: the truth is below it but for a chance of `alpha`."""
    return 1.0 if hits >= runs else float(betaincinv(hits + 1, runs - hits, 1 - alpha))


def direct_bound(with_person: Scores, without: Scores, *, delta: float, confidence: float = 0.95) -> LowerBound:
    """The bound that assumes nothing about the mechanism: ε ≥ ln((P[E] − δ)/Q[E]) for an event E, in both directions.

    An ε above ln(runs) or so cannot be shown this way, because no smaller Q[E] can.

    Args:
        with_person: scores of independent runs on the table with the person; higher speaks for the person.
        without: scores of runs on the table without.
        delta: δ of the claim.
        confidence: chance that the bound holds.

    Raises:
        PrivacyError: if there are too few runs.
    """
    rates = chosen_rates(with_person, without, confidence, lambda true, false: _log_ratio(true, false, delta))
    found = max(_log_ratio(*rates, delta), 0.0)
    return LowerBound(found, delta, confidence, "direct", min(len(with_person), len(without)))


def gaussian_bound(
    with_person: Scores, without: Scores, *, delta: float, confidence: float = 0.95, threshold: float | None = None
) -> LowerBound:
    """The bound for a mechanism said to be Gaussian DP: μ ≥ Φ⁻¹(P[E]) − Φ⁻¹(Q[E]), turned into ε at δ.

    It is larger than the direct one, since one point of the trade-off curve fixes μ.

    Args:
        with_person: scores of independent runs on the table with the person; higher speaks for the person.
        without: scores of runs on the table without.
        delta: δ of the Gaussian part of the claim.
        confidence: chance that the bound holds.
        threshold: of the scores, where it is known beforehand (0 for log-likelihood ratios); then no run is left out.

    Raises:
        PrivacyError: if there are too few runs, or delta is out of range.
    """
    if threshold is None:
        true, false = chosen_rates(with_person, without, confidence, _mu)
    else:
        true, false = _rates([with_person, without], (threshold, 1), (1 - confidence) / 2)
    return LowerBound(
        gaussian_mu_epsilon(_mu(true, false), delta), delta, confidence, "gaussian", min(len(with_person), len(without))
    )


def gaussian_mu_epsilon(mu: float, delta: float) -> float:
    """ε at δ of μ-GDP, 0 for a μ that is not above 0."""
    check_delta(delta)
    return gaussian_epsilon(min(mu, 100.0), delta) if mu > 0 else 0.0


def one_run_bound(correct: int, guesses: int, *, canaries: int, delta: float, confidence: float = 0.95) -> LowerBound:
    """The bound from one run: each of many canaries was in with chance ½, and some were guessed, the rest abstained from.

    Args:
        correct: right guesses.
        guesses: guesses made; chosen by the scores alone.
        canaries: all canaries, guessed or not.
        delta: δ of the claim.
        confidence: chance that the bound holds.

    Raises:
        PrivacyError: if the counts do not nest.

    Source: Theorem 5.2; P[W ≥ v] ≤ β + 2mδα.
    """
    if not 0 <= correct <= guesses <= canaries:
        raise PrivacyError(f"one-run audit: {correct} right of {guesses} guesses of {canaries} canaries do not nest")
    low, high = 0.0, _LARGEST_EPSILON
    if one_run_p_value(low, correct, guesses, canaries=canaries, delta=delta) > 1 - confidence:
        high = 0.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        is_refuted = one_run_p_value(middle, correct, guesses, canaries=canaries, delta=delta) <= 1 - confidence
        low, high = (middle, high) if is_refuted else (low, middle)
    return LowerBound(low, delta, confidence, "one run", canaries)


def one_run_p_value(epsilon: float, correct: int, guesses: int, *, canaries: int, delta: float) -> float:
    """Chance of as many right guesses or more under (ε, δ)-DP, bounded from above."""
    from scipy.stats import binom

    share = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(correct - 1, guesses, share))
    if correct == 0 or delta == 0:
        return min(tail, 1.0)
    # max over i of P[v − i ≤ Binomial < v] / i
    below = np.cumsum(binom.pmf(np.arange(correct - 1, -1, -1), guesses, share))
    step = float((below / np.arange(1, correct + 1)).max())
    return min(tail + 2 * canaries * delta * step, 1.0)


def _log_ratio(true: float, false: float, delta: float) -> float:
    return math.log((true - delta) / false) if true > delta and false > 0 else -math.inf


def _mu(true: float, false: float) -> float:
    return float(ndtri(true) - ndtri(false)) if true > 0 and false < 1 else -math.inf


def chosen_rates(
    with_person: Scores, without: Scores, confidence: float, value: Callable[[float, float], float]
) -> tuple[float, float]:
    """Bounds (P[E] from below, Q[E] from above) of the event that a pilot part of the runs finds best for `value`."""
    if min(len(with_person), len(without)) < 20:
        raise PrivacyError("audit: fewer than 20 runs on a side say nothing; give more runs")
    alpha = (1 - confidence) / 2
    pilots = [scores[: max(int(PILOT_SHARE * len(scores)), 5)] for scores in (with_person, without)]
    rests = [scores[len(pilot) :] for scores, pilot in zip((with_person, without), pilots, strict=True)]
    pooled = np.unique(np.quantile(np.concatenate(pilots), np.linspace(0.0, 1.0, _THRESHOLDS)))
    # By the pilot's own bounds: an event that it saw seldom looks good by luck, and such bounds do not trust it.
    events = [(float(threshold), sign) for threshold in pooled for sign in (1, -1)]
    chosen = max(events, key=lambda event: value(*_rates(pilots, event, alpha)))
    return _rates(rests, chosen, alpha)


def _rates(sides: list[Scores], event: tuple[float, int], alpha: float) -> tuple[float, float]:
    """Clopper–Pearson bounds of P[E] from below and Q[E] from above, for E that a score is at least (sign 1) or at most a threshold."""
    threshold, sign = event
    first, second = sides if sign > 0 else sides[::-1]
    hits = [int((sign * scores >= sign * threshold).sum()) for scores in (first, second)]
    return share_above(hits[0], len(first), alpha), share_below(hits[1], len(second), alpha)
