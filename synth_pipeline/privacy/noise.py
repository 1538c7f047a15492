"""Noise sources: where the randomness of released values comes from.

Belongs here: the source that releases use, and the protocol that tests implement with a seed. Does not: seeds. Nothing
in the package draws released noise from a seed; a seeded source lives with the tests.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.exact_gaussian import LARGEST_SIGMA, SMALLEST_SIGMA, discrete_gaussians
from synth_pipeline.privacy.secure_stream import secure_words

CHUNK_DRAWS = 65_536
"""Draws made at once; bounds the memory of their attempts, and of opendp's Python lists."""


class NoiseSource(Protocol):
    """What a mechanism needs to be random."""

    def discrete_gaussian(self, size: int, sigma: float) -> NDArray[np.int64]:
        """Draw `size` independent discrete Gaussians of scale `sigma`: P[x] ∝ exp(−x²/2σ²) on the integers."""
        ...

    def exponential_choice(self, scores: NDArray[np.float64], scale: float) -> int:
        """Draw an index with probability proportional to exp(score/scale)."""
        ...

    def words(self, size: int) -> NDArray[np.uint64]:
        """Draw independent uniform words of 64 bits; Gaussians, Poisson samples and parts are made of them (`secure_stream`)."""
        ...


class SecureNoise:
    """Randomness of the operating system's cryptographic source, with exact samplers: our own on arrays, and opendp's.

    Privacy:
        Discrete Gaussians are exact, no floating-point residue (Canonne, Kamath and Steinke 2020; `exact_gaussian`, and opendp for scales
        beyond its range). Choices compare Gumbel variates at whatever precision the comparison needs. Words are AES-256 in counter mode
        under a fresh key of the operating system for each request (`secure_stream`); DP-SGD's Gaussians, Poisson samples and teachers'
        parts are made of them.
    """

    def discrete_gaussian(self, size: int, sigma: float) -> NDArray[np.int64]:
        """Draw `size` exact discrete Gaussians of scale `sigma`.

        Raises:
            PrivacyError: when sigma is not a finite number above 0, or size is negative.
        """
        check_draw(size, sigma)
        drawn = np.empty(size, dtype=np.int64)
        if SMALLEST_SIGMA <= sigma <= LARGEST_SIGMA:
            for start, stop in _chunks(size):
                drawn[start:stop] = discrete_gaussians(stop - start, float(sigma), self.words)
            return drawn
        measure = _opendp_gaussian(float(sigma))
        for start, stop in _chunks(size):
            drawn[start:stop] = measure(np.zeros(stop - start, dtype=np.int64))
        return drawn

    def exponential_choice(self, scores: NDArray[np.float64], scale: float) -> int:
        """Draw an index with probability proportional to exp(score/scale)."""
        import opendp.prelude as opendp_prelude

        dp: Any = opendp_prelude
        dp.enable_features("contrib")
        domain = dp.vector_domain(dp.atom_domain(T="f64", nan=False))
        choose = dp.m.make_noisy_max(domain, dp.linf_distance(T="f64"), dp.zero_concentrated_divergence(), float(scale))
        return int(choose(scores.tolist()))

    def words(self, size: int) -> NDArray[np.uint64]:
        """Draw words of AES-256 in counter mode, under a fresh key."""
        return secure_words(size)


def check_draw(size: int, sigma: float) -> None:
    """Refuse a request no noise source can serve.

    Raises:
        PrivacyError: when sigma is not a finite number above 0, or size is negative.
    """
    if not (np.isfinite(sigma) and sigma > 0):
        raise PrivacyError(f"noise: sigma is {sigma!r}; it must be a finite number above 0")
    if size < 0:
        raise PrivacyError(f"noise: {size} draws were asked for; it must be 0 or more")


def _chunks(size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, CHUNK_DRAWS):
        yield start, min(start + CHUNK_DRAWS, size)


@lru_cache(maxsize=256)
def _opendp_gaussian(sigma: float) -> Any:
    """Build opendp's discrete Gaussian on vectors of 64-bit integers."""
    import opendp.prelude as opendp_prelude

    dp: Any = opendp_prelude
    dp.enable_features("contrib")
    return dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64"), sigma)
