"""Above threshold: any number of questions about one noisy threshold, for one charge, up to the first that is answered "above".

    value = threshold + Laplace(Δ/ε₁), drawn once and kept secret;      each answer: question + Laplace(2Δ/ε₂) ≥ value;      ε₁ + ε₂ = ε.

Source:
    Dwork and Roth 2014, algorithm 1 (AboveThreshold); Lyu, Su and Li 2017, algorithm 1, the variant that is proven: the threshold's noise
    is never drawn again, every question gets noise of its own, and nothing is answered after the first alarm. Deviation: whole numbers
    and exact discrete Laplace noise, scales rounded up (proof: docs/proofs/above_threshold.md).

Belongs here: the noise and the comparison. Does not: what is charged (desk), or when an epoch ends (drift.sparse_vector).
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.exact_laplace import discrete_laplace
from synth_pipeline.privacy.noise import NoiseSource

THRESHOLD_SHARE = Fraction(2, 5)
"""Share of ε that the threshold's noise gets; 1/(1 + 2^(2/3)) ≈ 0.39 is best for one alarm (Lyu, Su and Li 2017, section 4.2)."""


@dataclass(frozen=True, repr=False)
class NoisyThreshold:
    """A threshold with its noise; whoever knows it can undo the protection of the answers, so it stays in the private store.

    Attributes:
        epsilon: pure ε of all answers together.
        sensitivity: most that one unit moves a question, a whole number.
        value: the threshold plus its noise.
    """

    zone: ClassVar[str] = "private"
    epsilon: float
    sensitivity: int
    value: int

    def __post_init__(self) -> None:
        _check(self.epsilon, self.sensitivity)

    def __repr__(self) -> str:
        return f"NoisyThreshold(ε={self.epsilon:.4g}, value withheld)"


def threshold_scale(epsilon: float, sensitivity: int) -> int:
    """Scale of the threshold's noise, Δ/ε₁ rounded up."""
    _check(epsilon, sensitivity)
    return math.ceil(sensitivity / (Fraction(epsilon) * THRESHOLD_SHARE))


def question_scale(epsilon: float, sensitivity: int) -> int:
    """Scale of a question's noise, 2Δ/ε₂ rounded up."""
    _check(epsilon, sensitivity)
    return math.ceil(2 * sensitivity / (Fraction(epsilon) * (1 - THRESHOLD_SHARE)))


def threshold_noise(epsilon: float, sensitivity: int, noise: NoiseSource) -> int:
    """The noise of a threshold; to be drawn once for all questions."""
    return discrete_laplace(threshold_scale(epsilon, sensitivity), noise.words)


def is_above(question: int, threshold: NoisyThreshold, noise: NoiseSource) -> bool:
    """Whether a question with fresh noise of its own reaches the noisy threshold.

    Privacy:
        ε-DP for all answers up to the first True together, where one unit moves every question by at most `threshold.sensitivity`. The
        caller must not ask after a True.
    """
    scale = question_scale(threshold.epsilon, threshold.sensitivity)
    return question + discrete_laplace(scale, noise.words) >= threshold.value


def _check(epsilon: float, sensitivity: int) -> None:
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise PrivacyError(f"above threshold: epsilon is {epsilon!r}; it must be a finite number above 0")
    if sensitivity < 1:
        raise PrivacyError(
            f"above threshold: the sensitivity is {sensitivity}; it must be a whole number of at least 1"
        )
