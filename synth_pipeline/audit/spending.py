"""Whether what a walk ran is within what its plan claims, added up apart from the desk that charged it.

Source:
    Dong, Roth and Su 2022 (Gaussian differential privacy), Corollary 2.13; a set union's δ′ adds to δ (`privacy.mechanisms.stability`).
"""

from collections.abc import Sequence

from synth_pipeline.audit.finding import Finding
from synth_pipeline.generate.plan import Plan
from synth_pipeline.privacy.accounting import bounded_range_mu, composed_epsilon, gaussian_delta, pure_mu
from synth_pipeline.privacy.events import (
    AboveThresholdEvent,
    DiscoveryEvent,
    DiscreteGaussianEvent,
    Event,
    ExponentialEvent,
    GaussianPoolEvent,
    SubsampledGaussianEvent,
)

_ROUNDING = 1e-6


def check_spending(plan: Plan, ran: Sequence[Event]) -> list[Finding]:
    """Hold the events that ran, and the plan itself, against the plan's ε and δ."""
    claimed, delta = plan.budget.epsilon, plan.budget.delta
    findings: list[Finding] = []
    used = sum(event.delta for event in ran if isinstance(event, DiscoveryEvent))
    planned = sum(event.delta for event in plan.events if isinstance(event, DiscoveryEvent))
    if used > planned * (1 + _ROUNDING):
        findings.append(_passed(f"discoveries used δ′ = {used:.4g}, the plan has {planned:.4g}"))
    for name, events in (("the plan", plan.events), ("what ran", ran)):
        cost = sum(_cost(event) for event in events)
        if any(isinstance(event, SubsampledGaussianEvent) for event in events):
            pool = GaussianPoolEvent(mu_squared=cost)
            others = [event for event in events if isinstance(event, SubsampledGaussianEvent)]
            if composed_epsilon([pool, *others], delta - used) > claimed * (1 + _ROUNDING):
                findings.append(_passed(f"{name} composes to more than ε = {claimed:g} at δ = {delta:g}"))
        elif gaussian_delta(cost**0.5, claimed) > (delta - used) * (1 + _ROUNDING):
            findings.append(
                _passed(
                    f"{name} needs δ = {gaussian_delta(cost**0.5, claimed) + used:.4g} at ε = {claimed:g}, not {delta:g}"
                )
            )
    return findings


def _cost(event: Event) -> float:
    """μ² of an event that composes as a Gaussian; a continuous Gaussian's, below what a discrete one is charged."""
    if isinstance(event, GaussianPoolEvent):
        return event.mu_squared
    if isinstance(event, DiscreteGaussianEvent):
        return event.sensitivity**2 * event.count / event.sigma**2
    if isinstance(event, DiscoveryEvent):
        return event.sensitivity**2 / event.sigma**2 if event.threshold > 1 else 0.0
    if isinstance(event, ExponentialEvent):
        return event.count * bounded_range_mu(event.epsilon) ** 2
    if isinstance(event, AboveThresholdEvent):
        return pure_mu(event.epsilon) ** 2
    return 0.0


def _passed(detail: str) -> Finding:
    return Finding("budget passed", "", "", detail)
