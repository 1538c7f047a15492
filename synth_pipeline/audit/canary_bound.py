"""Scores of canaries, and the lower bound on ε of DP-SGD that they prove.

A canary's coordinates x_1 … x_T are, under the claim, Bernoulli(q) + N(0, σ²) each if it is in and N(0, σ²) if it is out: one run of the
one-person mechanism. Scores: the log-likelihood ratio of the two laws (Neyman and Pearson: nothing tells better, for an adversary who is
not told the batches), and the range max − min (which tells where noise repeats, and the ratio does not).

A point (false, true) of a trade-off curve that two Clopper–Pearson bounds prove refutes every (q, σ′, T) whose curve lies below it. The
bound on ε is that of the smallest noise that is refuted: the mechanism is no better than DP-SGD with the same rate and steps and that
noise. Curves are privacy-loss distributions, so an honest run is refuted at its own noise in no more than the stated share of audits.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from synth_pipeline.audit.bound import LowerBound, chosen_rates, one_run_bound, share_above, share_below
from synth_pipeline.privacy.composition import composed_epsilon
from synth_pipeline.privacy.events import SubsampledGaussianEvent

Floats = npt.NDArray[np.floating]

GUESSED_SHARE = 0.05
"""Share of canaries guessed by the one-run bound, half of them as in and half as out; fixed before any score is seen."""

PILOT_FAILURE_SHARE = 0.2
"""Share of the failure probability for events chosen on a pilot; the rest is for the one fixed beforehand."""

_LOSSES = np.linspace(0.0, 14.0, 57)
_LOSS_INTERVAL = 2e-3
_LEAST_NOISE = 0.3
_BISECTIONS = 9


@dataclass(frozen=True, eq=False)
class CanaryScores:
    """Scores of all canaries, higher for in.

    Attributes:
        ratio: log-likelihood ratio of in against out (canaries,).
        spread: largest less smallest coordinate (canaries,).
        is_in: whether the canary was in the table (canaries,).
    """

    ratio: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    is_in: npt.NDArray[np.bool_]


def score_canaries(coordinates: Floats, is_in: npt.NDArray[np.bool_], event: SubsampledGaussianEvent) -> CanaryScores:
    """Both scores of every canary.

    Shapes:
        coordinates (steps, canaries).
    """
    q, variance = event.sample_rate, event.noise_multiplier**2
    out = math.log1p(-q) if q < 1 else -math.inf
    ratio = np.zeros(coordinates.shape[1])
    for step in coordinates:
        ratio += np.logaddexp(out, math.log(q) + (step.astype(np.float64) - 0.5) / variance)
    return CanaryScores(ratio, np.ptp(coordinates, axis=0).astype(np.float64), is_in)


def training_bound(
    scores: CanaryScores, event: SubsampledGaussianEvent, *, delta: float, confidence: float = 0.95
) -> LowerBound:
    """Lower bound on the training's ε at δ, in the claim's own family (see the module).

    Args:
        scores: of independent canaries.
        event: what was charged; its rate and steps span the family.
        delta: δ of the claim.
        confidence: chance that the bound holds; half of what is left goes to each score.
    """
    noise = _refuted_noise(event, max(_proven_points(scores, confidence), key=lambda point: _separation(*point)))
    epsilon = composed_epsilon([replace(event, noise_multiplier=noise)], delta) if math.isfinite(noise) else 0.0
    return LowerBound(epsilon, delta, confidence, "DP-SGD of the claimed rate and steps", len(scores.is_in))


def is_refuted(scores: CanaryScores, event: SubsampledGaussianEvent, *, confidence: float) -> bool:
    """Whether the canaries contradict the claimed noise itself; an honest run does so with probability below 1 − confidence."""
    return any(_refutes(event, point) for point in _proven_points(scores, confidence))


def guessing_bound(scores: CanaryScores, *, delta: float, confidence: float = 0.95) -> LowerBound:
    """The one-run bound, for any mechanism and any dependence between canaries: those with the most telling ratios are guessed."""
    canaries = len(scores.is_in)
    order = np.argsort(scores.ratio, kind="stable")
    half = max(int(GUESSED_SHARE * canaries / 2), 1)
    correct = int((~scores.is_in[order[:half]]).sum() + scores.is_in[order[-half:]].sum())
    return one_run_bound(correct, 2 * half, canaries=canaries, delta=delta, confidence=confidence)


def _proven_points(scores: CanaryScores, confidence: float) -> list[tuple[float, float]]:
    """Rates of three events (true from below, false from above), which all hold at once with the given confidence.

    The event "the ratio speaks for in", fixed beforehand, gets most of the failure probability and all canaries; one event of either score
    is chosen on a pilot part of the canaries, for mechanisms that are far from the claim.
    """
    alpha = 1 - confidence
    sides = [score[side] for score in (scores.ratio, scores.spread) for side in (scores.is_in, ~scores.is_in)]
    fixed = (1 - PILOT_FAILURE_SHARE) * alpha / 2
    first = (
        share_above(int((sides[0] > 0).sum()), len(sides[0]), fixed),
        share_below(int((sides[1] > 0).sum()), len(sides[1]), fixed),
    )
    each = 1 - PILOT_FAILURE_SHARE * alpha / 2
    return [first, *(chosen_rates(inside, outside, each, _separation) for inside, outside in (sides[:2], sides[2:]))]


def _separation(true: float, false: float) -> float:
    return float(ndtri(true) - ndtri(false)) if true > 0 and false < 1 else 0.0


def _refuted_noise(event: SubsampledGaussianEvent, point: tuple[float, float]) -> float:
    """The smallest noise multiplier whose training a point refutes; infinite if it refutes none."""
    least, most = math.log(min(_LEAST_NOISE, event.noise_multiplier)), math.log(16 * event.noise_multiplier)
    if not _refutes(replace(event, noise_multiplier=math.exp(most)), point):
        return math.inf
    if _refutes(replace(event, noise_multiplier=math.exp(least)), point):
        return math.exp(least)
    for _ in range(_BISECTIONS):
        middle = (least + most) / 2
        if _refutes(replace(event, noise_multiplier=math.exp(middle)), point):
            most = middle
        else:
            least = middle
    return math.exp(most)


def _refutes(event: SubsampledGaussianEvent, point: tuple[float, float]) -> bool:
    """Whether P ≤ e^ε Q + δ(ε) fails for some ε, for the event or for its complement."""
    true, false = point
    if true <= false:
        return False
    deltas = _curve(event.noise_multiplier, event.sample_rate, event.steps)
    return bool(((true > np.exp(_LOSSES) * false + deltas) | (1 - false > np.exp(_LOSSES) * (1 - true) + deltas)).any())


@lru_cache(maxsize=256)
def _curve(noise_multiplier: float, sample_rate: float, steps: int) -> npt.NDArray[np.float64]:
    """δ of a training at each ε of a grid; the discretisation errs upwards, which refutes less."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    one = pld.from_gaussian_mechanism(
        noise_multiplier, sampling_prob=sample_rate, value_discretization_interval=_LOSS_INTERVAL
    )
    return np.asarray(one.self_compose(steps).get_delta_for_epsilon(_LOSSES.tolist()), dtype=np.float64)
