"""Desks that watch: one keeps every question with its true and released answer, the other gives a kept record's answers again.

The record holds true answers, so it is as private as the table that it was taken from. An audit takes it from a released table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from synth_pipeline.audit.finding import Finding
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import DiscreteGaussianEvent, Event, ExponentialEvent, SubsampledGaussianEvent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Kind = Literal["counts", "choice", "keys", "training"]

_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, repr=False, eq=False)
class Asked:
    """One question that reached a desk, with its answers.

    Attributes:
        kind: noisy counts, a choice by the exponential mechanism, discovered keys, or training batches.
        event: what was charged for it; None where nothing was.
        size: numbers in the answer, or candidates of a choice.
        scale: σ of counts, most that one unit moves a score of a choice; 0 for others.
        truth: true counts, scores, or counts of the keys that occur; private.
        released: what was answered.
    """

    kind: Kind
    event: Event | None
    size: int
    scale: float
    truth: Floats | Integers | Mapping[str, int]
    released: Noisy | int | tuple[str, ...] | None

    @property
    def label(self) -> tuple[str, str]:
        """Stage and purpose."""
        return ("", "") if self.event is None else (self.event.stage, self.event.purpose)

    @property
    def question(self) -> tuple[Kind, Event | None, int, float]:
        """What must be the same on neighbouring tables; how many keys occur may differ."""
        return self.kind, self.event, self.size, self.scale

    @property
    def numbers(self) -> Floats:
        """True counts or scores, as floats."""
        if isinstance(self.truth, Mapping):
            return np.array([self.truth[key] for key in sorted(self.truth)], dtype=np.float64)
        return self.truth.astype(np.float64)


class TrainingBegins(Exception):
    """Batches were charged; what the training does with them is audited by canaries."""


class Diverged(Exception):
    """The second table was asked another question; nothing after it can be compared."""


@dataclass(repr=False, eq=False)
class Record:
    """Everything asked during one walk, profile and training, in order; private.

    Attributes:
        asked: the questions.
        findings: what was wrong with them.
    """

    asked: list[Asked] = field(default_factory=list[Asked])
    findings: list[Finding] = field(default_factory=list[Finding])


class WatchingDesk(Desk):
    """A desk that answers as every desk does, and keeps a record.

    Args:
        record: where questions are kept; shared by the desks of a walk's stages.
        desk: the arguments of `Desk`.
    """

    def __init__(self, record: Record, **desk: Any) -> None:
        super().__init__(**desk)
        self.record = record
        self._open: DiscreteGaussianEvent | None = None
        self._bought: float | None = None

    def charge_gaussian(self, cost: float, **asked: Any) -> float:
        """See `Desk.charge_gaussian`."""
        before = len(self.events)
        sigma = super().charge_gaussian(cost, **asked)
        event = self.events[-1] if len(self.events) == before + 1 else None
        self._open = event if isinstance(event, DiscreteGaussianEvent) and event.sigma == sigma else None
        return sigma

    def noisy(self, counts: Integers, sigma: float) -> Noisy:
        """See `Desk.noisy`."""
        event, self._open = self._open, None
        if event is None or event.sigma != sigma:
            self._blame(
                "answer without a charge", event, f"{counts.size} numbers at σ = {sigma:.4g} and no event for them"
            )
        asked = Asked("counts", event, counts.size, sigma, counts.copy(), None)
        return self._keep(asked, lambda: super(WatchingDesk, self).noisy(counts, sigma))

    def charge_choice(self, cost: float, *, purpose: str) -> float:
        """See `Desk.charge_choice`."""
        self._bought = super().charge_choice(cost, purpose=purpose)
        return self._bought

    def pick(self, scores: Floats, *, epsilon: float, sensitivity: float, **labels: Any) -> int:
        """See `Desk.pick`."""
        bought, self._bought = self._bought, None
        event = ExponentialEvent(epsilon=epsilon, **labels)
        if bought is None or epsilon > bought * _ROUNDING:
            self._blame("answer without a charge", event, f"a choice of ε = {epsilon:.4g} that was not charged")
        asked = Asked("choice", event, scores.size, sensitivity, scores.copy(), None)
        before = self.events
        real = super().pick
        index = self._keep(asked, lambda: real(scores, epsilon=epsilon, sensitivity=sensitivity, **labels))
        if self.events != (*before, event):
            self._blame("answer without a charge", event, "a choice that left no event")
        return index

    def find_keys(self, present: Callable[[], Mapping[str, int]], **asked: Any) -> tuple[str, ...]:
        """See `Desk.find_keys`."""
        counts: dict[str, int] = {}

        def counted() -> Mapping[str, int]:
            counts.update(present())
            return counts

        before = len(self.events)
        keys = super().find_keys(counted, **asked)
        event = self.events[-1] if len(self.events) == before + 1 else None
        if event is None:
            self._blame("answer without a charge", event, "keys that left no event")
        return self._keep(Asked("keys", event, 0, 0.0, counts, None), lambda: keys)

    def charge_batches(self, event: SubsampledGaussianEvent) -> None:
        """See `Desk.charge_batches`."""
        before = self.events
        super().charge_batches(event)
        if self.events != (*before, event):
            self._blame("answer without a charge", event, "batches that left no event")
        self._keep(Asked("training", event, event.steps, event.sample_rate, np.zeros(0), None), lambda: ())
        raise TrainingBegins

    def _keep(self, asked: Asked, answer: Callable[[], Any]) -> Any:
        """Answer a question and put it on the record."""
        released = answer()
        self.record.asked.append(Asked(asked.kind, asked.event, asked.size, asked.scale, asked.truth, released))
        return released

    def _blame(self, kind: str, event: Event | None, detail: str) -> None:
        stage, purpose = ("", "") if event is None else (event.stage, event.purpose)
        self.record.findings.append(Finding(kind, stage, purpose, detail))


class RepeatingDesk(WatchingDesk):
    """A desk over another table that gives the answers of a record, so that everything computed from answers is the same.

    Args:
        record: where the questions of this table are kept.
        script: the record whose answers are given.
        desk: the arguments of `Desk`.

    Raises:
        Diverged: by every question that differs from the record's.
    """

    def __init__(self, record: Record, script: Record, **desk: Any) -> None:
        super().__init__(record, **desk)
        self.script = script

    def _keep(self, asked: Asked, answer: Callable[[], Any]) -> Any:
        place = len(self.record.asked)
        if place >= len(self.script.asked):
            self._blame("other question", asked.event, "asked of one table only, after the other's last question")
            raise Diverged
        first = self.script.asked[place]
        if first.question != asked.question:
            self._blame("other question", asked.event or first.event, _difference(first, asked))
            raise Diverged
        if asked.kind == "choice":
            answer()  # for its event
        super()._keep(asked, lambda: first.released)
        return first.released


def _difference(first: Asked, second: Asked) -> str:
    """The first part in which two questions differ; public parameters only."""
    if first.kind != second.kind:
        return f"{first.kind} of one table, {second.kind} of its neighbour"
    if first.label != second.label:
        return f"{' '.join(first.label)} of one table, {' '.join(second.label)} of its neighbour"
    if first.size != second.size:
        return "answers of another size"
    return "another noise scale, sensitivity or charge"
