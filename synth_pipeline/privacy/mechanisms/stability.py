"""Stability-based set union: which keys occur in a column, without a list of them beforehand.

Sources: Korolova, Kenthapadi, Mishra and Ntoulas 2009 ("Releasing Search Queries and Clicks Privately") for the
method; Gopi et al. 2020 ("Differentially Private Set Union") for the Gaussian threshold; Swanberg, Desfontaines and
Haney 2023 ("DP-SIPS") for the comparison of one noisy count a key, as here, with repeated rounds.

Deviations. Noise is discrete and its tail is summed, not bounded. A unit's rows are counted as they are (Gopi et al.
weigh a unit's keys by 1/√k), since rows, not keys, are what the walk bounds.

Why the threshold holds. Let D hold one unit more than D′, with at most m rows. Its rows may fall on keys of D′, where
they are covered by a Gaussian of sensitivity m, and on t ≤ m keys that D′ lacks, each with at most m − t + 1 rows.
Under D′ a new key is never published. Under D none is published with probability 1 − δ″, independently of the other
keys, where δ″ = max_t 1 − (1 − P[X > τ − (m − t + 1)])^t. So M(D) = (1 − δ″)·M₀ + δ″·R with M₀ the Gaussian mechanism
on the old keys. Writing δ″ = δ′/(1 + δ′): H(M(D) ‖ M(D′)) ≤ δ_μ(ε) + δ″, and H(M(D′) ‖ M(D)) ≤ δ_μ(ε + ln(1 − δ″)) ≤
δ_μ(ε) + δ″/(1 − δ″) = δ_μ(ε) + δ′. Several discoveries multiply their (1 − δ″), so their δ′ compose to ∏(1 + δ′) − 1.
"""

from collections.abc import Mapping
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
        noisy_counts: their released noisy counts, in rows, in the keys' order; all above the threshold.
        threshold: what a noisy count had to pass; it depends on public parameters alone.
        event: what the discovery cost.
    """

    keys: tuple[str, ...]
    noisy_counts: tuple[int, ...]
    threshold: int
    event: DiscoveryEvent


def discovery_threshold(sigma: float, delta: float, unit_rows: int) -> int:
    """Return the smallest τ for which publishing noisy counts above τ keeps one unit's own keys within δ′ = `delta`.

    Args:
        sigma: scale of the noise, in rows.
        delta: δ′.
        unit_rows: most rows of one unit.

    Raises:
        PrivacyError: when an argument is out of range.

    Example:
        >>> discovery_threshold(sigma=10.0, delta=1e-6, unit_rows=1)
        49
    """
    if not 0 < delta < 1:
        raise PrivacyError(f"discovery: delta is {delta!r}; it must lie between 0 and 1")
    if unit_rows < 1:
        raise PrivacyError(f"discovery: unit_rows is {unit_rows!r}; it must be at least 1")
    allowed = delta / (1 + delta)
    low, high = 0, unit_rows + 1
    while _failure(sigma, high, unit_rows) > allowed:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _failure(sigma, middle, unit_rows) <= allowed else (middle, high)
    return high


def _failure(sigma: float, threshold: int, unit_rows: int) -> float:
    """Bound the chance that any key held by one unit alone is published, over every way to spread the unit's rows."""
    spreads = np.arange(1, unit_rows + 1)
    tails = np.array([tail_probability(sigma, threshold - int(unit_rows - t + 1)) for t in spreads])
    return float(np.max(-np.expm1(spreads * np.log1p(-np.minimum(tails, 1 - 1e-16)))))


def discover_keys(
    counts: Mapping[str, int], *, sigma: float, delta: float, unit_rows: int, noise: NoiseSource
) -> Discovery:
    """Publish the keys whose noisy counts pass the threshold for (sigma, delta).

    Args:
        counts: rows of each key that is present; keys with no row must not be listed.
        sigma: scale of the noise, in rows.
        delta: δ′, the share of δ that covers keys held by one unit alone.
        unit_rows: most rows of one unit in the table.
        noise: where the randomness comes from.

    Raises:
        PrivacyError: when a listed key has no row, or an argument is out of range.

    Privacy:
        DiscoveryEvent(sigma, unit_rows, threshold, delta). The order of `counts` does not reach the result. How
        long the call takes depends on the number of keys: see docs/known_vulnerabilities.md on timing.
    """
    threshold = discovery_threshold(sigma, delta, unit_rows)
    keys = sorted(counts)
    true_counts = np.array([counts[key] for key in keys], dtype=np.int64)
    if (true_counts < 1).any():
        raise PrivacyError("discovery: a key without rows was listed; list only keys that are present")
    noisy = add_noise(true_counts, sigma, noise)
    found = [(key, int(count)) for key, count in zip(keys, noisy, strict=True) if count > threshold]
    event = DiscoveryEvent(sigma=sigma, sensitivity=unit_rows, threshold=threshold, delta=delta)
    return Discovery(tuple(key for key, _ in found), tuple(count for _, count in found), threshold, event)
