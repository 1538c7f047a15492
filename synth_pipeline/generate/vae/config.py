"""Constants of the VAE engine; no torch here."""

from dataclasses import asdict, dataclass, field
from typing import Any

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.config import DPSGDConfig


def _training() -> DPSGDConfig:
    return DPSGDConfig(sample_rate=0.05, steps=300, clip_norm=0.2, learning_rate=0.04)


@dataclass(frozen=True)
class VaeConfig:
    """Constants of the mechanism; public, and fixed before any row is read.

    Attributes:
        target: public target column name; has more weight in the reconstruction.
        target_weight: weight of the target's reconstruction; the others' is 1.
        latent: dimensions of the latent vector.
        encoder_hidden: width of the encoder's hidden layer; 0 for none.
        decoder_hidden: width of the decoder's hidden layer; 0 for none.
        kl_weight: weight of the Kullback–Leibler term (β); 1 is the evidence bound.
        multiplicity: latent draws of a row averaged inside its gradient; sensitivity is the same for all.
        features: most features of an ordered column.
        training: the DP-SGD run.
    """

    target: str | None = None
    target_weight: float = 2.0
    latent: int = 16
    encoder_hidden: int = 0
    decoder_hidden: int = 64
    kl_weight: float = 1.0
    multiplicity: int = 2
    features: int = 12
    training: DPSGDConfig = field(default_factory=_training)

    def __post_init__(self) -> None:
        """Refuse constants for which the training would mean nothing."""
        if min(self.latent, self.multiplicity, self.features) < 1 or min(self.encoder_hidden, self.decoder_hidden) < 0:
            raise PrivacyError("vae: latent, multiplicity and features must be at least 1, hidden widths at least 0")
        if not 0 <= self.kl_weight < float("inf"):
            raise PrivacyError(f"vae: kl_weight is {self.kl_weight!r}; it must be a finite number of at least 0")

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "VaeConfig":
        """The config that `to_json` wrote."""
        fields: dict[str, Any] = {**content, "training": DPSGDConfig.from_json(content["training"])}
        return cls(**fields)
