"""Above-threshold drift detection: snapshots of the same people, one charge for all of them up to the first alarm.

An *epoch* belongs to a release. Its first question draws a noisy threshold, charged once to everyone; each later snapshot is compared with
that same threshold, and nothing is charged. The first alarm ends the epoch: it says that something drifted, not what. What follows is
decided by `drift.on_drift`; a refit needs to know no more, a refresh first measures (`decision.needs_columns`), out of a further
`drift.epsilon`.

The state is secret: whoever knows the noisy threshold can undo the protection of the answers. It is kept in the private store by the
caller, who stores the new state before the report is shown to anybody: a snapshot whose answer is in the state is never asked again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, ClassVar

import numpy as np

from synth_pipeline.drift.baseline import Baseline
from synth_pipeline.drift.report import DriftReport
from synth_pipeline.drift.watched import SNAPSHOTS, Watched, watch
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import pure_epsilon_for_cost
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import AboveThresholdEvent
from synth_pipeline.privacy.mechanisms.above_threshold import NoisyThreshold
from synth_pipeline.spec.sections import Drift

STAGE = "drift_report"
_ROUNDING = 1 - 1e-9


@dataclass(frozen=True, repr=False)
class SparseVectorState:
    """An epoch: its secret threshold and what was answered under it. Private.

    Attributes:
        tables: digest of what is watched; another release is another epoch.
        threshold: the noisy threshold; secret.
        answers: snapshots that were compared, in order, each with whether it was above.
        until: day on which the cap of the budget renews and with it the epoch ends; None: it lasts until an alarm.
    """

    zone: ClassVar[str] = "private"
    tables: str
    threshold: NoisyThreshold
    answers: tuple[tuple[str, bool], ...] = ()
    until: date | None = None

    def __repr__(self) -> str:
        return f"SparseVectorState({len(self.answers)} answers, contents withheld)"

    @property
    def is_over(self) -> bool:
        """Whether an alarm ended it."""
        return any(is_above for _, is_above in self.answers)

    def answer_of(self, snapshot: str) -> bool | None:
        """Whether a snapshot was above; None where it was not compared yet."""
        return dict(self.answers).get(snapshot)

    def covers(self, baseline: Baseline, drift: Drift, *, snapshot: str, today: date) -> bool:
        """Whether a snapshot is answered under it, at no charge: it was already, or no alarm ended it and the cap did not renew."""
        is_open = not self.is_over and (self.until is None or today < self.until)
        return (is_open or self.answer_of(snapshot) is not None) and self.tables == _digest(watch(baseline, drift))

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back; for the private store alone."""
        return {
            "tables": self.tables,
            "epsilon": self.threshold.epsilon,
            "sensitivity": self.threshold.sensitivity,
            "threshold": self.threshold.value,
            "answers": [list(answer) for answer in self.answers],
            "until": None if self.until is None else self.until.isoformat(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SparseVectorState":
        """The state that `to_json` wrote."""
        threshold = NoisyThreshold(content["epsilon"], content["sensitivity"], content["threshold"])
        answers = tuple((str(name), bool(is_above)) for name, is_above in content["answers"])
        until = None if content["until"] is None else date.fromisoformat(content["until"])
        return cls(content["tables"], threshold, answers, until)


def above_threshold(
    curator: Curator,
    baseline: Baseline,
    drift: Drift,
    state: SparseVectorState | None,
    *,
    snapshot: str,
    until: date | None = None,
) -> tuple[DriftReport, SparseVectorState]:
    """Compare a snapshot with a release under a noisy threshold.

    Args:
        curator: holder of the fresh snapshot's training rows. Where an epoch begins all that its budget has left is spent on it; where one
            goes on nothing is charged.
        baseline: the released profile and tables of pairs.
        drift: what the specification asks for.
        state: the epoch as it was stored; None begins one.
        snapshot: name of the snapshot; one that is in the state gets the answer that is written there, and no row is read.
        until: day on which the cap renews, for an epoch that begins.

    Returns:
        The report and the state to store before the report is shown.

    Raises:
        PrivacyError: for a further snapshot after an alarm, another release than the epoch's, or where nothing is left to spend.

    Privacy:
        AboveThresholdEvent(ε) for all snapshots up to the first alarm, where a person may be in any number of them
        (docs/proofs/above_threshold.md).
    """
    watched = watch(baseline, drift)
    if state is None:
        state = _begin(curator, watched, drift.alpha, until)
    _require_covered(state, watched, snapshot)
    if state.answer_of(snapshot) is None:
        view = curator.encoded(Encoder(baseline.profile))
        purpose = f"{snapshot}: above the threshold"
        is_above = view.is_above(watched.tables, state.threshold, stage=STAGE, purpose=purpose)
        state = replace(state, answers=(*state.answers, (snapshot, is_above)))
    return _report(baseline, drift, state, snapshot), state


def _begin(curator: Curator, watched: Watched, alpha: float, until: date | None) -> SparseVectorState:
    epsilon = pure_epsilon_for_cost(curator.left_cost * _ROUNDING)
    event = _event(epsilon)
    weight = curator.unit.weight
    above = watched.threshold(epsilon=epsilon, alpha=alpha)
    threshold = curator.draw_threshold(event, threshold=above * weight, sensitivity=watched.reach * weight)
    return SparseVectorState(_digest(watched), threshold, until=until)


def _event(epsilon: float) -> AboveThresholdEvent:
    return AboveThresholdEvent(epsilon, stage=STAGE, purpose="watch the release until the first alarm")


def _require_covered(state: SparseVectorState, watched: Watched, snapshot: str) -> None:
    if state.tables != _digest(watched):
        raise PrivacyError(
            "drift: the epoch watches another release or other columns; begin another one (state None), which is charged"
        )
    if state.is_over and state.answer_of(snapshot) is None:
        raise PrivacyError(
            "drift: the epoch ended with an alarm, and its threshold answers nothing more; begin another one (state None), which is charged"
        )


def _digest(watched: Watched) -> str:
    """SHA-256 of everything that a question is made of."""
    digest = hashlib.sha256()
    for table in watched.tables:
        digest.update(repr((table.columns, table.shares, table.slope, table.offset, table.labels.shape)).encode())
        digest.update(np.ascontiguousarray(table.labels).tobytes())
    return digest.hexdigest()


def _report(baseline: Baseline, drift: Drift, state: SparseVectorState, snapshot: str) -> DriftReport:
    """The answer as a report: released values alone. Each carries the event of its epoch, which protects everyone who was compared."""
    rows = Noisy(np.array([baseline.profile.rows]), baseline.profile.rows_sigma)
    place = [name for name, _ in state.answers].index(snapshot) + 1
    late = (
        (f"snapshot {place} of its epoch: the false-alarm rate was set for {SNAPSHOTS}",) if place > SNAPSHOTS else ()
    )
    return DriftReport(
        alpha=drift.alpha,
        overall_p=drift.alpha if state.answer_of(snapshot) else 1.0,
        columns=(),
        pairs=(),
        schema=(),
        rows=rows,
        prior_rows=rows,
        fresh={},
        events=(_event(state.threshold.epsilon),),
        warnings=late,
        mode="sparse_vector",
    )
