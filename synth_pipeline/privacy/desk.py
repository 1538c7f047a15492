"""The desk: where every answer is charged before it is computed, and gets its noise."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import (
    bounded_range_mu,
    choice_epsilon_for_cost,
    composed_epsilon,
    gdp_cost,
    pure_mu,
    sigma_for_cost,
)
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.events import (
    AboveThresholdEvent,
    DiscoveryEvent,
    DiscreteGaussianEvent,
    Event,
    ExponentialEvent,
    GaussianPoolEvent,
    SubsampledGaussianEvent,
)
from synth_pipeline.privacy.journal import Answer, AnswerJournal, Question
from synth_pipeline.privacy.mechanisms.above_threshold import NoisyThreshold, is_above, threshold_noise
from synth_pipeline.privacy.mechanisms.discrete_gaussian import add_noise
from synth_pipeline.privacy.mechanisms.exponential import choose
from synth_pipeline.privacy.mechanisms.stability import KeyReach, discover_keys, discovery_threshold
from synth_pipeline.privacy.noise import NoiseSource
from synth_pipeline.privacy.unit import PrivacyUnit

_Answer = TypeVar("_Answer", bound=Answer)

_SLACK = 1 + 1e-10
_DELTA_SLACK = 1 + 1e-9


class Desk:
    """Charges one budget and records one list of events; holds no data.

    Privacy:
        Gaussian answers are charged by exact Gaussian-DP cost μ², which stays valid when later questions depend on earlier answers;
        Poisson batches by the composed ε of everything asked so far.

    Attributes:
        unit: whose privacy is protected.
        budget: what may be spent, earlier spending included.
        noise: source of exact discrete noise.
        journal: where answers are written before they are given, and from where a stage that was cut off is given them again.
    """

    def __init__(
        self,
        *,
        unit: PrivacyUnit,
        budget: Budget,
        spent: Sequence[Event],
        noise: NoiseSource,
        before_first_answer: Callable[[], None] | None,
        journal: AnswerJournal | None = None,
    ) -> None:
        self.unit = unit
        self.budget = budget
        self.noise = noise
        self.journal = journal
        self.held_back = 0.0
        self._events: list[Event] = list(spent)
        self._before_first_answer = before_first_answer

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything charged so far, earlier stages included."""
        return tuple(self._events)

    @property
    def spent_cost(self) -> float:
        """Gaussian cost μ² charged so far; choices at that of the Gaussian that covers them."""
        return sum(_gaussian_cost(event) for event in self._events)

    @property
    def left_cost(self) -> float:
        """Gaussian cost μ² that is left, what is held back for later not counted."""
        return max(self.budget.cost - self.held_back - self.spent_cost, 0.0)

    def charge_gaussian(
        self,
        cost: float,
        *,
        stage: str,
        purpose: str,
        columns: Iterable[str] = (),
        count: int = 1,
        row_sensitivity: int = 1,
    ) -> float:
        """Charge `cost` for a release of `count` answers, and return its noise scale, in the whole units of `PrivacyUnit`.

        `columns` are noted with the event and change nothing.

        Privacy:
            Each answer must be moved by at most `row_sensitivity` times its weight by a row: in all by row_sensitivity × unit.sensitivity.

        Raises:
            PrivacyError: if the cost is not positive or more than is left; nothing is charged then.
        """
        self.require_left(cost, purpose)
        sensitivity = row_sensitivity * self.unit.sensitivity
        sigma = sigma_for_cost(cost, sensitivity, count)
        self.announce()
        event = DiscreteGaussianEvent(
            stage=stage, purpose=purpose, columns=tuple(columns), sigma=sigma, sensitivity=sensitivity, count=count
        )
        self._events.append(event)
        return sigma

    def charge_choice(self, cost: float, *, purpose: str) -> float:
        """Require and announce `cost` for one choice by the exponential mechanism (`pick`), and return the ε that it buys.

        Privacy:
            A choice of bounded range ε is covered by a Gaussian of μ = `bounded_range_mu(ε)`, so it is paid from the same pool.

        Raises:
            PrivacyError: if the cost is not positive or more than is left.
        """
        self.require_left(cost, purpose)
        self.announce()
        return choice_epsilon_for_cost(cost)

    def charge_batches(self, event: SubsampledGaussianEvent) -> None:
        """Charge training batches before the first is dealt.

        Raises:
            PrivacyError: if the walk's ε would be passed; nothing is charged then.

        Privacy:
            One person is in a batch with all rows or none, and adds one clip to its sum (`EncodedView.poisson_batches`), so max_rows does
            not enter.
        """
        self._require_composed(event)
        self.announce()
        self.answered(Question("batches", event.to_dict(), b""), lambda: event.steps)
        self._events.append(event)

    def pick(
        self,
        scores: npt.NDArray[np.float64],
        *,
        epsilon: float,
        sensitivity: float,
        stage: str,
        purpose: str,
        columns: Iterable[str] = (),
    ) -> int:
        """Index that the exponential mechanism chooses, its event recorded; the cost was charged by `charge_choice`.

        Args:
            scores: the candidates' scores.
            epsilon: what `charge_choice` bought.
            sensitivity: most that one unit moves any score.
            stage: where in the walk the choice is made.
            purpose: what it decides.
            columns: the columns that it decides about, by name.
        """
        event = ExponentialEvent(epsilon=epsilon, stage=stage, purpose=purpose, columns=tuple(columns))
        index = self.answered(
            Question("choice", {**event.to_dict(), "sensitivity": sensitivity}, scores),
            lambda: choose(scores, epsilon=epsilon, sensitivity=sensitivity, noise=self.noise).index,
        )
        self._events.append(event)
        return index

    def find_keys(
        self,
        present: Callable[[], Mapping[str, int]],
        *,
        cost: float,
        delta: float,
        stage: str,
        purpose: str,
        columns: Iterable[str] = (),
    ) -> tuple[str, ...]:
        """Keys whose noisy counts pass the threshold of a stable set union, charged before they are counted.

        Args:
            present: weighs the rows of each key that occurs, in whole units.
            cost: μ² to spend.
            delta: share of δ that covers keys which one unit alone holds.
            stage: where in the walk it is asked.
            purpose: what it is for.
            columns: whose keys they are, by name.

        Raises:
            PrivacyError: if the cost, or δ′ with that of earlier discoveries, is more than the budget has; nothing is charged then.
        """
        self.require_left(cost, purpose)
        self._require_delta(delta, purpose)
        self.announce()
        reach = KeyReach(self.unit.max_rows, self.unit.sensitivity)
        sigma = sigma_for_cost(cost, reach.weight)
        threshold = discovery_threshold(sigma, delta, reach)
        labels: dict[str, Any] = {"stage": stage, "purpose": purpose, "columns": tuple(columns)}
        event = DiscoveryEvent(sigma=sigma, sensitivity=reach.weight, threshold=threshold, delta=delta, **labels)
        counts = present()
        keys = self.answered(
            Question("keys", event.to_dict(), counts),
            lambda: discover_keys(counts, sigma=sigma, delta=delta, reach=reach, noise=self.noise).keys,
        )
        self._events.append(event)
        return keys

    def draw_threshold(self, event: AboveThresholdEvent, *, threshold: int, sensitivity: int) -> NoisyThreshold:
        """Charge all comparisons with one noisy threshold, and draw it; it is secret, and so is a journal that holds it.

        Args:
            event: what is charged, once.
            threshold: the threshold, a released fact.
            sensitivity: most that one unit moves what will be compared, in its whole numbers.

        Raises:
            PrivacyError: if the cost is more than is left; nothing is charged then.
        """
        self.require_left(pure_mu(event.epsilon) ** 2, event.purpose)
        self.announce()
        drawn = self.answered(
            Question("threshold", {**event.to_dict(), "threshold": threshold, "sensitivity": sensitivity}, b""),
            lambda: threshold_noise(event.epsilon, sensitivity, self.noise),
        )
        self._events.append(event)
        return NoisyThreshold(event.epsilon, sensitivity, threshold + drawn)

    def compare(self, question: int, threshold: NoisyThreshold, *, stage: str, purpose: str) -> bool:
        """Whether a question with noise of its own reaches a threshold that `draw_threshold` charged; not to be asked after a True."""
        self.announce()
        about = {"stage": stage, "purpose": purpose, "epsilon": threshold.epsilon, "sensitivity": threshold.sensitivity}
        return bool(
            self.answered(
                Question("above", about, str(question).encode()), lambda: int(is_above(question, threshold, self.noise))
            )
        )

    def require_left(self, cost: float, purpose: str) -> None:
        """Refuse a cost that is not positive or more than is left; after batches, which are not paid from the pool, also by composed ε."""
        if not cost > 0:
            raise PrivacyError(
                f"{purpose}: a cost of {cost:g} was offered; every answer needs a positive share of the budget"
            )
        if self.spent_cost + cost > (self.budget.cost - self.held_back) * _SLACK:
            raise PrivacyError(
                f"{purpose}: costs μ² = {cost:.3g}, but only {self.left_cost:.3g} of {self.budget.cost:.3g} is left"
            )
        if any(isinstance(event, SubsampledGaussianEvent) for event in self._events):
            self._require_composed(GaussianPoolEvent(cost, purpose=purpose))

    def _require_composed(self, event: Event) -> None:
        epsilon = composed_epsilon([*self._events, event], self.budget.delta)
        if epsilon > self.budget.epsilon * _SLACK:
            raise PrivacyError(
                f"{event.purpose}: would bring the walk to ε = {epsilon:.4g}, above its ε = {self.budget.epsilon:g}"
            )

    def _require_delta(self, delta: float, purpose: str) -> None:
        earlier = [event.delta for event in self._events if isinstance(event, DiscoveryEvent)]
        used = math.expm1(math.fsum(map(math.log1p, [*earlier, delta])))
        if not 0 < used <= self.budget.discovery_delta * _DELTA_SLACK:
            raise PrivacyError(
                f"{purpose}: would bring the discoveries to δ′ = {used:.3g}, where {self.budget.discovery_delta:.3g} is set aside for them"
            )

    def answered(self, question: Question, draw: Callable[[], _Answer]) -> _Answer:
        """The answer to a question whose cost is charged: drawn, or where an earlier run of the stage was given one, that.

        Every answer of the desk comes through here. Where there is a journal, it is on disk before it is returned.
        """
        if self.journal is None:
            return draw()
        self.announce()
        return self.journal.answer(question, draw)

    def words(self, size: int) -> npt.NDArray[np.uint64]:
        """Uniform words for Poisson samples, parts, and the noise of training steps; those of an earlier run of the stage again."""
        return self.noise.words(size) if self.journal is None else self.journal.words(size)

    def step_taken(self, released: bytes) -> None:
        """Keep a digest of what a training step released; a run that goes on must come to the same, or it is refused."""
        if self.journal is not None:
            self.answered(Question("step", {"stage": "generator", "purpose": "training step"}, released), lambda: 0)

    def announce(self) -> None:
        """Tell the ledger, once, that rows are about to be read for an answer; not for answers that were given before."""
        if self.journal is not None and self.journal.is_replaying:
            return
        if self._before_first_answer is not None:
            self._before_first_answer()
            self._before_first_answer = None

    def noisy(self, counts: npt.NDArray[np.int64], sigma: float) -> Noisy:
        """Counts in whole units with discrete Gaussian noise, released as numbers of people (of rows, where each is one)."""
        weight = self.unit.weight
        about: dict[str, Any] = {**(self._events[-1].to_dict() if self._events else {}), "scale": sigma}
        noised = self.answered(Question("counts", about, counts), lambda: add_noise(counts, sigma, self.noise))
        return Noisy(noised.astype(np.float64) / weight, sigma / weight)


def _gaussian_cost(event: Event) -> float:
    if isinstance(event, DiscreteGaussianEvent):
        return gdp_cost(event.sigma, event.sensitivity, event.count)
    if isinstance(event, DiscoveryEvent):
        return gdp_cost(event.sigma, event.sensitivity)
    if isinstance(event, ExponentialEvent):
        return event.count * bounded_range_mu(event.epsilon) ** 2
    if isinstance(event, AboveThresholdEvent):
        return pure_mu(event.epsilon) ** 2
    return 0.0
