"""Exact discrete Laplace noise: P[x] ∝ exp(−|x|/t) on the integers, t a whole number; one draw at a time.

    U uniform on 0…t−1, kept with probability exp(−U/t);   V with P[V ≥ k] = exp(−k);   |X| = U + tV, sign at random, no −0.

Source:
    Canonne, Kamath and Steinke 2020, "The discrete Gaussian for differential privacy", algorithm 2, with s = 1. Every choice "with
    probability exp(−γ)" compares a uniform number with exp(−γ) to as many bits as it takes (`exact_gaussian.LazyUniform`).
"""

import math
from fractions import Fraction

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.exact_gaussian import MARGIN, LazyUniform, WordSource


def discrete_laplace(scale: int, words: WordSource) -> int:
    """One exact discrete Laplace number.

    Args:
        scale: t; the standard deviation is about t·√2.
        words: independent uniform words of 64 bits.

    Raises:
        PrivacyError: when the scale is below 1.
    """
    if scale < 1:
        raise PrivacyError(f"discrete Laplace: the scale is {scale}; it must be a whole number of at least 1")
    while True:
        rest = _below(scale, words)
        if not _happens(Fraction(rest, scale), words):
            continue
        size = rest
        while _happens(Fraction(1), words):
            size += scale
        is_negative = int(words(1)[0]) >> 63 == 1
        if not (is_negative and size == 0):
            return -size if is_negative else size


def _below(bound: int, words: WordSource) -> int:
    """A uniform whole number from 0 to bound − 1, by rejection."""
    bits = bound.bit_length()
    count = -(-bits // 64)
    while True:
        value = 0
        for word in words(count):
            value = (value << 64) | int(word)
        value >>= 64 * count - bits
        if value < bound:
            return value


def _happens(gamma: Fraction, words: WordSource) -> bool:
    """True with probability exp(−gamma), 0 ≤ gamma ≤ 1, exactly: floating point decides where it is far from the edge."""
    word = int(words(1)[0])
    gap = math.exp(-float(gamma)) - word * 2.0**-64
    return gap > 0 if abs(gap) > MARGIN else LazyUniform(word, words).is_below(gamma)
