"""What became of each snapshot of a dataset so far: decision, evidence of drift, columns, and what was charged.

Every number here was measured under DP, or follows from such answers and the ledger: released facts, though the page around them is not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from synth_pipeline.report.chart import Score, ScoreChart

MOST_STEPS = 40
"""Snapshots that a page shows, the newest ones."""

_LEAST_P = 1e-12


@dataclass(frozen=True)
class DriftStep:
    """One snapshot and what followed from it.

    Attributes:
        snapshot: its partition key.
        at: when its walk reserved, ISO 8601 in UTC; empty where it reserved nothing of its own.
        decision: reuse, resample, refresh, refit or refuse.
        reason: why, in one sentence.
        p_value: smallest adjusted p-value of the report; None where nothing was compared.
        alpha: p-value at which an alarm is raised; None where nothing was compared.
        drifted: columns that were found drifted.
        rows: noisy number of people (of rows, where each is one); None where nothing was compared.
        drift_epsilon: ε of the drift report, where it was reserved by itself.
        walk_epsilon: ε of what was reserved for the rest.
        spent_epsilon: ε composed over everything charged on its people so far.
    """

    snapshot: str
    at: str
    decision: str
    reason: str
    p_value: float | None
    alpha: float | None
    drifted: tuple[str, ...]
    rows: float | None
    drift_epsilon: float
    walk_epsilon: float
    spent_epsilon: float

    @property
    def is_alarm(self) -> bool:
        """Whether the report raised an alarm."""
        return self.p_value is not None and self.alpha is not None and self.p_value <= self.alpha


def evidence_chart(steps: Sequence[DriftStep]) -> ScoreChart | None:
    """How unlikely each snapshot's difference is where nothing drifted, as -log10 p, beside the alarm; None where nothing was compared."""
    compared = [step for step in steps if step.p_value is not None and step.alpha is not None]
    if not compared:
        return None
    scores = [_score(step) for step in compared]
    alarm = _strength(compared[-1].alpha)
    scores.append(Score(f"alarm at p = {compared[-1].alpha:g}", "baseline", alarm, alarm, alarm, f"{alarm:.2g}"))
    stop = max(1.1 * max(score.value for score in scores), 1.0)
    return ScoreChart(
        "Evidence of drift", "-log10 of the p-value: 0 is none, 2 is one in a hundred.", 0.0, stop, tuple(scores)
    )


def _score(step: DriftStep) -> Score:
    strength = _strength(step.p_value)
    words = f"p = {step.p_value:.2g}" if step.p_value and step.p_value > _LEAST_P else f"p < {_LEAST_P:g}"
    return Score(
        f"{step.snapshot}: {step.decision}",
        "synthetic" if step.is_alarm else "holdout",
        strength,
        strength,
        strength,
        words,
    )


def _strength(p_value: float | None) -> float:
    return -math.log10(min(max(p_value or 0.0, _LEAST_P), 1.0)) + 0.0
