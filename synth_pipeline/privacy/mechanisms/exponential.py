"""The exponential mechanism (McSherry and Talwar 2007, "Mechanism Design via Differential Privacy", Definition 2).

Sampled as the arg-max of scores with Gumbel noise, by opendp. Its privacy loss lies in an interval of length ε
("bounded range", Durfee and Rogers 2019), which costs ε²/8 zCDP (Cesar and Rogers 2021): a quarter of the ε²/2 that
ε-DP alone would give.

Symbols: our `sensitivity` is their Δq; our `epsilon` is their 2εΔq.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.events import ExponentialEvent
from synth_pipeline.privacy.noise import NoiseSource


@dataclass(frozen=True, slots=True)
class Choice:
    """A private choice.

    Attributes:
        index: which candidate was chosen; released.
        event: what the choice cost.
    """

    index: int
    event: ExponentialEvent


def choose(
    scores: NDArray[np.float64],
    *,
    epsilon: float,
    sensitivity: float,
    noise: NoiseSource,
    stage: str = "",
    purpose: str = "",
) -> Choice:
    """Choose a candidate with probability proportional to exp(ε·score / 2·sensitivity).

    Args:
        scores: the candidates' scores; higher is better. The candidates themselves must be public.
        epsilon: bounded range of the choice.
        sensitivity: most that one unit moves any score.
        noise: where the randomness comes from.
        stage: where in the walk the choice is made.
        purpose: what it decides.

    Raises:
        PrivacyError: for no candidates, scores that are not finite, or an epsilon or sensitivity that is not above 0.

    Privacy:
        ExponentialEvent(epsilon): ε-bounded range, hence ε-DP, where a unit moves each score by at most sensitivity.
    """
    if scores.ndim != 1 or scores.size == 0 or not np.isfinite(scores).all():
        raise PrivacyError("exponential mechanism: scores must be a vector of at least one finite number")
    if not (np.isfinite(sensitivity) and sensitivity > 0):
        raise PrivacyError(f"exponential mechanism: sensitivity is {sensitivity!r}; it must be a finite number above 0")
    event = ExponentialEvent(epsilon=epsilon, stage=stage, purpose=purpose)
    index = noise.exponential_choice(scores.astype(np.float64), 2 * sensitivity / epsilon)
    return Choice(index, event)
