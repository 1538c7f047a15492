"""How far the synthetic table's columns may lie from the released profile.

The released shares p carry noise of known scale, and the synthetic table has sampling error of its own. So that a check fails for neither,
the tolerance of a column is what both explain, plus a small allowance for the model:

    sd_j = √( (σ_j / n)² + p_j (1 − p_j) / m )                                 for code j, n released rows, m synthetic rows
    tolerance = ½ Σ_j √(2/π)·sd_j + 4 · ½ √( (1 − 2/π) Σ_j sd_j² ) + 0.02      on the total variation distance ½ Σ_j |s_j − p_j|

The first two terms are the mean of the distance under independent normal errors and four of its standard deviations (|N(0, sd)| has mean
√(2/π)·sd and variance (1 − 2/π)·sd²). Everything here comes from released facts.
"""

import math
from dataclasses import dataclass

import numpy as np

from synth_pipeline.table.column import category_key
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, Floats, NumericProfile, Profile
from synth_pipeline.validate.expectation import JSON

MODEL_ALLOWANCE = 0.02
"""Total variation distance granted to every generator, whatever the noise."""
SPREAD_ALLOWANCE = 0.1
"""Standard deviations by which a mean may leave the range that the released bins imply."""
DEVIATIONS = 4.0
"""Standard deviations of noise and sampling that a check forgives: fewer than one false alarm in 30,000 columns."""


@dataclass(frozen=True, eq=False)
class Released:
    """The released distribution of one column, as a synthetic column can show it.

    Attributes:
        shares: share of each code; nulls, where the column has them, last.
        noise: standard deviation of the noise of each share.
        deviations: standard deviation of noise and sampling of each share.
        has_null: whether the last code is null.
    """

    shares: Floats
    noise: Floats
    deviations: Floats
    has_null: bool

    @property
    def tolerance(self) -> float:
        """Largest total variation distance that is no fault (see the module)."""
        mean = math.sqrt(2 / math.pi) * self.deviations.sum() / 2
        spread = math.sqrt((1 - 2 / math.pi) * (self.deviations**2).sum()) / 2
        return min(float(mean + DEVIATIONS * spread) + MODEL_ALLOWANCE, 1.0)


def released(profile: Profile, index: int, *, rows: int) -> Released:
    """The released distribution of a column; codes that several categories share and the undiscovered rest are spread as decoding does.

    Args:
        profile: the released profile.
        index: position of the column in it.
        rows: rows of the synthetic table.
    """
    column = profile.columns[index]
    shares, noise = profile.shares(index), column.sigma / max(profile.rows, 1.0)
    if isinstance(column, CategoryProfile) and column.groups:
        others = np.arange(column.known, column.codes)
        codes, within = np.append(column.group_of, others), np.append(column.within_groups(), np.ones(len(others)))
        shares, noise = shares[codes] * within, noise[codes] * within
    if isinstance(column, CategoryProfile) and column.has_rest and column.categories:
        known = len(column.categories)
        factor = 1 + shares[known] / shares[:known].sum()
        shares, noise = np.delete(shares, known), np.delete(noise, known)
        shares[:known] *= factor
        noise[:known] *= factor
    return Released(shares, noise, np.sqrt(noise**2 + shares * (1 - shares) / rows), column.nullable)


def shares_arguments(column: ColumnProfile, facts: Released) -> dict[str, JSON]:
    """Arguments of `expect_column_shares_to_follow_release`."""
    shares: list[JSON] = [round(share, 6) for share in facts.shares.tolist()]
    arguments: dict[str, JSON] = {
        "column": column.name,
        "shares": shares,
        "has_null": facts.has_null,
        "tolerance": round(facts.tolerance, 4),
    }
    if isinstance(column, CategoryProfile):
        arguments["categories"] = [category_key(category) for category in column.categories] or ["other"]
    else:
        arguments["boundaries"] = _boundaries(column)
    return arguments


def null_share_range(facts: Released) -> tuple[float, float]:
    """Smallest and largest share of nulls that is no fault."""
    share = float(facts.shares[-1])
    slack = DEVIATIONS * float(facts.deviations[-1]) + MODEL_ALLOWANCE / 2
    return max(share - slack, 0.0), min(share + slack, 1.0)


def mean_range(column: NumericProfile, facts: Released) -> tuple[float, float]:
    """Smallest and largest mean of the non-null values that is no fault: every row at one end of its bin, with noise on top."""
    bins = len(column.edges) - 1
    shares = facts.shares[:bins] / facts.shares[:bins].sum()
    lows = column.grid.values(column.edges[:-1]).astype(np.float64)
    highs = column.grid.values(column.edges[1:] - 1).astype(np.float64)
    middles = (lows + highs) / 2
    mean = float(shares @ middles)
    spread = math.sqrt(float(shares @ (middles - mean) ** 2))
    noise = math.sqrt(float(((facts.deviations[:bins] * (middles - mean)) ** 2).sum())) / float(
        facts.shares[:bins].sum()
    )
    slack = DEVIATIONS * noise + SPREAD_ALLOWANCE * spread
    return float(shares @ lows) - slack, float(shares @ highs) + slack


def _boundaries(column: NumericProfile) -> list[JSON]:
    """Where one bin ends and the next starts, half-way between their neighbouring values; datetimes as seconds since 1970."""
    grid = column.grid
    ticks = (column.edges[1:-1] + grid.low - 0.5) * grid.stride
    scaled = ticks * grid.seconds if grid.is_datetime else ticks / 10.0**grid.decimals
    return [float(value) for value in scaled]
