"""A noise source with a seed, for tests that must repeat: the same distributions, but never in the package."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from synth_pipeline.privacy.noise import check_draw


class SeededNoise:
    """Discrete Gaussians by inverse distribution function over the integers within 12 σ, from a seeded generator.

    Above σ = 10,000 they are rounded Gaussians, which nobody could tell apart. Words come from seeds drawn one a request, so that requests
    of different size leave the same noise behind.
    """

    def __init__(self, seed: int = 0) -> None:
        self._generator = np.random.default_rng(seed)

    def discrete_gaussian(self, size: int, sigma: float) -> NDArray[np.int64]:
        check_draw(size, sigma)
        if sigma > 10_000:
            return np.rint(self._generator.normal(0.0, sigma, size)).astype(np.int64)
        reach = int(np.ceil(12 * sigma)) + 1
        support = np.arange(-reach, reach + 1)
        cumulative = np.cumsum(np.exp(-0.5 * (support / sigma) ** 2))
        uniform = self._generator.random(size) * cumulative[-1]
        found = np.minimum(np.searchsorted(cumulative, uniform, side="right"), support.size - 1)
        return support[found].astype(np.int64)

    def exponential_choice(self, scores: NDArray[np.float64], scale: float) -> int:
        return int(np.argmax(scores / scale + self._generator.gumbel(size=scores.size)))

    def words(self, size: int) -> NDArray[np.uint64]:
        fresh = np.random.default_rng(self._generator.integers(2**63))
        return fresh.integers(2**64, size=size, dtype=np.uint64)


def seeded_gaussians(seed: int) -> Callable[[int], NDArray[np.float64]]:
    """The noise of a DP-SGD step for tests: the same draws in every step."""
    return lambda size: np.random.default_rng(seed).standard_normal(size)
