"""Effect sizes: the figures themselves, and how noise is taken off."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from synth_pipeline.drift.effect import (
    code_positions,
    denoised,
    js_distance,
    psi_of,
    total_variation,
    wasserstein_of,
)
from synth_pipeline.drift.null_law import TwoTables, compare
from synth_pipeline.profile.build import build_profile
from synth_pipeline.table.profile import CategoryProfile
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

FIRST, SECOND = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.3, 0.3])


def test_figures_are_those_of_the_books() -> None:
    assert js_distance(FIRST, SECOND) == pytest.approx(float(jensenshannon(FIRST, SECOND, base=2)))
    assert total_variation(FIRST, SECOND) == pytest.approx(0.1)
    assert psi_of(1e-9)(FIRST, SECOND) == pytest.approx(0.1 * np.log(0.5 / 0.4) + 0.1 * np.log(0.3 / 0.2))
    positions = np.array([1.0, 4.0, 9.0])
    expected = stats.wasserstein_distance(positions, positions, FIRST, SECOND)
    assert wasserstein_of(positions)(FIRST, SECOND) == pytest.approx(float(expected))


def test_nulls_are_left_out_of_a_distance_between_numbers() -> None:
    with_null = [np.append(shares * 0.5, 0.5) for shares in (FIRST, SECOND)]
    positions = np.array([1.0, 4.0, 9.0])
    assert wasserstein_of(positions)(*with_null) == pytest.approx(wasserstein_of(positions)(FIRST, SECOND))


def measured(true: np.ndarray, *, sigma: float, seed: int) -> TwoTables:
    rng, noise = np.random.default_rng(seed), np.full(6, sigma)
    flat = np.full(6, 1 / 6)
    old, new = rng.multinomial(6_000, flat), rng.multinomial(6_000, true)
    return TwoTables(old + rng.normal(size=6) * sigma, noise, 6_000, new + rng.normal(size=6) * sigma, noise, 6_000)


def test_where_nothing_changed_the_noise_is_taken_off() -> None:
    raw, found = [], []
    for seed in range(40):
        comparison = compare(measured(np.full(6, 1 / 6), sigma=100, seed=seed), draws=50)
        found.append(denoised(comparison).effect(total_variation))
        raw.append(total_variation(comparison.tables.old / 6_000, comparison.tables.new / 6_000))
    assert np.mean([effect.value for effect in found]) < 0.5 * np.mean(raw)
    assert np.mean([effect.low == 0 for effect in found]) >= 0.9
    assert all(effect.low <= effect.value <= effect.high for effect in found)


def test_a_real_change_keeps_its_size() -> None:
    true = np.array([1 / 6 + 0.1, 1 / 6 - 0.1, *[1 / 6] * 4])
    found = [
        denoised(compare(measured(true, sigma=60, seed=seed), draws=50)).effect(total_variation) for seed in range(40)
    ]
    assert np.mean([effect.value for effect in found]) == pytest.approx(0.1, abs=0.025)
    assert np.mean([effect.low <= 0.1 <= effect.high for effect in found]) >= 0.85


def test_a_large_change_of_a_large_table_is_measured_at_once() -> None:
    rows = np.array([3e6, 1e6])
    far = TwoTables(rows, np.ones(2), 4e6, rows[::-1].copy(), np.ones(2), 4e6)
    effect = denoised(compare(far)).effect(total_variation)
    assert effect.value == pytest.approx(0.5, abs=1e-3)
    assert effect.high - effect.low < 0.01


def test_codes_lie_where_their_values_do() -> None:
    spec = toy_spec(epsilon=8.0)
    frame = toy_frame(4000)
    profile = build_profile(toy_curator(spec, frame), spec.modelled)
    for name, unit in (("age", ""), ("income", ""), ("visit", "days"), ("grade", "steps")):
        column = profile.column(name)
        located = code_positions(column)
        assert located is not None
        assert located[1] == unit
        assert len(located[0]) == column.codes - int(column.nullable)
        assert (np.diff(located[0]) >= 0).all()
    ages, _ = code_positions(profile.column("age")) or (np.zeros(0), "")
    shares = profile.shares([column.name for column in profile.columns].index("age"))
    assert float(ages @ shares) == pytest.approx(frame["age"].mean(), abs=1.0)
    city = profile.column("city")
    assert isinstance(city, CategoryProfile)
    assert code_positions(city) is None
