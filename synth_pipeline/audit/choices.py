"""Choices by the exponential mechanism, audited exactly: log probabilities from both tables' scores; and by draws, that they are followed.

Source:
    McSherry and Talwar 2007 (Definition 2); bounded range: Durfee and Rogers 2019.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from synth_pipeline.audit.finding import Finding
from synth_pipeline.audit.watch import Asked
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import ExponentialEvent

Floats = npt.NDArray[np.float64]

FALSE_ALARM = 1e-6
"""Chance that a sound choice is blamed for its law."""

_LAW = np.array([0.6, 0.3, 0.1])


def log_probabilities(scores: Floats, *, epsilon: float, sensitivity: float) -> Floats:
    """Log probability of each candidate."""
    return log_softmax(epsilon * scores / (2 * sensitivity))


def choice_loss(first: Floats, second: Floats, *, epsilon: float, sensitivity: float) -> tuple[float, float]:
    """Privacy loss of a choice between two score vectors, exactly: its largest size, and its range over the candidates.

    Example:
        >>> loss, spread = choice_loss(np.array([1.0, 0.0]), np.array([0.0, 1.0]), epsilon=1.0, sensitivity=1.0)
        >>> round(loss, 3), round(spread, 3)
        (0.5, 1.0)
    """
    change = log_probabilities(first, epsilon=epsilon, sensitivity=sensitivity) - log_probabilities(
        second, epsilon=epsilon, sensitivity=sensitivity
    )
    return float(np.abs(change).max()), float(change.max() - change.min())


def check_choice_law(desk: Desk, asked: Asked, *, draws: int = 800) -> list[Finding]:
    """Draw from the desk's own choice at a recorded ε and sensitivity, among candidates of known probabilities.

    Statistics:
        χ² with 2 degrees of freedom; a sound choice is blamed once in a million. A choice without noise is always blamed; one at twice or
        half the charged ε with probability above .99 (see the tests).
    """
    from scipy.stats import chi2

    event = asked.event
    if not isinstance(event, ExponentialEvent):
        return []
    scores = np.log(_LAW) * 2 * asked.scale / event.epsilon
    drawn = np.zeros(len(_LAW))
    for _ in range(draws):
        index = desk.pick(
            scores, epsilon=event.epsilon, sensitivity=asked.scale, stage=event.stage, purpose=event.purpose
        )
        drawn[index] += 1
    expected = draws * _LAW
    statistic = float(((drawn - expected) ** 2 / expected).sum())
    if statistic > chi2.isf(FALSE_ALARM, len(_LAW) - 1):
        detail = f"χ² = {statistic:.1f} of {draws} draws against the charged probabilities"
        return [Finding("choice of another law", event.stage, event.purpose, detail)]
    return []
