"""Choices and discoveries have the noise that is charged for: the claimed scale is accepted, ×0.7 and ×1.3 are rejected.

False alarms: each acceptance fails by chance once in a million runs. Power: each rejection fails less than once in ten thousand runs; the
draws are as many as that takes.
"""

import numpy as np
import pytest
from scipy.stats import binom, chi2

from synth_pipeline.privacy.accounting import gdp_cost
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import DiscoveryEvent
from synth_pipeline.privacy.mechanisms.discrete_gaussian import tail_probability
from synth_pipeline.privacy.mechanisms.exponential import choose
from synth_pipeline.privacy.noise import SecureNoise
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline_tests.seeded_noise import SeededNoise

FALSE_ALARM = 1e-6
SOURCES = pytest.mark.parametrize("source", [SecureNoise(), SeededNoise(7)], ids=["secure", "seeded"])
LAW = np.array([0.6, 0.3, 0.1])


def has_law(picked: np.ndarray, law: np.ndarray) -> bool:
    """Accept when χ² of the picked candidates is where it belongs but for one in a million."""
    expected = len(picked) * law
    statistic = float(((np.bincount(picked, minlength=len(law)) - expected) ** 2 / expected).sum())
    return statistic < chi2.isf(FALSE_ALARM, len(law) - 1)


@SOURCES
def test_a_choice_follows_the_charged_law_and_not_a_bolder_or_a_shyer_one(source) -> None:
    epsilon, sensitivity = 0.15, 3.0
    scores = np.log(LAW) * 2 * sensitivity / epsilon
    asked = {"epsilon": epsilon, "sensitivity": sensitivity, "noise": source}
    assert has_law(np.array([choose(scores, **asked).index for _ in range(6000)]), LAW)
    for factor in (0.7, 1.3):  # scale of the Gumbel noise
        picked = np.array([choose(scores / factor, **asked).index for _ in range(6000)])
        assert not has_law(picked, LAW)


def published(source: object, rows: int, *, factor: float, keys: int) -> tuple[int, DiscoveryEvent]:
    """How many of many keys of so many rows a desk publishes, its noise scaled by a factor."""

    class Scaled:
        def discrete_gaussian(self, size: int, sigma: float) -> np.ndarray:
            return source.discrete_gaussian(size, factor * sigma)

    desk = Desk(unit=PrivacyUnit(), budget=Budget(3.0, 1e-2, 1e-3), spent=(), noise=Scaled(), before_first_answer=None)
    counts = {f"key {number}": rows for number in range(keys)}
    found = desk.find_keys(lambda: counts, cost=gdp_cost(12.0), delta=1e-3, stage="profile", purpose="keys")
    (event,) = desk.events
    assert isinstance(event, DiscoveryEvent)
    return len(found), event


def is_expected(hits: int, keys: int, chance: float) -> bool:
    return binom.cdf(hits, keys, chance) >= FALSE_ALARM / 2 and binom.sf(hits - 1, keys, chance) >= FALSE_ALARM / 2


@SOURCES
def test_keys_are_published_with_the_probability_of_the_charged_scale_and_not_of_another(source) -> None:
    """Keys one σ below the threshold, where the probability tells scales apart best."""
    keys = 6000
    _, event = published(source, 1, factor=1.0, keys=1)
    rows = event.threshold - round(event.sigma)
    chance = tail_probability(event.sigma, event.threshold - rows)
    assert is_expected(published(source, rows, factor=1.0, keys=keys)[0], keys, chance)
    assert not is_expected(published(source, rows, factor=0.7, keys=keys)[0], keys, chance)
    assert not is_expected(published(source, rows, factor=1.3, keys=keys)[0], keys, chance)


@SOURCES
def test_a_lone_persons_key_is_published_as_seldom_as_charged(source) -> None:
    keys = 40_000
    hits, event = published(source, 1, factor=1.0, keys=keys)
    assert binom.sf(hits - 1, keys, event.delta) >= FALSE_ALARM
    louder, _ = published(source, 1, factor=1.3, keys=keys)
    assert binom.sf(louder - 1, keys, event.delta) < FALSE_ALARM
