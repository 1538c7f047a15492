"""DP events as a release tells of them: what each asked, of which columns, and what it cost.

Belongs here: one event in plain data. Does not: what columns come of them (column_lineage) or how events compose (privacy).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from synth_pipeline.privacy.accounting import bounded_range_mu, composed_epsilon, gdp_cost, pure_mu
from synth_pipeline.privacy.events import (
    AboveThresholdEvent,
    DiscoveryEvent,
    DiscreteGaussianEvent,
    Event,
    ExponentialEvent,
    GaussianPoolEvent,
    SubsampledGaussianEvent,
    event_from_dict,
)

Reach = Literal["named", "read from its words", "every modelled column", "no column"]
"""How it is known which columns an event asked about."""

_JOINED = re.compile(r" × | → ")
_FEEDING = ("generator", "walk")


@dataclass(frozen=True)
class ChargeRecord:
    """One DP event of a release.

    Attributes:
        number: its place among the certificate's mechanisms, from 1.
        stage: stage of the walk.
        purpose: what it was for.
        mechanism: what it did, in words.
        columns: released columns that it asked about.
        reach: how that is known.
        epsilon: ε that it would cost alone, at the walk's δ; together they compose to less than the sum.
        mu_squared: Gaussian cost μ² that it takes from a pool; None for DP-SGD, which has none.
        rho: the same as zCDP, ρ = μ²/2.
        sigma: scale of the noise, in the unit of its answers; None where there is none of its own.
        sensitivity: most that one unit moves an answer; None likewise.
        answers: answers, choices or training steps.
    """

    number: int
    stage: str
    purpose: str
    mechanism: str
    columns: tuple[str, ...]
    reach: Reach
    epsilon: float
    mu_squared: float | None
    rho: float | None
    sigma: float | None
    sensitivity: int | None
    answers: int

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "columns": list(self.columns)}


def charge_records(
    events: Sequence[Mapping[str, Any]], modelled: Sequence[str], *, delta: float
) -> tuple[ChargeRecord, ...]:
    """The events of a release, in the order of its certificate.

    Args:
        events: as `Event.to_dict` gave them; what a certificate adds in words is left aside.
        modelled: the modelled columns, in table order.
        delta: δ at which each ε is told.
    """
    return tuple(
        _record(number, event_of(event), modelled, delta=delta) for number, event in enumerate(events, start=1)
    )


def event_of(mechanism: Mapping[str, Any]) -> Event:
    """The event behind an entry of a certificate's mechanisms.

    Raises:
        PrivacyError: if it is not one.
    """
    return event_from_dict({key: value for key, value in mechanism.items() if key != "words"})


def _record(number: int, event: Event, modelled: Sequence[str], *, delta: float) -> ChargeRecord:
    columns, reach = _columns(event, modelled)
    cost = _cost(event)
    return ChargeRecord(
        number=number,
        stage=event.stage or "walk",
        purpose=event.purpose,
        mechanism=event.mechanism,
        columns=columns,
        reach=reach,
        epsilon=_alone(replace(event, stage="", purpose="", columns=()), delta),
        mu_squared=cost,
        rho=None if cost is None else cost / 2,
        sigma=getattr(event, "sigma", None),
        sensitivity=getattr(event, "sensitivity", None),
        answers=event.steps if isinstance(event, SubsampledGaussianEvent) else getattr(event, "count", 1),
    )


@lru_cache(maxsize=1024)
def _alone(event: Event, delta: float) -> float:
    return composed_epsilon([event], delta)


def _cost(event: Event) -> float | None:
    """The μ² of the Gaussian that covers an event."""
    match event:
        case DiscreteGaussianEvent():
            return gdp_cost(event.sigma, event.sensitivity, event.count)
        case DiscoveryEvent():
            return gdp_cost(event.sigma, event.sensitivity)
        case ExponentialEvent():
            return event.count * bounded_range_mu(event.epsilon) ** 2
        case AboveThresholdEvent():
            return pure_mu(event.epsilon) ** 2
        case GaussianPoolEvent():
            return event.mu_squared
        case SubsampledGaussianEvent():
            return None


def _columns(event: Event, modelled: Sequence[str]) -> tuple[tuple[str, ...], Reach]:
    """The released columns that an event asked about.

    Events written before they named their columns are read by their words; training that names none asks about whole rows.
    """
    if event.columns:
        return _released(event.columns, modelled), "named"
    found = _released(_read(event.purpose), modelled)
    if found:
        return found, "read from its words"
    if event.stage in _FEEDING or event.purpose.startswith("columns null together"):
        return tuple(modelled), "every modelled column"
    return (), "no column"


def _read(purpose: str) -> list[str]:
    """Names that the words of an older event may hold: `age: one-way`, `round 1: age × sex (level 2)`, `table a × b × c`."""
    if not _JOINED.search(purpose):
        return [purpose.rpartition(": ")[0]]
    first, *rest = _JOINED.split(purpose)
    head = (
        first,
        first.rpartition(": ")[2],
        first.removeprefix("table "),
        first.removeprefix("functional dependency "),
    )
    tail = rest[-1]
    return [*head, *rest, tail.rpartition(" (")[0], tail.partition(": ")[0]]


def _released(names: Iterable[str], modelled: Sequence[str]) -> tuple[str, ...]:
    """Columns of the table among encoded ones: the calendar parts of `opened` are encoded as `opened:weekday` and the like."""
    wanted = {name if name in modelled else name.rpartition(":")[0] for name in names}
    return tuple(name for name in modelled if name in wanted)
