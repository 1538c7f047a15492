"""The above-threshold mechanism: its noise, its law computed exactly, what it costs, and three broken variants that are caught."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import beta, chisquare, norm

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import composed_epsilon, pooled_mu_squared, pure_epsilon_for_cost, pure_mu
from synth_pipeline.privacy.events import AboveThresholdEvent, DiscreteGaussianEvent, event_from_dict
from synth_pipeline.privacy.exact_laplace import discrete_laplace
from synth_pipeline.privacy.mechanisms.above_threshold import (
    NoisyThreshold,
    is_above,
    question_scale,
    threshold_noise,
    threshold_scale,
)
from synth_pipeline.privacy.noise import SecureNoise
from synth_pipeline_tests.seeded_noise import SeededNoise


class StreamNoise(SeededNoise):
    """Words one after another, drawn many at once: many draws in little time."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._drawn, self._place = np.empty(0, dtype=np.uint64), 0

    def words(self, size: int) -> NDArray[np.uint64]:
        if self._place + size > len(self._drawn):
            self._drawn, self._place = self._generator.integers(2**64, size=1 << 16, dtype=np.uint64), 0
        self._place += size
        return self._drawn[self._place - size : self._place]


EPSILON, SENSITIVITY = 1.0, 2
REACH = 150


def laplace_law(scale: int) -> np.ndarray:
    """Probabilities of −REACH … REACH."""
    mass = np.exp(-np.abs(np.arange(-REACH, REACH + 1)) / scale)
    return mass / mass.sum()


def first_alarm_law(questions: Sequence[int], threshold: int) -> np.ndarray:
    """Exact probability that the first alarm is at each question, and last that there is none."""
    offsets = np.arange(-REACH, REACH + 1)
    drawn = laplace_law(threshold_scale(EPSILON, SENSITIVITY))
    tail = np.cumsum(laplace_law(question_scale(EPSILON, SENSITIVITY))[::-1])[::-1]
    quiet, law = drawn.copy(), []
    for question in questions:
        need = np.clip(threshold + offsets - question, -REACH, REACH) + REACH
        law.append(float((quiet * tail[need]).sum()))
        quiet = quiet * (1 - tail[need])
    return np.array([*law, float(quiet.sum())])


def first_alarm(questions: Sequence[int], threshold: int, noise: SeededNoise) -> int:
    """Place of the first alarm; the number of questions where there is none."""
    value = threshold + threshold_noise(EPSILON, SENSITIVITY, noise)
    drawn = NoisyThreshold(EPSILON, SENSITIVITY, value)
    return next((i for i, q in enumerate(questions) if is_above(q, drawn, noise)), len(questions))


def test_discrete_laplace_noise_follows_its_law():
    noise, scale = StreamNoise(5), 3
    drawn = np.array([discrete_laplace(scale, noise.words) for _ in range(4000)])
    places = np.clip(drawn, -12, 12) + 12
    mass = np.exp(-np.abs(np.arange(-200, 201)) / scale)
    law = np.bincount(np.clip(np.arange(-200, 201), -12, 12) + 12, weights=mass / mass.sum())
    assert chisquare(np.bincount(places, minlength=25), 4000 * law).pvalue > 1e-4


def test_discrete_laplace_noise_of_a_scale_beyond_64_bits_is_drawn_exactly():
    scale = 2**70 + 1
    drawn = [discrete_laplace(scale, SecureNoise().words) for _ in range(300)]
    middle = sorted(abs(x) for x in drawn)[150] / scale
    assert 0.5 < middle < 0.95
    assert any(x < 0 for x in drawn)
    assert any(x > 0 for x in drawn)
    assert any(x % 2 for x in drawn)


def test_scales_are_never_below_what_the_proof_needs():
    for epsilon in (0.01, 0.3, 2.0):
        for sensitivity in (1, 7, 2_100_000):
            first = Fraction(sensitivity, threshold_scale(epsilon, sensitivity))
            second = Fraction(2 * sensitivity, question_scale(epsilon, sensitivity))
            assert first + second <= Fraction(epsilon)


@given(
    questions=st.lists(st.integers(-12, 12), min_size=1, max_size=8),
    moves=st.lists(st.integers(-SENSITIVITY, SENSITIVITY), min_size=8, max_size=8),
    threshold=st.integers(-5, 15),
)
def test_no_transcript_of_neighbours_differs_by_more_than_epsilon(questions, moves, threshold):
    moved = [question + move for question, move in zip(questions, moves, strict=False)]
    first, second = first_alarm_law(questions, threshold), first_alarm_law(moved, threshold)
    assert first.sum() == pytest.approx(1.0)
    assert np.abs(np.log(first) - np.log(second)).max() <= EPSILON + 1e-9


def test_the_first_alarm_falls_where_the_law_says():
    questions, threshold, noise = (0, 6, -3, 9, 0, 4), 12, StreamNoise(1)
    drawn = np.bincount([first_alarm(questions, threshold, noise) for _ in range(3000)], minlength=7)
    assert chisquare(drawn, 3000 * first_alarm_law(questions, threshold)).pvalue > 1e-4


Mechanism = Callable[[Sequence[int], SeededNoise], bool]


def shown_epsilon(event: Mechanism, first: Sequence[int], second: Sequence[int], *, runs: int) -> float:
    """A lower bound on ε at 99.9 %, from how often an event of the transcript happens on each of two neighbours."""
    noise = StreamNoise(7)
    often, rare = (sum(event(questions, noise) for _ in range(runs)) for questions in (first, second))
    low = beta.ppf(5e-4, often, runs - often + 1) if often else 0.0
    high = beta.ppf(1 - 5e-4, rare + 1, runs - rare)
    return math.log(max(low, 1e-9) / high)


def sound(questions: Sequence[int], noise: SeededNoise) -> bool:
    return first_alarm(questions, 12, noise) == len(questions)


def unnoised_question(questions: Sequence[int], noise: SeededNoise) -> bool:
    """The threshold has noise, the questions have none."""
    value = threshold_noise(EPSILON, SENSITIVITY, noise)
    return [question >= value for question in questions] == [False, True]


def answering_on(questions: Sequence[int], noise: SeededNoise) -> bool:
    """Questions are answered after an alarm as well; told apart by which half is above more often."""
    value = threshold_noise(EPSILON, SENSITIVITY, noise)
    drawn = NoisyThreshold(EPSILON, SENSITIVITY, value)
    above = [is_above(question, drawn, noise) for question in questions]
    half = len(above) // 2
    return sum(above[half:]) - sum(above[:half]) > 0


def test_the_sound_mechanism_shows_no_more_than_its_epsilon():
    assert shown_epsilon(sound, [0] * 12, [2] * 12, runs=800) <= EPSILON


@pytest.mark.parametrize(
    "mutant, first, second, runs",
    [
        (unnoised_question, [-1, 1], [1, -1], 400),
        (answering_on, [-1] * 120 + [1] * 120, [1] * 120 + [-1] * 120, 160),
    ],
    ids=["question without noise", "answers after an alarm"],
)
def test_broken_variants_show_more_than_the_epsilon_they_claim(mutant, first, second, runs):
    assert shown_epsilon(mutant, first, second, runs=runs) > EPSILON


def test_a_threshold_drawn_anew_for_every_question_would_lose_more_than_epsilon():
    quiet = [first_alarm_law([question], 12)[-1] for question in (0, SENSITIVITY)]
    assert 60 * math.log(quiet[0] / quiet[1]) > EPSILON
    same = [first_alarm_law([question] * 60, 12)[-1] for question in (0, SENSITIVITY)]
    assert math.log(same[0] / same[1]) < EPSILON


def test_a_threshold_does_not_show_its_value():
    assert "12345" not in repr(NoisyThreshold(0.1, 1, 12345))


@pytest.mark.parametrize("epsilon, sensitivity", [(0.0, 1), (math.inf, 1), (0.1, 0)])
def test_a_threshold_without_noise_is_refused(epsilon, sensitivity):
    with pytest.raises(PrivacyError, match="above threshold"):
        NoisyThreshold(epsilon, sensitivity, 0)


def test_the_event_is_written_and_read_back():
    event = AboveThresholdEvent(0.1, stage="drift_report", purpose="watch")
    assert event_from_dict(event.to_dict()) == event
    assert event.mechanism == "above threshold (sparse vector), ε=0.1 up to the first alarm"
    with pytest.raises(PrivacyError, match="epsilon"):
        AboveThresholdEvent(0.0)


@given(st.floats(1e-4, 5.0))
def test_the_gaussian_that_covers_it_lies_below_randomized_response_at_every_vertex_and_touches_one(epsilon):
    mu, vertex = pure_mu(epsilon), 1 / (1 + math.exp(epsilon))
    falsely = np.linspace(1e-6, 1 - 1e-6, 2001)
    gaussian = norm.cdf(norm.ppf(1 - falsely) - mu)
    pure = np.maximum(1 - math.exp(epsilon) * falsely, math.exp(-epsilon) * (1 - falsely))
    assert (gaussian <= pure + 1e-9).all()
    assert norm.cdf(norm.ppf(1 - vertex) - mu) == pytest.approx(vertex)


@given(st.floats(1e-6, 1.0))
def test_a_cost_buys_an_epsilon_that_never_costs_more(cost):
    epsilon = pure_epsilon_for_cost(cost)
    assert pure_mu(epsilon) ** 2 <= cost
    assert pure_mu(epsilon) ** 2 == pytest.approx(cost, rel=1e-9)


def test_alone_it_costs_its_epsilon_and_beside_gaussians_no_more_than_their_sum():
    watch, counts = AboveThresholdEvent(0.1), DiscreteGaussianEvent(20.0)
    assert composed_epsilon([watch], 1e-5) == pytest.approx(0.1)
    alone = composed_epsilon([counts], 1e-5)
    together = composed_epsilon([watch, counts], 1e-5)
    assert alone < together <= 0.1 + alone + 1e-9
    assert pooled_mu_squared([watch, watch]) == pytest.approx(2 * pure_mu(0.1) ** 2)


def test_many_epochs_cost_less_than_their_sum():
    epochs = [AboveThresholdEvent(0.05)] * 400
    assert composed_epsilon(epochs, 1e-5) < 0.5 * 400 * 0.05
