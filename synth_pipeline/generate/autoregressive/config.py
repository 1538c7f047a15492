"""What can change the mechanism of the autoregressive network: its constants, and the DP-SGD event that they plan."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.config import DPSGDConfig
from synth_pipeline.generate.dpsgd.planning import plan_event
from synth_pipeline.privacy.events import SubsampledGaussianEvent

Network = Literal["couplings", "transformer"]


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
        network: "couplings", or "transformer" (measured in one under-trained run of 60 steps only, see benchmarks/README.md).
        width: transformer: features of a place.
        layers: transformer: causal blocks.
        heads: transformer: attention heads.
        learning_rate: transformer: Adam's first step length; its clipping norm is `network_clip_norm`.
        network_clip_norm: transformer: largest L2 norm of one row's gradient.
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
    network: Network = "couplings"
    width: int = 32
    layers: int = 1
    heads: int = 4
    learning_rate: float = 3e-3
    network_clip_norm: float = 0.5

    def __post_init__(self) -> None:
        """Refuse constants for which the guarantee or the training would mean nothing."""
        self.training()
        if self.random_orders < 0 or not 0 < self.main_share <= 1:
            raise PrivacyError("autoregressive: random_orders must be at least 0, and main_share in (0, 1]")
        if self.network not in get_args(Network):
            raise PrivacyError(f"autoregressive: network is {self.network!r}; use {' or '.join(get_args(Network))}")
        if min(self.width, self.layers, self.heads) < 1 or self.width % self.heads:
            raise PrivacyError("autoregressive: width, layers and heads must be at least 1, and heads divide width")

    @property
    def order_weights(self) -> tuple[float, ...]:
        """Weight of the main order and of each random one in a row's loss."""
        others = self.random_orders
        return (self.main_share, *[(1 - self.main_share) / others] * others) if others else (1.0,)

    def training(self) -> DPSGDConfig:
        """The constants of the DP-SGD run among these."""
        if self.network == "transformer":
            return DPSGDConfig(
                sample_rate=self.sample_rate,
                steps=self.steps,
                clip_norm=self.network_clip_norm,
                learning_rate=self.learning_rate,
                optimizer="adam",
                averaging=self.averaging,
            )
        return DPSGDConfig(
            sample_rate=self.sample_rate,
            steps=self.steps,
            clip_norm=self.clip_norm,
            learning_rate=self.step_length,
            momentum=self.momentum,
            averaging=self.averaging,
        )

    def plan_event(self, *, epsilon: float, delta: float, profile_cost: float) -> SubsampledGaussianEvent:
        """The training event that, after a profile of Gaussian cost μ², spends the rest of (ε, δ); see `dpsgd.planning`."""
        return plan_event(self.training(), epsilon=epsilon, delta=delta, profile_cost=profile_cost, purpose=PURPOSE)

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "AutoregressiveConfig":
        """The config that `to_json` wrote."""
        return cls(**content)


PURPOSE = "autoregressive network: DP-SGD"
