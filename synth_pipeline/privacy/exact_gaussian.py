"""Exact discrete Gaussians, many at once: the rejection sampler of Canonne, Kamath and Steinke on whole arrays of random words.

    P[x] ∝ exp(−x²/2σ²) on the integers.        With t = ⌊σ⌋ + 1, until accepted:
    D uniform on 0…t−1, kept with probability exp(−D/t);    V with P[V ≥ k] = exp(−k);    X = D + tV, sign at random, no −0;
    kept with probability exp(−(|X| − σ²/t)²/2σ²).

Every choice "with probability exp(−γ)" is U < exp(−γ) for a uniform real U of which the first 64 bits are drawn. Floating point only
filters: it decides where U's interval is further than `MARGIN` from its value of exp(−γ). The rest, one in 2³⁸, is decided by `LazyUniform`
with as many bits of U and digits of exp(−γ) as it takes, γ as a fraction. So the output is exactly that of the algorithm, for σ the very
number given.

Why the filter is right: the first 64 bits of U round with an error below 2⁻⁵². γ is computed from whole numbers below 2⁵³ in a handful of
operations, each off by 2⁻⁵³ of its value, so exp(−γ) is off by at most x(x + 2)e^(−x²/2)·2⁻⁵⁰ < 2⁻⁴⁷ for x = ||X| − σ²/t|/σ; numpy's exp
errs by some units in the last place. `MARGIN` is a hundred times their sum.

Source:
    Canonne, Kamath and Steinke 2020, "The discrete Gaussian for differential privacy", algorithms 1 to 3. Deviation: Bernoulli(exp(−γ)) is
    one comparison instead of a series of coins, and a geometric variable is one number's place among the powers of 1/e.
"""

from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from synth_pipeline.privacy.secure_stream import Words

WordSource = Callable[[int], Words]

SMALLEST_SIGMA, LARGEST_SIGMA = 2.0**-10, 2.0**40
"""Outside, |X| or 1/σ would leave the whole numbers that double precision holds."""

MARGIN = 2.0**-40
_POWERS = np.exp(-np.arange(46.0))
_KEPT = 0.4


class LazyUniform:
    """A uniform real number in [0, 1), of which as many bits are drawn as a comparison needs.

    Args:
        word: its first 64 bits.
        words: where further bits come from.
    """

    def __init__(self, word: int, words: WordSource) -> None:
        self._value, self._bits, self._words = word, 64, words

    def is_below(self, gamma: Fraction) -> bool:
        """Whether it is below exp(−gamma), gamma ≥ 0; certain."""
        if gamma == 0:
            return True
        while True:
            if gamma > 0.7 * self._bits:  # exp(−gamma) is below the interval of value 1
                if self._value:
                    return False
                self._draw_more()
                continue
            digits = self._bits + 30
            context = Context(prec=digits)
            exponent = context.divide(Decimal(-gamma.numerator), Decimal(gamma.denominator))
            middle = Fraction(context.exp(exponent)) * 2**self._bits
            slack = middle * (2 + Fraction(gamma)) / 10 ** (digits - 2)
            if self._value + 1 <= middle - slack:
                return True
            if self._value >= middle + slack:
                return False
            self._draw_more()

    def _draw_more(self) -> None:
        self._value = (self._value << 64) | int(self._words(1)[0])
        self._bits += 64


def discrete_gaussians(size: int, sigma: float, words: WordSource) -> npt.NDArray[np.int64]:
    """Independent exact discrete Gaussians.

    Args:
        size: how many.
        sigma: scale, from SMALLEST_SIGMA to LARGEST_SIGMA.
        words: independent uniform words of 64 bits.
    """
    found: list[npt.NDArray[np.int64]] = []
    missing = size
    while missing > 0:
        accepted = _attempt(int(missing / _KEPT) + 16, sigma, words)[:missing]
        found.append(accepted)
        missing -= len(accepted)
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def _attempt(count: int, sigma: float, words: WordSource) -> npt.NDArray[np.int64]:
    """What `count` attempts of the rejection sampler accept."""
    drawn = words(5 * count).reshape(5, count)
    whole = int(sigma) + 1
    variance = Fraction(sigma) ** 2
    if 2**64 % whole:
        drawn = drawn[:, drawn[0] < np.uint64(2**64 - 2**64 % whole)]
    rest = (drawn[0] % np.uint64(whole)).astype(np.int64)
    kept = _below(drawn[1], rest / whole, lambda i: Fraction(int(rest[i]), whole), words)
    drawn, rest = drawn[:, kept], rest[kept]
    size = rest + whole * _geometric(drawn[2], words)
    is_negative = drawn[3] >> np.uint64(63) == 1
    kept = ~(is_negative & (size == 0))
    drawn, size, is_negative = drawn[:, kept], size[kept], is_negative[kept]
    centre = variance / whole
    gamma = (size - float(centre)) ** 2 / (2 * float(variance))
    kept = _below(drawn[4], gamma, lambda i: (int(size[i]) - centre) ** 2 / (2 * variance), words)
    return np.where(is_negative, -size, size)[kept]


def _below(
    drawn: Words, gamma: npt.NDArray[np.float64], exactly: Callable[[int], Fraction], words: WordSource
) -> npt.NDArray[np.bool_]:
    """Whether each uniform number is below exp(−gamma); `exactly` gives the gamma of a place as a fraction."""
    gap = np.exp(-gamma) - drawn * 2.0**-64
    is_below = gap > 0
    for place in np.flatnonzero(np.abs(gap) <= MARGIN):
        is_below[place] = LazyUniform(int(drawn[place]), words).is_below(exactly(int(place)))
    return is_below


def _geometric(drawn: Words, words: WordSource) -> npt.NDArray[np.int64]:
    """How many of e⁻¹, e⁻², … each uniform number is below."""
    uniform = drawn * 2.0**-64
    found = len(_POWERS) - 1 - np.searchsorted(_POWERS[:0:-1], uniform, side="right")
    nearest = np.minimum(np.abs(uniform - _POWERS[found]), np.abs(uniform - np.append(_POWERS, 0.0)[found + 1]))
    for place in np.flatnonzero(nearest <= MARGIN):
        number, count = LazyUniform(int(drawn[place]), words), 0
        while number.is_below(Fraction(count + 1)):
            count += 1
        found[place] = count
    return found.astype(np.int64)
