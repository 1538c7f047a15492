"""Constants of the diffusion engine; no torch here."""

from dataclasses import asdict, dataclass, field
from typing import Any

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.config import DPSGDConfig


def _training() -> DPSGDConfig:
    return DPSGDConfig(sample_rate=0.05, steps=300, clip_norm=0.2, learning_rate=0.04)


@dataclass(frozen=True)
class DiffusionConfig:
    """Constants of the mechanism; public, and fixed before any row is read.

    Attributes:
        target: public target column name; has more weight in the loss.
        target_weight: weight of the target's loss; the others' is 1.
        multiplicity: noisy versions of a row averaged inside its gradient (DPDM's K); sensitivity is the same for all.
        times: steps of the chain when rows are drawn.
        hidden: width of the hidden layer beside the couplings; 0 for none.
        features: most features of an ordered column.
        training: the DP-SGD run.
    """

    target: str | None = None
    target_weight: float = 2.0
    multiplicity: int = 4
    times: int = 24
    hidden: int = 0
    features: int = 12
    training: DPSGDConfig = field(default_factory=_training)

    def __post_init__(self) -> None:
        """Refuse constants for which the training would mean nothing."""
        if self.multiplicity < 1 or self.times < 2 or self.features < 1 or self.hidden < 0:
            raise PrivacyError(
                "diffusion: multiplicity and features must be at least 1, times at least 2, and hidden at least 0"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "DiffusionConfig":
        """The config that `to_json` wrote."""
        fields: dict[str, Any] = {**content, "training": DPSGDConfig.from_json(content["training"])}
        return cls(**fields)
