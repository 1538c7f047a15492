"""The discrete Gaussian mechanism (Canonne, Kamath and Steinke 2020, "The Discrete Gaussian for Differential Privacy").

P[x] = exp(−x²/2σ²) / Σ_k exp(−k²/2σ²) on the integers (Definition 1). Our `sigma` is their σ. Deviation: none; sampling
is opendp's exact Algorithm 3, by way of the noise source.
"""

import math

import numpy as np
from numpy.typing import NDArray

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.noise import NoiseSource

_REACH_SIGMAS = 40
_LARGEST_SUMMED_SIGMA = 1e5


def add_noise(counts: NDArray[np.int64], sigma: float, noise: NoiseSource) -> NDArray[np.int64]:
    """Return counts with independent discrete Gaussian noise of scale `sigma` on every one.

    Shapes:
        Any shape; the result has the same.

    Raises:
        PrivacyError: when the counts are not 64-bit integers, or sigma is not a finite number above 0.

    Privacy:
        For answers that one unit moves by at most s in L2 (s a whole number): DiscreteGaussianEvent(sigma, s). The
        noise is added whatever the counts are, zeros included.
    """
    if counts.dtype != np.int64:
        raise PrivacyError(
            f"discrete Gaussian: the answers are {counts.dtype}; exact noise needs 64-bit integers: count first"
        )
    return counts + noise.discrete_gaussian(counts.size, sigma).reshape(counts.shape)


def tail_probability(sigma: float, above: int) -> float:
    """Return P[X > above] for discrete Gaussian noise X of scale `sigma`, rounding errors aside never too small.

    Beyond σ = 1e5 the sum is replaced by the continuous Gaussian's tail from `above`, which is larger.

    Raises:
        PrivacyError: when sigma is not a finite number above 0.

    Source: Definition 1, summed; the paper's tail bound P[X ≥ m] ≤ P[continuous ≥ m − 1].
    """
    if not (math.isfinite(sigma) and sigma > 0):
        raise PrivacyError(f"discrete Gaussian: sigma is {sigma!r}; it must be a finite number above 0")
    if sigma > _LARGEST_SUMMED_SIGMA:
        return 0.5 * math.erfc(above / (sigma * math.sqrt(2)))
    if above < 0:
        return 1.0 - tail_probability(sigma, -above - 1)
    reach = math.ceil(_REACH_SIGMAS * sigma) + 1
    positive = np.exp(-0.5 * (np.arange(1, reach + 1, dtype=np.float64) / sigma) ** 2)
    start = above + 1
    beyond = np.exp(-0.5 * (np.arange(start, start + reach, dtype=np.float64) / sigma) ** 2)
    return float(beyond[::-1].sum() / (1.0 + 2.0 * positive[::-1].sum()))
