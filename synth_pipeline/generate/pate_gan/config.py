"""Constants of the PATE-GAN engine; no torch here."""

from dataclasses import asdict, dataclass
from typing import Any

from synth_pipeline.errors import PrivacyError


@dataclass(frozen=True)
class PateGanConfig:
    """Constants of the mechanism; public, and fixed before any row is read.

    Attributes:
        rows_per_teacher: rows a teacher is expected to have; the number of teachers follows from the noisy row count.
        rounds: how often the teachers vote.
        records: generated records that are voted on in a round.
        projections: random features of the teachers' discriminant.
        ridge: share of the average variance that is added to every feature's in that discriminant.
        latent: dimensions of the latent vector.
        generator_hidden: width of the generator's hidden layer.
        student_hidden: width of the student's hidden layer.
        student_steps: steps of the student a round, on all records labelled so far; free.
        generator_steps: steps of the generator a round; free.
        step_length: Adam's, of both.
        features: most features of an ordered column.
    """

    rows_per_teacher: int = 20
    rounds: int = 10
    records: int = 100
    projections: int = 128
    ridge: float = 1.0
    latent: int = 16
    generator_hidden: int = 64
    student_hidden: int = 32
    student_steps: int = 60
    generator_steps: int = 30
    step_length: float = 1e-3
    features: int = 12

    def __post_init__(self) -> None:
        """Refuse constants for which the training would mean nothing."""
        whole = {name: value for name, value in asdict(self).items() if isinstance(value, int)}
        for name, value in whole.items():
            if value < 1:
                raise PrivacyError(f"pate_gan: {name} is {value!r}; it must be at least 1")
        if self.step_length <= 0 or self.ridge <= 0:
            raise PrivacyError("pate_gan: step_length and ridge must be above 0")

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "PateGanConfig":
        """The config that `to_json` wrote."""
        return cls(**content)
