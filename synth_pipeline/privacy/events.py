"""Differential-privacy events: what a mechanism did to private rows, as values that compose, compare and serialise.

Belongs here: the record of a release. Does not: what it costs (accounting) or how it draws noise (mechanisms, noise).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.unit import WEIGHT_UNITS


def _require_positive(what: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise PrivacyError(f"{what} is {value!r}; it must be a finite number above 0")


def _require_count(what: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PrivacyError(f"{what} is {value!r}; it must be a whole number of at least 1")


def _require_delta(what: str, value: float) -> None:
    if not 0 < value < 1:
        raise PrivacyError(f"{what} is {value!r}; it must lie between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class _Labelled:
    """Where, why and about which columns an event happened; labels never change what it costs.

    Attributes:
        stage: stage of the walk.
        purpose: what it was for, in words.
        columns: encoded columns that it asked about, where it asked about some by name; their names are public.
    """

    kind: ClassVar[str]
    stage: str = ""
    purpose: str = ""
    columns: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON-ready values; `event_from_dict` reads them back unchanged. No columns are not written down."""
        values = {"kind": self.kind, **asdict(self)}
        columns = list(values.pop("columns"))
        return {**values, "columns": columns} if columns else values


@dataclass(frozen=True)
class DiscreteGaussianEvent(_Labelled):
    """Discrete Gaussian noise on `count` integer answers, each moved by at most `sensitivity` by one unit.

    A histogram that one unit's rows move by at most m in L1 (hence in L2) is one answer of sensitivity m: count 1.
    A vector of C scores that each move by at most s is C answers of sensitivity s: count C.

    Attributes:
        sigma: scale of the noise, in the unit of the answers.
        sensitivity: most that one unit moves an answer, a whole number.
        count: how many answers are moved.
    """

    kind: ClassVar[str] = "discrete_gaussian"
    sigma: float
    sensitivity: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        _require_positive("discrete Gaussian: sigma", self.sigma)
        _require_count("discrete Gaussian: sensitivity", self.sensitivity)
        _require_count("discrete Gaussian: count", self.count)

    @property
    def mechanism(self) -> str:
        """The mechanism in words, for a plan or a certificate."""
        times = "" if self.count == 1 else f", {self.count} answers"
        of = f" (σ={self.sigma / self.sensitivity:.4g} in people)" if self.sensitivity == WEIGHT_UNITS else ""
        return f"discrete Gaussian, σ={self.sigma:.6g}, sensitivity {self.sensitivity}{of}{times}"


@dataclass(frozen=True)
class GaussianPoolEvent(_Labelled):
    """A pool of Gaussian budget, spent adaptively by discrete Gaussian answers and choices whose μ² sum to at most the pool.

    A choice by the exponential mechanism counts with the μ² of the Gaussian that covers it (`bounded_range_mu`).
    Adaptive spending costs nothing extra: Gaussian DP composes to √Σμ² also when each μ is chosen from earlier answers
    (Smith and Thakurta 2022; Koskela, Tobaben and Honkela 2022).

    Attributes:
        mu_squared: the pool, Σμ²; the whole composes as one Gaussian of noise multiplier 1/μ.
    """

    kind: ClassVar[str] = "gaussian_pool"
    mu_squared: float

    def __post_init__(self) -> None:
        _require_positive("Gaussian pool: mu_squared", self.mu_squared)

    @property
    def mechanism(self) -> str:
        """The mechanism in words, for a plan or a certificate."""
        return f"discrete Gaussian answers, μ²≤{self.mu_squared:.6g} in all"


@dataclass(frozen=True)
class SubsampledGaussianEvent(_Labelled):
    """Steps of DP-SGD: a Gaussian on the clipped gradients of a Poisson sample of the units.

    Attributes:
        noise_multiplier: standard deviation of the noise over the clipping norm.
        sample_rate: chance of each unit, independently, to be in a step's batch.
        steps: how many steps, fixed before the first.
    """

    kind: ClassVar[str] = "subsampled_gaussian"
    noise_multiplier: float
    sample_rate: float
    steps: int

    def __post_init__(self) -> None:
        _require_positive("subsampled Gaussian: noise_multiplier", self.noise_multiplier)
        if not 0 < self.sample_rate <= 1:
            raise PrivacyError(f"subsampled Gaussian: sample_rate is {self.sample_rate!r}; it must be in (0, 1]")
        _require_count("subsampled Gaussian: steps", self.steps)

    @property
    def mechanism(self) -> str:
        """The mechanism in words, for a plan or a certificate."""
        return (
            f"DP-SGD, noise multiplier {self.noise_multiplier:.6g}, "
            f"Poisson rate {self.sample_rate:.6g}, {self.steps} steps"
        )


@dataclass(frozen=True)
class DiscoveryEvent(_Labelled):
    """A stability-based set union: discrete Gaussian on each present key's count, published above a threshold.

    Attributes:
        sigma: scale of the noise, in rows.
        sensitivity: most rows of one unit.
        threshold: a key is published when its noisy count is above it.
        delta: the share of δ that covers a key present through one unit alone.
    """

    kind: ClassVar[str] = "discovery"
    sigma: float
    sensitivity: int
    threshold: int
    delta: float

    def __post_init__(self) -> None:
        _require_positive("discovery: sigma", self.sigma)
        _require_count("discovery: sensitivity", self.sensitivity)
        _require_count("discovery: threshold", self.threshold)
        _require_delta("discovery: delta", self.delta)

    @property
    def mechanism(self) -> str:
        """The mechanism in words, for a plan or a certificate."""
        return f"stable set union, σ={self.sigma:.6g}, above {self.threshold}, δ′={self.delta:.3g}"


@dataclass(frozen=True)
class ExponentialEvent(_Labelled):
    """Choices by the exponential mechanism, each of bounded range `epsilon`.

    Attributes:
        epsilon: bound on the range of one choice's privacy loss (so each choice is also ε-DP).
        count: how many choices.
    """

    kind: ClassVar[str] = "exponential"
    epsilon: float
    count: int = 1

    def __post_init__(self) -> None:
        _require_positive("exponential mechanism: epsilon", self.epsilon)
        _require_count("exponential mechanism: count", self.count)

    @property
    def mechanism(self) -> str:
        """The mechanism in words, for a plan or a certificate."""
        return f"exponential mechanism, ε={self.epsilon:.6g}, {self.count} choices"


@dataclass(frozen=True)
class AboveThresholdEvent(_Labelled):
    """Any number of comparisons with one noisy threshold, up to the first that is answered "above" (sparse vector).

    Attributes:
        epsilon: pure ε of all the answers together.
    """

    kind: ClassVar[str] = "above_threshold"
    epsilon: float

    def __post_init__(self) -> None:
        _require_positive("above threshold: epsilon", self.epsilon)

    @property
    def mechanism(self) -> str:
        """The mechanism in words, for a plan or a certificate."""
        return f"above threshold (sparse vector), ε={self.epsilon:.6g} up to the first alarm"


Event = (
    DiscreteGaussianEvent
    | GaussianPoolEvent
    | SubsampledGaussianEvent
    | DiscoveryEvent
    | ExponentialEvent
    | AboveThresholdEvent
)

_KINDS: dict[str, Callable[..., Event]] = {
    DiscreteGaussianEvent.kind: DiscreteGaussianEvent,
    GaussianPoolEvent.kind: GaussianPoolEvent,
    SubsampledGaussianEvent.kind: SubsampledGaussianEvent,
    DiscoveryEvent.kind: DiscoveryEvent,
    ExponentialEvent.kind: ExponentialEvent,
    AboveThresholdEvent.kind: AboveThresholdEvent,
}


def event_from_dict(values: Mapping[str, Any]) -> Event:
    """Read an event back from what its `to_dict` wrote.

    Raises:
        PrivacyError: for an unknown kind, or fields that are missing, unknown or out of range.
    """
    fields = dict(values)
    kind = fields.pop("kind", None)
    if kind not in _KINDS:
        raise PrivacyError(f"event: unknown kind {kind!r}; known kinds are {', '.join(sorted(_KINDS))}")
    fields["columns"] = tuple(fields.get("columns", ()))
    try:
        return _KINDS[kind](**fields)
    except TypeError as error:
        raise PrivacyError(f"event of kind {kind!r}: {error}") from error
