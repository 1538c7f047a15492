"""Stability-based set union: which keys occur in a column, without a list of them beforehand.

Sources: Korolova, Kenthapadi, Mishra and Ntoulas 2009 ("Releasing Search Queries and Clicks Privately") for the
method; Gopi et al. 2020 ("Differentially Private Set Union") for the Gaussian threshold; Swanberg, Desfontaines and
Haney 2023 ("DP-SIPS") for the comparison of one noisy count a key, as here, with repeated rounds.

Deviations. Noise is discrete and its tail is summed, not bounded. A unit's k rows weigh ⌊U/k⌋ each (Gopi et al. weigh
a unit's distinct keys by 1/√k), since rows, not keys, are what the walk bounds; the sum over all keys is then at most U.

Why the threshold holds. Let D hold one unit more than D′, with k ≤ m rows of ⌊U/k⌋ each. Its rows may fall on keys of
D′, where they are covered by a Gaussian of sensitivity U, and on t ≤ k keys that D′ lacks, at least one row on each. Under
D′ a new key is never published. Under D each of them is published with probability P[X > τ − a·⌊U/k⌋] for its a rows,
independently of the other keys. That is convex in a while τ ≥ U (the noise's mass decreases away from 0), so the sum over
the t keys is largest where t − 1 of them have one row: at most P[X > τ − b] + (t − 1)·P[X > τ − c] with
b = (k − t + 1)·⌊U/k⌋ ≤ ⌊U(m − t + 1)/m⌋ and c = ⌊U/k⌋ ≤ ⌊U/t⌋. Hence none is published with probability 1 − δ″,
δ″ the maximum over t ≤ m of that with the two bounds put in. So M(D) = (1 − δ″)·M₀ + δ″·R with M₀ the Gaussian mechanism on
the old keys. Writing δ″ = δ′/(1 + δ′): H(M(D) ‖ M(D′)) ≤ δ_μ(ε) + δ″, and H(M(D′) ‖ M(D)) ≤ δ_μ(ε + ln(1 − δ″)) ≤
δ_μ(ε) + δ″/(1 − δ″) = δ_μ(ε) + δ′. Several discoveries multiply their (1 − δ″), so their δ′ compose to ∏(1 + δ′) − 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.events import DiscoveryEvent
from synth_pipeline.privacy.mechanisms.discrete_gaussian import add_noise, tail_probability
from synth_pipeline.privacy.noise import NoiseSource


@dataclass(frozen=True, slots=True)
class Discovery:
    """Keys that were found, and what finding them cost.

    Attributes:
        keys: the released keys, sorted.
        noisy_counts: their released noisy counts, in whole units, in the keys' order; all above the threshold.
        threshold: what a noisy count had to pass; it depends on public parameters alone.
        event: what the discovery cost.
    """

    keys: tuple[str, ...]
    noisy_counts: tuple[int, ...]
    threshold: int
    event: DiscoveryEvent


@dataclass(frozen=True, slots=True)
class KeyReach:
    """How one unit's rows may spread over keys.

    Attributes:
        rows: most rows of one unit, m.
        weight: the most that they weigh together in whole units, U; 0 stands for one unit a row (U = m).
    """

    rows: int = 1
    weight: int = 0

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise PrivacyError(f"discovery: rows of a unit are {self.rows!r}; there must be at least 1")
        if self.weight == 0:
            object.__setattr__(self, "weight", self.rows)
        if self.weight < self.rows:
            raise PrivacyError(f"discovery: {self.rows} rows weigh {self.weight} units; each must weigh at least 1")

    def spreads(self) -> Iterator[tuple[int, int, int]]:
        """For each number t of keys: t, the most that the heaviest weighs, and the most that each other one does."""
        for keys in range(1, self.rows + 1):
            yield keys, self.weight * (self.rows - keys + 1) // self.rows, self.weight // keys


def discovery_threshold(sigma: float, delta: float, reach: KeyReach) -> int:
    """Return the smallest τ ≥ U for which publishing noisy counts above τ keeps one unit's own keys within δ′ = `delta`.

    Args:
        sigma: scale of the noise, in whole units.
        delta: δ′.
        reach: how one unit's rows may spread.

    Raises:
        PrivacyError: when δ′ is out of range.

    Example:
        >>> discovery_threshold(sigma=10.0, delta=1e-6, reach=KeyReach())
        49
    """
    if not 0 < delta < 1:
        raise PrivacyError(f"discovery: delta is {delta!r}; it must lie between 0 and 1")
    allowed = delta / (1 + delta)
    low, high = reach.weight - 1, 2 * reach.weight
    while _failure(sigma, high, reach) > allowed:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _failure(sigma, middle, reach) <= allowed else (middle, high)
    return high


def _failure(sigma: float, threshold: int, reach: KeyReach) -> float:
    """Bound the chance that any key held by one unit alone is published, over every way to spread the unit's rows."""
    return max(
        tail_probability(sigma, threshold - heaviest)
        + (keys - 1) * (tail_probability(sigma, threshold - other) if keys > 1 else 0.0)
        for keys, heaviest, other in reach.spreads()
    )


def discover_keys(
    counts: Mapping[str, int], *, sigma: float, delta: float, reach: KeyReach, noise: NoiseSource
) -> Discovery:
    """Publish the keys whose noisy counts pass the threshold for (sigma, delta).

    Args:
        counts: weight of each key that is present, in whole units; keys with no row must not be listed.
        sigma: scale of the noise, in whole units.
        delta: δ′, the share of δ that covers keys held by one unit alone.
        reach: how one unit's rows may spread over keys.
        noise: where the randomness comes from.

    Raises:
        PrivacyError: when a listed key has no row, or an argument is out of range.

    Privacy:
        DiscoveryEvent(sigma, reach.weight, threshold, delta). The order of `counts` does not reach the result. How
        long the call takes depends on the number of keys: see docs/known_vulnerabilities.md on timing.
    """
    threshold = discovery_threshold(sigma, delta, reach)
    keys = sorted(counts)
    true_counts = np.array([counts[key] for key in keys], dtype=np.int64)
    if (true_counts < 1).any():
        raise PrivacyError("discovery: a key without rows was listed; list only keys that are present")
    noisy = add_noise(true_counts, sigma, noise)
    found = [(key, int(count)) for key, count in zip(keys, noisy, strict=True) if count > threshold]
    event = DiscoveryEvent(sigma=sigma, sensitivity=reach.weight, threshold=threshold, delta=delta)
    return Discovery(tuple(key for key, _ in found), tuple(count for _, count in found), threshold, event)
