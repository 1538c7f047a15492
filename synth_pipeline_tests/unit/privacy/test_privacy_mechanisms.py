"""Mechanisms and noise sources: shapes, refusals, and answers small enough to know by hand."""

import math

import numpy as np
import pytest

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy import noise as noise_module
from synth_pipeline.privacy.events import DiscoveryEvent, ExponentialEvent
from synth_pipeline.privacy.mechanisms.discrete_gaussian import add_noise, tail_probability
from synth_pipeline.privacy.mechanisms.exponential import choose
from synth_pipeline.privacy.mechanisms.stability import KeyReach, discover_keys, discovery_threshold
from synth_pipeline.privacy.noise import SecureNoise
from synth_pipeline_tests.seeded_noise import SeededNoise

SOURCES = [SecureNoise(), SeededNoise(7)]


@pytest.mark.parametrize("source", SOURCES, ids=["secure", "seeded"])
def test_noise_is_whole_numbers_of_the_asked_size(source):
    drawn = source.discrete_gaussian(17, 4.0)
    assert drawn.shape == (17,)
    assert drawn.dtype == np.int64
    assert source.discrete_gaussian(0, 4.0).shape == (0,)


@pytest.mark.parametrize("source", SOURCES, ids=["secure", "seeded"])
@pytest.mark.parametrize("size, sigma", [(3, 0.0), (3, -1.0), (3, math.nan), (3, math.inf), (-1, 2.0)])
def test_noise_that_is_none_is_refused(source, size, sigma):
    with pytest.raises(PrivacyError):
        source.discrete_gaussian(size, sigma)


def test_requests_beyond_one_chunk_are_filled_to_the_end(monkeypatch):
    monkeypatch.setattr(noise_module, "CHUNK_DRAWS", 100)
    drawn = SecureNoise().discrete_gaussian(250, 1000.0)
    assert all(len(np.unique(part)) > 20 for part in np.split(drawn, [100, 200]))


def test_secure_noise_does_not_repeat():
    source = SecureNoise()
    assert not np.array_equal(source.discrete_gaussian(64, 100.0), source.discrete_gaussian(64, 100.0))
    assert not np.array_equal(source.words(64), source.words(64))


def test_noise_is_added_to_every_cell_and_keeps_the_shape():
    counts = np.zeros((40, 50), dtype=np.int64)
    noisy = add_noise(counts, 30.0, SeededNoise(1))
    assert noisy.shape == counts.shape
    assert (noisy != 0).mean() > 0.95
    assert not counts.any()


def test_answers_that_are_not_whole_numbers_are_refused():
    with pytest.raises(PrivacyError, match="float64"):
        add_noise(np.array([1.0, 2.0]), 3.0, SeededNoise())


def test_the_tail_is_the_sum_of_the_mass_function():
    mass = {x: math.exp(-(x**2) / (2 * 2.0**2)) for x in range(-60, 61)}
    total = sum(mass.values())
    for above in (-3, -1, 0, 1, 5):
        assert tail_probability(2.0, above) == pytest.approx(sum(m for x, m in mass.items() if x > above) / total)


def test_the_tail_of_very_wide_noise_errs_upwards():
    assert tail_probability(2e5, 400_000) == pytest.approx(0.02275, rel=1e-3)
    assert tail_probability(99_999.0, 200_000) <= 0.5 * math.erfc(2 / math.sqrt(2)) * 1.0001
    assert tail_probability(100_001.0, -100_001) >= tail_probability(99_999.0, -99_999)


def test_the_exponential_mechanism_finds_a_clear_winner_and_charges_its_epsilon():
    choice = choose(np.array([0.0, 500.0, 3.0]), epsilon=1.0, sensitivity=1.0, noise=SecureNoise(), stage="generator")
    assert choice.index == 1
    assert choice.event == ExponentialEvent(1.0, stage="generator")


@pytest.mark.parametrize("scores", [np.array([]), np.array([1.0, math.nan]), np.array([[1.0]])])
def test_scores_that_cannot_be_compared_are_refused(scores):
    with pytest.raises(PrivacyError, match="scores"):
        choose(scores, epsilon=1.0, sensitivity=1.0, noise=SeededNoise())


def test_the_threshold_is_the_smallest_that_covers_one_row():
    sigma, delta = 10.0, 1e-6
    threshold = discovery_threshold(sigma, delta, KeyReach())
    assert tail_probability(sigma, threshold - 1) <= delta / (1 + delta)
    assert tail_probability(sigma, threshold - 2) > delta / (1 + delta)


def spread_rows(rows: int, most: int):
    """Every way to put at most so many rows on keys, the heaviest key first."""
    yield ()
    for first in range(1, min(rows, most) + 1):
        for rest in spread_rows(rows - first, first):
            yield (first, *rest)


@pytest.mark.parametrize("rows, weight", [(1, 1), (2, 3), (3, 12), (5, 7), (6, 60), (6, 97)])
@pytest.mark.parametrize("sigma", [1.5, 4.0, 30.0])
def test_no_way_to_spread_a_persons_rows_publishes_a_new_key_more_often_than_stated(rows, weight, sigma):
    delta = 1e-3
    threshold = discovery_threshold(sigma, delta, KeyReach(rows, weight))
    for kept in range(1, rows + 1):
        for spread in spread_rows(kept, kept):
            none = math.prod(1 - tail_probability(sigma, threshold - places * (weight // kept)) for places in spread)
            assert 1 - none <= delta / (1 + delta) + 1e-15


def test_the_threshold_grows_with_noise_rows_and_smaller_delta():
    base = discovery_threshold(10.0, 1e-6, KeyReach())
    assert discovery_threshold(20.0, 1e-6, KeyReach()) > base
    assert discovery_threshold(10.0, 1e-9, KeyReach()) > base
    assert discovery_threshold(10.0, 1e-6, KeyReach(8)) > base + 6


def test_discovery_publishes_common_keys_sorted_and_charges_the_event():
    counts = {"zebra": 10_000, "ape": 9_000, "rare": 1}
    found = discover_keys(counts, sigma=5.0, delta=1e-9, reach=KeyReach(2), noise=SecureNoise())
    assert found.keys == ("ape", "zebra")
    assert all(count > found.threshold for count in found.noisy_counts)
    assert found.event == DiscoveryEvent(5.0, 2, found.threshold, 1e-9)


def test_discovery_does_not_depend_on_the_order_of_its_input():
    counts = {f"k{i}": 15 + i for i in range(30)}
    backwards = dict(reversed(counts.items()))
    first, second = (
        discover_keys(given, sigma=5.0, delta=1e-3, reach=KeyReach(), noise=SeededNoise(3))
        for given in (counts, backwards)
    )
    assert first == second
    assert 0 < len(first.keys) < 30


def test_discovery_of_nothing_is_nothing_and_keys_without_rows_are_refused():
    assert discover_keys({}, sigma=5.0, delta=1e-6, reach=KeyReach(), noise=SeededNoise()).keys == ()
    with pytest.raises(PrivacyError, match="without rows"):
        discover_keys({"ghost": 0}, sigma=5.0, delta=1e-6, reach=KeyReach(), noise=SeededNoise())
