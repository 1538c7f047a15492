"""Composition: what a transcript of events costs in ε at a δ.

Belongs here: transcripts fixed in advance. Does not: walks chosen one after another (adaptive), nor calibration.

Three bounds are at hand, each valid by itself, and the smallest is reported:

- **GDP**: every event but DP-SGD is covered by a Gaussian (see `gaussian_dp`), and Gaussians add up exactly.
- **PLD** (`dp_accounting`): privacy-loss distributions, the truth up to a discretisation that errs upwards. DP-SGD
  needs them. They have no event for a bounded-range choice, which enters as the Gaussian that covers it.
- **RDP** (`dp_accounting`): for transcripts with exponential-mechanism choices, whose bounded range costs only ε²/8
  zCDP (Cesar and Rogers 2021), less than the Gaussian that covers them. Few of them cost least by plain addition. The same
  holds of comparisons with a noisy threshold: ε-DP is a range of 2ε, ε²/2 zCDP.

A set union's δ′ is not a loss but a failure probability: all of them are taken off δ first, by ∏(1 + δ′) − 1.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.events import (
    AboveThresholdEvent,
    DiscoveryEvent,
    DiscreteGaussianEvent,
    Event,
    ExponentialEvent,
    GaussianPoolEvent,
    SubsampledGaussianEvent,
)
from synth_pipeline.privacy.gaussian_dp import bounded_range_mu, check_delta, gaussian_epsilon, gdp_cost, pure_mu

PLD_INTERVAL = 1e-4
"""Width of the privacy-loss grid; the reported ε is above the truth by less than this in every test."""

MOST_EXACT_KINDS = 48
"""Up to so many different discrete Gaussians are composed by their own loss distributions; more by their cover."""


def merge_events(events: Iterable[Event]) -> tuple[Event, ...]:
    """Add up equal events, whatever their labels, in an order that does not depend on theirs."""
    return _merged(tuple(events))


@lru_cache(maxsize=4096)
def _merged(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """Return what `merge_events` returns; remembered, because a ledger asks for the same walks at every admission."""
    counts: Counter[Event] = Counter()
    for event in events:
        plain = replace(event, stage="", purpose="", columns=())
        match plain:
            case SubsampledGaussianEvent():
                counts[replace(plain, steps=1)] += plain.steps
            case DiscreteGaussianEvent() | ExponentialEvent():
                counts[replace(plain, count=1)] += plain.count
            case _:
                counts[plain] += 1
    ordered = sorted(counts.items(), key=repr)
    return tuple(merged for event, times in ordered for merged in _repeated(event, times))


def _repeated(event: Event, times: int) -> list[Event]:
    match event:
        case SubsampledGaussianEvent():
            return [replace(event, steps=times)]
        case DiscreteGaussianEvent() | ExponentialEvent():
            return [replace(event, count=times)]
        case _:
            return [event] * times


def _gaussian_cover(event: Event) -> float:
    """Return the μ² of the Gaussian that covers an event; DP-SGD on sampled batches has none and counts 0 here."""
    match event:
        case DiscreteGaussianEvent():
            return gdp_cost(event.sigma, event.sensitivity, event.count)
        case DiscoveryEvent():
            return gdp_cost(event.sigma, event.sensitivity)
        case GaussianPoolEvent():
            return event.mu_squared
        case ExponentialEvent():
            return event.count * bounded_range_mu(event.epsilon) ** 2
        case AboveThresholdEvent():
            return pure_mu(event.epsilon) ** 2
        case SubsampledGaussianEvent():
            return event.steps / event.noise_multiplier**2 if event.sample_rate == 1 else 0.0


def pooled_mu_squared(events: Iterable[Event]) -> float:
    """Return Σμ² of the Gaussians that cover the events, DP-SGD on sampled batches left out."""
    return math.fsum(_gaussian_cover(event) for event in events)


def sampled_events(events: Iterable[Event]) -> list[SubsampledGaussianEvent]:
    """Return the events that only a loss distribution composes well: DP-SGD on batches that leave units out."""
    return [e for e in events if isinstance(e, SubsampledGaussianEvent) and e.sample_rate < 1]


def discovery_delta(events: Iterable[Event]) -> float:
    """Return the δ that the set unions among the events take off the top, ∏(1 + δ′) − 1."""
    return math.expm1(math.fsum(math.log1p(e.delta) for e in events if isinstance(e, DiscoveryEvent)))


def composed_epsilon(events: Iterable[Event], delta: float) -> float:
    """Return the ε that a transcript costs at `delta`; 0 for an empty one.

    The parameters of the events are taken as fixed in advance, or chosen inside a `GaussianPoolEvent`.

    Args:
        events: what was, or will be, done to the same privacy units; the order does not matter.
        delta: the whole δ, the set unions' δ′ included.

    Raises:
        PrivacyError: when delta is out of range or the set unions' δ′ use it up, or when no accountant can bound the
            events (noise far too small).

    Privacy:
        An upper bound for the add-or-remove-one-unit relation.
    """
    check_delta(delta)
    return epsilon_of_merged(merge_events(events), delta)


@lru_cache(maxsize=4096)
def epsilon_of_merged(events: tuple[Event, ...], delta: float) -> float:
    """Return what `composed_epsilon` returns, for events that `merge_events` gave."""
    if not events:
        return 0.0
    left_delta = delta - discovery_delta(events)
    if left_delta <= 0:
        raise PrivacyError(
            f"the category discoveries alone need δ′={discovery_delta(events):.3g} of δ={delta:.3g}; "
            "give discovery a smaller δ′ or the walk a larger δ"
        )
    pooled, sampled = pooled_mu_squared(events), sampled_events(events)
    bounds: list[float] = []
    if sampled:
        bounds.append(float(pooled_loss_distribution(pooled, sampled).get_epsilon_for_delta(left_delta)))
    else:
        bounds.append(gaussian_epsilon(math.sqrt(pooled), left_delta))
        bounds.extend(_exact_discrete_epsilon(events, left_delta))
    if any(isinstance(event, ExponentialEvent | AboveThresholdEvent) for event in events):
        bounds.append(_rdp_epsilon(events, left_delta))
        bounds.append(_added_epsilon(events, delta))
    smallest = min(bounds)
    if not math.isfinite(smallest):
        raise PrivacyError("no accountant gives these events a finite epsilon: the noise is far too small")
    return smallest


def pooled_loss_distribution(pooled: float, sampled: Sequence[SubsampledGaussianEvent]) -> Any:
    """Compose DP-SGD events with one Gaussian that stands for everything else."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    whole = None
    for event in sampled:
        one = pld.from_gaussian_mechanism(
            event.noise_multiplier, sampling_prob=event.sample_rate, value_discretization_interval=PLD_INTERVAL
        ).self_compose(event.steps)
        whole = one if whole is None else whole.compose(one)
    if pooled > 0:
        rest = pld.from_gaussian_mechanism(1 / math.sqrt(pooled), value_discretization_interval=PLD_INTERVAL)
        whole = rest if whole is None else whole.compose(rest)
    return whole


def _exact_discrete_epsilon(events: tuple[Event, ...], delta: float) -> list[float]:
    """Compose discrete Gaussians by their own loss distributions, where there are few enough of them to be worth it."""
    discrete = [event for event in events if isinstance(event, DiscreteGaussianEvent)]
    # A unit's rows may spread over several cells; the distribution of one cell need not cover that.
    if len(events) > MOST_EXACT_KINDS or len(discrete) < len(events) or any(e.sensitivity > 1 for e in discrete):
        return []
    from dp_accounting.pld import privacy_loss_distribution as pld

    whole: Any = None
    for event in discrete:
        one = pld.from_discrete_gaussian_mechanism(
            event.sigma, value_discretization_interval=PLD_INTERVAL, use_connect_dots=True
        ).self_compose(event.count)
        whole = one if whole is None else whole.compose(one)
    return [float(whole.get_epsilon_for_delta(delta))]


def _added_epsilon(events: tuple[Event, ...], delta: float) -> float:
    """Add the own ε of choices and thresholds to the rest, the oldest composition there is: the best one for few of them."""
    rest = tuple(event for event in events if not isinstance(event, ExponentialEvent | AboveThresholdEvent))
    choices = [event.count * event.epsilon for event in events if isinstance(event, ExponentialEvent)]
    thresholds = [event.epsilon for event in events if isinstance(event, AboveThresholdEvent)]
    return math.fsum([*choices, *thresholds]) + epsilon_of_merged(rest, delta)


def _rdp_epsilon(events: tuple[Event, ...], delta: float) -> float:
    """Compose by Rényi DP: the one accountant with an event for a bounded-range choice (ε²/8 zCDP)."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent, ZCDpEvent
    from dp_accounting.rdp import RdpAccountant

    accountant: Any = RdpAccountant()
    for event in events:
        match event:
            case ExponentialEvent():
                accountant.compose(ZCDpEvent(event.epsilon**2 / 8), event.count)
            case AboveThresholdEvent():
                accountant.compose(ZCDpEvent(event.epsilon**2 / 2))
            case SubsampledGaussianEvent() if event.sample_rate < 1:
                step = PoissonSampledDpEvent(event.sample_rate, GaussianDpEvent(event.noise_multiplier))
                accountant.compose(SelfComposedDpEvent(step, event.steps))
            case _:
                accountant.compose(GaussianDpEvent(1 / math.sqrt(_gaussian_cover(event))))
    return float(accountant.get_epsilon(delta))
