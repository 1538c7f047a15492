"""What can change the mechanism of the autoregressive network: its constants, and the DP-SGD event that they plan."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import calibrate_noise_multiplier
from synth_pipeline.privacy.events import SubsampledGaussianEvent


@dataclass(frozen=True)
class AutoregressiveConfig:
    """Constants of the mechanism; public, and fixed before any row is read.

    Attributes:
        target: public target column name; drawn last, given all others, and with more weight in the loss.
        target_weight: weight of the target's loss; the others' is 1.
        sample_rate: chance of each row to be in a step's batch.
        steps: DP-SGD steps.
        clip_norm: largest L2 norm of one row's gradient.
        step_length: first step length in standard deviations of the noise; it falls linearly to 0.
        momentum: heavy-ball momentum of the steps.
        averaging: decay of the moving average of the weights, which is what is kept.
        random_orders: fresh random column orders averaged with the main order inside each row's gradient.
        main_share: share of the main order in that average.
        features: most features of an ordered column.
        categories: most categories of an unordered column with a feature of their own; the rarest others share one.
        smoothness: how far along its released distribution an ordered column's effect stays alike (0 to 1).
        roughness: share of an ordered column's effect that may jump from code to code.
    """

    target: str | None = None
    target_weight: float = 2.0
    sample_rate: float = 0.05
    steps: int = 300
    clip_norm: float = 0.1
    step_length: float = 0.04
    momentum: float = 0.9
    averaging: float = 0.98
    random_orders: int = 1
    main_share: float = 0.7
    features: int = 12
    categories: int = 64
    smoothness: float = 0.15
    roughness: float = 0.3

    def __post_init__(self) -> None:
        """Refuse constants for which the guarantee or the training would mean nothing."""
        if not (0 < self.clip_norm < float("inf")):
            raise PrivacyError(f"autoregressive: clip_norm is {self.clip_norm!r}; it must be a finite number above 0")
        if not 0 < self.sample_rate <= 1:
            raise PrivacyError(f"autoregressive: sample_rate is {self.sample_rate!r}; it must be in (0, 1]")
        if self.steps < 1:
            raise PrivacyError(f"autoregressive: steps is {self.steps!r}; it must be at least 1")
        if self.random_orders < 0 or not 0 < self.main_share <= 1:
            raise PrivacyError("autoregressive: random_orders must be at least 0, and main_share in (0, 1]")

    def plan_event(self, *, epsilon: float, delta: float, profile_cost: float) -> SubsampledGaussianEvent:
        """The training event that, after a profile of Gaussian cost μ², spends the rest of (ε, δ).

        Privacy:
            Reads public facts only. The noise multiplier is the smallest for which Gaussian of μ² = profile_cost and all steps
            compose to ε at δ (privacy-loss distributions).

        Raises:
            PrivacyError: if the profile leaves nothing.
        """
        return SubsampledGaussianEvent(
            stage="generator",
            purpose=PURPOSE,
            noise_multiplier=_noise_multiplier(self.sample_rate, self.steps, (epsilon, delta), profile_cost),
            sample_rate=self.sample_rate,
            steps=self.steps,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "AutoregressiveConfig":
        """The config that `to_json` wrote."""
        return cls(**content)


PURPOSE = "autoregressive network: DP-SGD"


@lru_cache(maxsize=64)
def _noise_multiplier(sample_rate: float, steps: int, level: tuple[float, float], before: float) -> float:
    """The calibration takes a second, and a walk asks for it when it plans and when it trains."""
    epsilon, delta = level
    return calibrate_noise_multiplier(before=before, sample_rate=sample_rate, steps=steps, epsilon=epsilon, delta=delta)
