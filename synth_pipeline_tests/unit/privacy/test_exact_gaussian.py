"""The sampler of exact discrete Gaussians: floating point filters, and never decides what it cannot; the law is that of opendp's."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import chisquare, ks_2samp

from synth_pipeline.privacy import exact_gaussian
from synth_pipeline.privacy.exact_gaussian import LazyUniform, discrete_gaussians
from synth_pipeline.privacy.noise import SecureNoise, _opendp_gaussian
from synth_pipeline.privacy.secure_stream import Words, secure_words
from synth_pipeline_tests.seeded_noise import SeededNoise

ALARM = 1e-5
DRAWS = 200_000


def law(sigma: float, reach: int) -> np.ndarray:
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return weights / weights.sum()


def follows(drawn: np.ndarray, sigma: float) -> bool:
    """Chi-square on the integers, both tails as a cell each; the truth is rejected once in 100,000."""
    reach = max(int(3 * sigma), 1)
    wide = law(sigma, reach + int(12 * sigma) + 3)
    middle = len(wide) // 2
    shares = np.concatenate(
        [[wide[: middle - reach].sum()], wide[middle - reach : middle + reach + 1], [wide[middle + reach + 1 :].sum()]]
    )
    counts = np.bincount(np.clip(drawn, -reach - 1, reach + 1) + reach + 1, minlength=2 * reach + 3)
    big = shares * len(drawn) > 5
    pooled = [np.append(values[big], values[~big].sum()) for values in (counts, shares * len(drawn))]
    keep = pooled[1] > 0
    return bool(chisquare(pooled[0][keep], pooled[1][keep] * pooled[0].sum() / pooled[1].sum()).pvalue > ALARM)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 2.7, 40.0])
def test_every_integer_has_its_probability(sigma: float) -> None:
    drawn = discrete_gaussians(DRAWS, sigma, SeededNoise(1).words)
    assert len(drawn) == DRAWS
    assert follows(drawn, sigma)
    assert follows(SecureNoise().discrete_gaussian(DRAWS, sigma), sigma)


@pytest.mark.parametrize("sigma", [1.0, 2.7, 40.0])
@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_another_scale_is_rejected(sigma: float, factor: float) -> None:
    assert not follows(discrete_gaussians(DRAWS, factor * sigma, SeededNoise(1).words), sigma)


@pytest.mark.parametrize("sigma", [3.3, 5000.0, 1e7])
def test_it_is_the_law_of_opendps_sampler(sigma: float) -> None:
    ours = SecureNoise().discrete_gaussian(20_000, sigma)
    theirs = np.array(_opendp_gaussian(sigma)(np.zeros(20_000, dtype=np.int64)))
    assert ks_2samp(ours, theirs, method="asymp").pvalue > ALARM


@pytest.mark.parametrize("sigma", [0.01, 0.6, 3.0, 77.7, 1e6])
def test_deciding_everything_exactly_draws_the_very_same_numbers(sigma: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter is switched off: every comparison is made with fractions and as many digits as it takes."""
    filtered = discrete_gaussians(300, sigma, SeededNoise(5).words)
    monkeypatch.setattr(exact_gaussian, "MARGIN", 2.0)
    assert np.array_equal(discrete_gaussians(300, sigma, SeededNoise(5).words), filtered)


def words_of(*given: int) -> Iterator[Words]:
    return (np.array([word], dtype=np.uint64) for word in given)


def test_a_lazy_uniform_draws_bits_until_it_is_certain() -> None:
    """exp(−1) starts with the bits 0x5e2d58d8b3bcdf1a, 0xbadec7829054f90d: a number that shares 64 of them is decided by the next."""
    first, second = 0x5E2D58D8B3BCDF1A, 0xBADEC7829054F90D
    for further, is_below in ((second - 1, True), (second + 1, False)):
        source = words_of(further)
        number = LazyUniform(first, lambda _, source=source: next(source))
        assert number.is_below(Fraction(1)) is is_below
    assert LazyUniform(first - 1, lambda _: pytest.fail("no further bits are needed")).is_below(Fraction(1))
    assert not LazyUniform(first + 1, lambda _: pytest.fail("no further bits are needed")).is_below(Fraction(1))


def test_a_lazy_uniform_near_zero_is_compared_with_tiny_numbers() -> None:
    none = LazyUniform(1, lambda _: pytest.fail("no further bits are needed"))
    assert not none.is_below(Fraction(10**6))
    source = words_of(0, 7)
    assert not LazyUniform(0, lambda _: next(source)).is_below(Fraction(10**6))
    assert LazyUniform(2**64 - 1, secure_words).is_below(Fraction(0))


def test_the_geometric_variable_counts_the_powers_of_one_over_e() -> None:
    places = np.array([0.99, 0.5, 0.3679, 0.3678, 0.1354, 0.1353, 1e-9, 1e-17])
    found = exact_gaussian._geometric((places * 2.0**64).astype(np.uint64), secure_words)
    assert found.tolist() == np.floor(-np.log(places)).tolist()


def test_nothing_asked_is_nothing_drawn() -> None:
    assert discrete_gaussians(0, 1.0, secure_words).shape == (0,)
