"""What a finished walk is composed as: its plan, and more only where more was spent.

Belongs here: the comparison of what ran with what was planned. Does not: what either costs (accounting).
"""

from collections.abc import Iterable, Sequence

from synth_pipeline.privacy.accounting import discovery_delta, pooled_mu_squared
from synth_pipeline.privacy.composition import merge_events, sampled_events
from synth_pipeline.privacy.events import DiscoveryEvent, Event, GaussianPoolEvent, SubsampledGaussianEvent

_ROUNDING = 1 + 1e-9


def covering(planned: Sequence[Event], realised: Sequence[Event]) -> tuple[Event, ...]:
    """Return events that bound what a walk lost: the planned ones while what ran keeps within them.

    What ran keeps within the plan when its Σμ² does (DP-SGD aside), its set unions' δ′ do, and its DP-SGD steps are among
    the planned ones, at no less noise and no higher rate. Otherwise the larger of each is taken, which bounds both.

    Why what ran is not composed itself. The walk's scales were chosen from its earlier answers. A pool of Gaussian cost that is
    never overdrawn is μ-GDP for the whole pool however it was spent (Smith and Thakurta 2022; Koskela, Tobaben and Honkela
    2022; for zCDP Whitehouse, Ramdas, Rogers and Wu 2023), and composes with DP-SGD whose settings were fixed before the first
    answer by the product of dominating pairs (Zhu, Dong and Wang 2022). The loss distributions of the answers that happened
    are those of another mechanism, whose scales never varied. A filter of μ² would allow a refund of Σμ² that was not spent
    (Feldman and Zrnic 2021), but the ε shown for a walk would then hang on its answers and differ from the one that its plan
    and certificate state; an ε read off at a moment that the answers chose is no guarantee (Rogers, Roth, Ullman and Vadhan
    2016, on odometers). So nothing is refunded.

    Args:
        planned: the reserved events.
        realised: the events that ran.
    """
    planned_pool, realised_pool = pooled_mu_squared(planned), pooled_mu_squared(realised)
    uncovered = _unplanned(sampled_events(merge_events(planned)), sampled_events(merge_events(realised)))
    if (
        not uncovered
        and realised_pool <= planned_pool * _ROUNDING
        and discovery_delta(realised) <= discovery_delta(planned) * _ROUNDING
    ):
        return tuple(planned)
    pool = max(planned_pool, realised_pool)
    unions = max(_unions(planned), _unions(realised), key=discovery_delta)
    pooled = (GaussianPoolEvent(pool),) if pool > 0 else ()
    return (*pooled, *unions, *sampled_events(planned), *uncovered)


def _unions(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, DiscoveryEvent)]


def _unplanned(
    planned: Iterable[SubsampledGaussianEvent], realised: Iterable[SubsampledGaussianEvent]
) -> list[SubsampledGaussianEvent]:
    """Return the DP-SGD that no planned DP-SGD covers; each planned step covers one."""
    left = [(event, event.steps) for event in planned]
    uncovered: list[SubsampledGaussianEvent] = []
    for event in realised:
        place = next((i for i, (plan, steps) in enumerate(left) if steps >= event.steps and _covers(plan, event)), None)
        if place is None:
            uncovered.append(event)
        else:
            left[place] = (left[place][0], left[place][1] - event.steps)
    return uncovered


def _covers(plan: SubsampledGaussianEvent, event: SubsampledGaussianEvent) -> bool:
    """Whether a step is no louder than a planned one: at least its noise, at most its rate."""
    return (
        event.noise_multiplier * _ROUNDING >= plan.noise_multiplier
        and event.sample_rate <= plan.sample_rate * _ROUNDING
    )
