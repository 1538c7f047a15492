"""A score with its 95 % interval, and the three ways in which this package makes one.

Every interval is computed from real rows without noise: internal, never released.

Which way is used where, and why:

- `percentile_interval` for scores that are smooth in the rows and hardly biased by resampling (AUC, F1, R² and their ratios on the
  holdout): the percentile bootstrap of Efron & Tibshirani 1993, chapter 13.
- `normal_interval` for distances between two tables (TVD, KS, differences of associations). Such a distance grows when noise is
  added, and resampling adds noise: the replicates lie above the score, so their percentiles would miss it. Only their *spread* is
  used, around the score itself (standard normal bootstrap interval, Efron & Tibshirani 1993, section 12.4). What it covers is the
  expected score of two tables of these sizes drawn afresh from the same two populations: the number a reader would see on average on
  other rows. It does not cover the distance of the two populations, which is smaller, nor another run of the generator.
- `log_ratio_interval` for the ratio of two distances: the delta method on the logarithm, with the replicates' spread and covariance
  around the scores, for the same reason.
"""

from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Floats: TypeAlias = npt.NDArray[np.float64]

LEVEL = 0.95
FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

_LEAST_FINITE = 0.9


class Interval(BaseModel):
    """A score and what it might have been on other rows.

    Example:
        >>> Interval(value=0.9, low=0.89, high=0.91, method="percentile bootstrap").text(2)
        '0.90 [0.89, 0.91]'
    """

    model_config = FROZEN

    value: float = Field(description="The score on the rows at hand.")
    low: float = Field(description="Lower end.")
    high: float = Field(description="Upper end.")
    level: float = Field(default=LEVEL, gt=0, lt=1, description="Confidence level.")
    method: str = Field(description="How the interval was made.")

    def text(self, digits: int = 4) -> str:
        """The score and its interval for people."""
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"

    def affine(self, *, scale: float, offset: float) -> "Interval":
        """The interval of `offset + scale * score`; a negative scale swaps the ends."""
        ends = sorted((offset + scale * self.low, offset + scale * self.high))
        return self.model_copy(update={"value": offset + scale * self.value, "low": ends[0], "high": ends[1]})


def normal_interval(
    value: float, replicates: Floats, *, bounds: tuple[float, float] = (0.0, 1.0), method: str
) -> Interval:
    """The score plus and minus 1.96 standard deviations of its bootstrap replicates, cut at the bounds of the score.

    Source:
        Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 12.4.
    """
    half = _z() * float(np.std(replicates, ddof=1))
    low, high = max(bounds[0], value - half), min(bounds[1], value + half)
    return Interval(value=value, low=min(low, value), high=max(high, value), method=method)


def percentile_interval(value: float, replicates: Floats, *, method: str) -> Interval | None:
    """The middle 95 % of the bootstrap replicates.

    Returns:
        None when the score or more than a tenth of its replicates are undefined (for example no row of the rarest class).

    Source:
        Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    finite = replicates[np.isfinite(replicates)]
    if not np.isfinite(value) or len(finite) < _LEAST_FINITE * len(replicates):
        return None
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value), method=method)


def log_ratio_interval(
    numerator: float, denominator: float, *, above: Floats, below: Floats, method: str
) -> Interval | None:
    """The interval of a ratio of two positive scores, from the joint spread of their replicates (delta method on the logarithm).

    Args:
        numerator: the score above the line.
        denominator: the score below the line.
        above: replicates of the numerator.
        below: replicates of the denominator, from the same resamples.
        method: how the replicates were made.

    Returns:
        None when the denominator is 0; a ratio of 0 has the degenerate interval [0, 0].
    """
    if denominator <= 0:
        return None
    if numerator <= 0:
        return Interval(value=0.0, low=0.0, high=0.0, method=method)
    relative = above / numerator - below / denominator
    half = _z() * float(np.std(relative, ddof=1))
    ratio = numerator / denominator
    return Interval(value=ratio, low=ratio * float(np.exp(-half)), high=ratio * float(np.exp(half)), method=method)


def deviation_interval(value: float, variance: float, *, worst_low: float, method: str) -> Interval:
    """The score plus and minus 1.96 estimated standard errors, cut at 0 and 1.

    Args:
        value: the score.
        variance: its estimated variance.
        worst_low: lower end when the variance is 0 (a perfect score says nothing about its own spread).
        method: how the variance was estimated.
    """
    half = _z() * float(np.sqrt(variance))
    low = max(0.0, value - half) if variance > 0 else min(value, worst_low)
    return Interval(value=value, low=low, high=min(1.0, value + half), method=method)


def _z() -> float:
    return NormalDist().inv_cdf((1 + LEVEL) / 2)
