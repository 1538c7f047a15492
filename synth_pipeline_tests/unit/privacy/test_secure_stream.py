"""The cryptographic stream and what is drawn from it: known answers, exact thresholds, tails without an end, and nothing that repeats."""

import os

import numpy as np
import pytest
from scipy.special import ndtr

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.noise import SecureNoise
from synth_pipeline.privacy.secure_stream import (
    LARGEST_GAUSSIAN,
    chosen,
    keystream,
    lattice_spacing,
    parts,
    secure_words,
    standard_gaussians,
)

COUNTER = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
PLAIN = (
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
KNOWN = {
    "AES-128, F.5.1": (
        "2b7e151628aed2a6abf7158809cf4f3c",
        (
            "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
            "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"
        ),
    ),
    "AES-256, F.5.5": (
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        (
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
            "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
        ),
    ),
}


@pytest.mark.parametrize("case", KNOWN)
def test_the_keystream_is_that_of_nist_sp_800_38a(case: str) -> None:
    key, cipher = (bytes.fromhex(part) for part in KNOWN[case])
    stream = keystream(key, bytes.fromhex(COUNTER), 64)
    assert bytes(a ^ b for a, b in zip(stream, bytes.fromhex(PLAIN), strict=True)) == cipher


def test_no_two_requests_share_a_word() -> None:
    drawn = np.concatenate([secure_words(size) for size in (1, 1, 3, 1000, 70_000)])
    assert len(np.unique(drawn)) == len(drawn)
    assert secure_words(0).shape == (0,)


def test_a_forked_process_does_not_repeat_its_parents_stream() -> None:
    source = SecureNoise()
    source.words(5)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, source.words(100).tobytes())
        os._exit(0)
    theirs = np.frombuffer(os.read(reader, 800), dtype=np.uint64)
    os.waitpid(child, 0)
    assert len(theirs) == 100
    assert not set(theirs.tolist()) & set(source.words(100).tolist())


def test_gaussians_are_the_inverse_distribution_function_to_the_last_places() -> None:
    """Against 50 digits, over bulk, middle and tails: within 1e-15·max(|x|, 1)."""
    mpmath = pytest.importorskip("mpmath")
    words = np.concatenate(
        [
            np.random.default_rng(0).integers(2**63, size=200, dtype=np.uint64) >> np.uint64(shift)
            for shift in (0, 4, 20, 50)
        ]
    )
    with mpmath.workdps(50):
        for word, x in zip(words.tolist(), standard_gaussians(words).tolist(), strict=True):
            uniform = (mpmath.mpf(word) + 0.5) / mpmath.mpf(2) ** 64
            density = mpmath.npdf(x)
            assert abs((mpmath.ncdf(x) - uniform) / density) <= 1e-15 * max(abs(x), 1)


@pytest.mark.parametrize("x", [0.5, 1.0, 3.0, 5.0, 6.0, 7.0, 8.0])
def test_the_tails_have_their_share_of_all_words(x: float) -> None:
    """Inversion is monotone, so as many of the 2⁶⁴ words lie beyond x as do below the one that hits x."""
    word = np.array([int(float(ndtr(-x)) * 2.0**64)], dtype=np.uint64)
    mirrored = word | np.uint64(1 << 63)
    assert abs(float(standard_gaussians(word)[0]) + x) < 1e-4
    assert standard_gaussians(mirrored)[0] == -standard_gaussians(word)[0]


def test_no_draw_is_larger_than_a_word_can_tell() -> None:
    ends = np.array([0, 2**63, 2**63 - 1, 2**64 - 1], dtype=np.uint64)
    low, high, *middle = standard_gaussians(ends).tolist()
    assert -LARGEST_GAUSSIAN < low < -9.0
    assert high == -low
    assert middle == [0.0, 0.0]


def test_chunks_make_no_difference() -> None:
    words = secure_words(150_001)
    whole = standard_gaussians(words)
    assert np.array_equal(whole[149_990:], standard_gaussians(words[149_990:]))
    assert np.isfinite(whole).all()


@pytest.mark.parametrize("rate", [0.0, 1e-12, 0.05, 0.3, 0.5, 1 - 2**-53])
def test_a_poisson_sample_takes_the_exact_share_of_words(rate: float) -> None:
    threshold = int(rate * 2**64)
    near = [word for word in (threshold - 1, threshold) if word >= 0]
    assert chosen(np.array(near, dtype=np.uint64), rate).tolist() == [word < threshold for word in near]


def test_a_rate_of_one_takes_everybody_and_a_rate_beyond_is_refused() -> None:
    assert chosen(np.array([2**64 - 1], dtype=np.uint64), 1.0).tolist() == [True]
    for rate in (-0.1, 1.1, float("nan")):
        with pytest.raises(PrivacyError, match="Poisson sample"):
            chosen(secure_words(2), rate)


def test_parts_are_numbers_below_their_count() -> None:
    assert parts(np.array([0, 6, 7, 2**64 - 1], dtype=np.uint64), 7).tolist() == [0, 6, 0, (2**64 - 1) % 7]
    with pytest.raises(PrivacyError, match="at least 1"):
        parts(secure_words(1), 0)


@pytest.mark.parametrize("scale", [1e-9, 0.3, 1.0, 63.999, 64.0, 1e6])
def test_the_lattice_is_a_power_of_two_well_below_the_scale(scale: float) -> None:
    spacing = lattice_spacing(scale)
    assert np.frexp(spacing)[0] == 0.5
    assert scale / 128 < spacing <= scale / 64


def test_a_negative_number_of_draws_is_refused() -> None:
    with pytest.raises(PrivacyError, match="0 or more"):
        secure_words(-1)
