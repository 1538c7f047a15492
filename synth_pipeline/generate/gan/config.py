"""Constants of the GAN engine; no torch here."""

from dataclasses import asdict, dataclass, field
from typing import Any

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.config import DPSGDConfig


def _training() -> DPSGDConfig:
    return DPSGDConfig(
        sample_rate=0.05, steps=300, clip_norm=1.0, learning_rate=0.04, schedule="constant", averaging=0.9
    )


@dataclass(frozen=True)
class GanConfig:
    """Constants of the mechanism; public, and fixed before any row is read.

    Attributes:
        latent: dimensions of the latent vector.
        generator_hidden: width of the generator's hidden layer.
        critic_hidden: width of the critic's perceptron beside its couplings; 0 for none.
        penalty: of the critic's squared weights, for each row of a batch; it forgets old generators and old noise.
        critic_steps: DP-SGD steps of the critic before the generator moves.
        generator_steps: steps of the generator after them; free, no private row is near.
        generator_rows: generated rows of a step of either.
        generator_rate: Adam's step length of the generator.
        condition_weight: weight of the generator's cross-entropy at the column of its condition.
        temperature: of the Gumbel-softmax rows that the critic sees while the generator learns.
        features: most features of an ordered column.
        training: the critic's DP-SGD run.
    """

    latent: int = 32
    generator_hidden: int = 128
    critic_hidden: int = 0
    penalty: float = 0.01
    critic_steps: int = 1
    generator_steps: int = 2
    generator_rows: int = 1024
    generator_rate: float = 2e-3
    condition_weight: float = 0.1
    temperature: float = 0.5
    features: int = 12
    training: DPSGDConfig = field(default_factory=_training)

    def __post_init__(self) -> None:
        """Refuse constants for which the training would mean nothing."""
        sizes = (
            self.latent,
            self.generator_hidden,
            self.critic_steps,
            self.generator_steps,
            self.generator_rows,
            self.features,
        )
        if min(sizes) < 1 or self.critic_hidden < 0:
            raise PrivacyError("gan: sizes and step counts must be at least 1, and critic_hidden at least 0")
        if min(self.generator_rate, self.temperature) <= 0 or min(self.condition_weight, self.penalty) < 0:
            raise PrivacyError(
                "gan: generator_rate and temperature must be above 0, condition_weight and penalty at least 0"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "GanConfig":
        """The config that `to_json` wrote."""
        fields: dict[str, Any] = {**content, "training": DPSGDConfig.from_json(content["training"])}
        return cls(**fields)
