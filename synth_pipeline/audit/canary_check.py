"""What a watched training must be, beside private enough: noise of the charged law, batches of the charged law, and nothing else released.

Every test is two-sided with a false-alarm rate of `FALSE_ALARM`.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import gdtr, gdtrc

from synth_pipeline.audit.finding import Finding
from synth_pipeline.privacy.events import SubsampledGaussianEvent

Floats = npt.NDArray[np.floating]

Sizes = tuple[npt.NDArray[np.int64], int]

FALSE_ALARM = 1e-7
"""Chance that one of these tests alarms on an honest training."""


def noise_findings(noise: Floats, event: SubsampledGaussianEvent, *, where: str) -> list[Finding]:
    """Whether released coordinates that nobody moves are independent Gaussians of the charged scale, in each step and across steps.

    Args:
        noise: released coordinates, in clips (steps, coordinates).
        event: what was charged.
        where: which coordinates these are.
    """
    steps, count = noise.shape
    scaled = noise.astype(np.float64) / event.noise_multiplier
    by_step = (scaled**2).sum(axis=1)
    chances = np.array([_chi_square(total, count) for total in by_step])
    found: list[Finding] = []
    if chances.min() * steps < FALSE_ALARM:
        worst = int(chances.argmin())
        measured = math.sqrt(by_step[worst] / count)
        found.append(
            Finding("noise of another scale", "generator", event.purpose,
                    f"{where}: standard deviation in step {worst + 1} is {measured:.3g} of the charged one")
        )  # fmt: skip
    elif _chi_square(float((scaled.sum(axis=0) ** 2).sum()) / steps, count) < FALSE_ALARM:
        measured = (scaled.sum(axis=0) ** 2).mean() / steps
        found.append(
            Finding("noise repeats", "generator", event.purpose,
                    f"{where}: the variance of its sum over steps is {measured:.3g} of that of independent noise")
        )  # fmt: skip
    return found


def batch_findings(
    rows: npt.NDArray[np.int64], *, rows_each: int, sizes: Sizes | None, event: SubsampledGaussianEvent
) -> list[Finding]:
    """Whether the canaries who are in the table came in Poisson batches: as often as charged, each on its own, with all rows or none.

    Args:
        rows: rows of each canary in each batch (steps, canaries).
        rows_each: rows of a canary.
        sizes: where each row is a person, everybody in each batch, and how many there are in all; else None.
        event: what was charged.
    """
    from scipy.stats import binom

    if not np.isin(rows, (0, rows_each)).all():
        return [_batches(event, "a person came to a batch with some rows only")]
    hits = rows > 0
    steps, canaries = hits.shape
    q = event.sample_rate
    total = int(hits.sum())
    if q == 1:
        return [] if total == hits.size else [_batches(event, f"{total} draws of {hits.size} at rate 1")]
    chance = 2 * min(binom.cdf(total, hits.size, q), binom.sf(total - 1, hits.size, q))
    if chance < FALSE_ALARM:
        return [_batches(event, f"people are drawn at rate {total / hits.size:.4g}, {q:.4g} was charged")]
    found: list[Finding] = []
    by_batch = (hits.sum(axis=1), canaries) if sizes is None else sizes
    for counts, trials, what in (
        (hits.sum(axis=0), steps, "number of batches of a person"),
        (by_batch[0], by_batch[1], "size of a batch"),
    ):
        if _dispersion_chance(counts, trials, q) < FALSE_ALARM:
            ratio = float(((counts - trials * q) ** 2).mean() / (trials * q * (1 - q)))
            found.append(_batches(event, f"variance of the {what} is {ratio:.3g} of the binomial one"))
    return found


def release_findings(watched: dict[str, bytes], replayed: dict[str, bytes], purpose: str) -> list[Finding]:
    """Whether what left the engine is a function of the noisy sums: the same from a training on no rows that stepped by the same sums.

    Args:
        watched: what left the watched training, by name.
        replayed: what left the replayed one.
        purpose: of the training.
    """
    differing = sorted(name for name in watched.keys() | replayed.keys() if watched.get(name) != replayed.get(name))
    if not differing:
        return []
    detail = f"{', '.join(differing)}: other than what the noisy sums alone give"
    return [Finding("other release", "generator", purpose, detail)]


def _batches(event: SubsampledGaussianEvent, detail: str) -> Finding:
    return Finding("batches of another law", "generator", event.purpose, detail)


def _chi_square(total: float, freedom: float, variance: float = 2.0) -> float:
    """Two-sided chance of a sum of squares that has mean `freedom`, by the gamma law with that mean and freedom · variance."""
    below, above = (float(tail(1 / variance, freedom / variance, total)) for tail in (gdtr, gdtrc))
    return 2 * min(below, above)


def _dispersion_chance(counts: npt.NDArray[np.int64], trials: int, q: float) -> float:
    """Two-sided chance of the spread of binomial counts, by the gamma law with the fourth moment of the binomial."""
    variance = trials * q * (1 - q)
    total = float(((counts - trials * q) ** 2).sum()) / variance
    return _chi_square(total, len(counts), 2 + (1 - 6 * q * (1 - q)) / variance)
