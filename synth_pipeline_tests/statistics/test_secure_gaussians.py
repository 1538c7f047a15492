"""The noise of DP-SGD is Gaussian with the charged scale: accepted at scale 1, rejected at 0.7 and 1.3.

Each test on the secure source raises a false alarm in one run of 100,000; those on seeded words always say the same.
"""

from math import sqrt

import numpy as np
import pytest
import torch
from scipy.stats import anderson, binom, chi2, kstest

from synth_pipeline.generate.dpsgd.config import secure_gaussians
from synth_pipeline.generate.dpsgd.noise import on_lattice
from synth_pipeline.privacy.secure_stream import chosen, lattice_spacing, secure_words, standard_gaussians
from synth_pipeline_tests.seeded_noise import SeededNoise

DRAWS = 400_000
ALARM = 1e-5
SOURCES = {"secure": secure_gaussians, "seeded": lambda size: standard_gaussians(SeededNoise(3).words(size))}


def has_scale(draws: np.ndarray, scale: float) -> bool:
    squares = float((draws**2).sum()) / scale**2
    return bool(chi2.ppf(ALARM / 2, len(draws)) < squares < chi2.isf(ALARM / 2, len(draws)))


@pytest.mark.parametrize("source", SOURCES)
def test_the_draws_are_standard_gaussians(source: str) -> None:
    draws = SOURCES[source](DRAWS)
    assert has_scale(draws, 1.0)
    assert kstest(draws, "norm").pvalue > ALARM
    third, fourth = float((draws**3).mean()), float((draws**4).mean())
    assert abs(third) < 4.5 * sqrt(15 / DRAWS)
    assert abs(fourth - 3) < 4.5 * sqrt(96 / DRAWS)


@pytest.mark.parametrize("factor", [0.7, 0.99, 1.01, 1.3])
def test_another_scale_is_rejected(factor: float) -> None:
    assert not has_scale(factor * SOURCES["seeded"](DRAWS), 1.0)


def test_neighbours_in_the_stream_are_independent() -> None:
    draws = secure_gaussians(DRAWS)
    for lag in (1, 2, 7, 65_536):
        correlation = float((draws[lag:] * draws[:-lag]).mean())
        assert abs(correlation) < 4.5 / sqrt(DRAWS - lag), lag


def test_the_tails_go_on() -> None:
    """Beyond 3 and 4 deviations as often as they should."""
    draws = np.abs(secure_gaussians(4 * DRAWS))
    for far, chance in ((3.0, 2.6997960632601866e-3), (4.0, 6.334248366623984e-5)):
        beyond = int((draws > far).sum())
        assert binom.ppf(ALARM / 2, len(draws), chance) <= beyond <= binom.isf(ALARM / 2, len(draws), chance), far


def test_a_poisson_sample_has_its_rate() -> None:
    count = int(chosen(secure_words(DRAWS), 0.05).sum())
    assert binom.ppf(ALARM / 2, DRAWS, 0.05) <= count <= binom.isf(ALARM / 2, DRAWS, 0.05)


@pytest.mark.parametrize("total", [0.0, 0.37, 123456.7])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_what_is_released_is_gaussian_around_the_sum_and_lies_on_the_lattice(
    total: float, precision: torch.dtype
) -> None:
    scale, spacing = 1.7, lattice_spacing(1.7)
    sums = torch.full((100_000,), total, dtype=precision)
    released = on_lattice(sums, torch.from_numpy(SOURCES["seeded"](100_000)), scale)
    assert released.dtype == precision
    points = released.double() / spacing
    assert torch.equal(points, points.round())
    rest = (released.double() - sums.double()).numpy()
    assert has_scale(rest, scale)
    assert anderson(rest / scale, "norm", method="interpolate").pvalue > 0.01


@pytest.mark.parametrize("scale", [1.3e-9, 0.83, 64.0, 7e8])
def test_the_lattice_point_is_the_one_next_to_the_sum_of_both(scale: float) -> None:
    from fractions import Fraction

    rng = np.random.default_rng(0)
    totals, noise = rng.normal(0, 1e5 * scale, 300), rng.standard_normal(300)
    spacing = lattice_spacing(scale)
    found = on_lattice(torch.from_numpy(totals), torch.from_numpy(noise), scale).numpy()
    for total, drawn, point in zip(totals.tolist(), noise.tolist(), found.tolist(), strict=True):
        exact = Fraction(total) + Fraction(scale * drawn)
        assert abs(Fraction(point) - exact) <= Fraction(spacing) / 2 * (1 + Fraction(1, 10**9))
