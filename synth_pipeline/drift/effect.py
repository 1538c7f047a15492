"""How large a change is, in figures that people know, with the noise taken off: PSI, Jensen-Shannon, total variation, Wasserstein.

The two noisy distributions differ also where nothing changed. With χ² of the comparison on f degrees of freedom, the non-centrality
ν = χ² − f is what is left beyond noise and sampling, and the measured difference is scaled by √(ν/χ²): not at all where it is far beyond
noise, to nothing where noise explains it. The ends of an interval are the same with the ends of a 95 % interval of ν.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth_pipeline.drift.null_law import Comparison
from synth_pipeline.drift.report import Effect
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, Floats

Distance = Callable[[Floats, Floats], float]
_DAY_SECONDS = 86_400
_TAIL = 0.025
_LARGE = 1e4


@dataclass(frozen=True, eq=False)
class Denoised:
    """The two distributions of a comparison with the difference that noise does not explain.

    Attributes:
        best: old and fresh shares by the best estimate of that difference.
        least: by the smallest that is likely.
        most: by the largest.
    """

    best: tuple[Floats, Floats]
    least: tuple[Floats, Floats]
    most: tuple[Floats, Floats]

    def effect(self, distance: Distance) -> Effect:
        """A distance between the two distributions."""
        value, low, high = (distance(*pair) for pair in (self.best, self.least, self.most))
        return Effect(value, min(low, value), max(high, value))


def denoised(comparison: Comparison) -> Denoised:
    """The distributions of a comparison, freed from noise."""
    chi_square, freedom = max(float(comparison.found.chi_square), 1e-12), comparison.freedom
    least = _non_centrality(chi_square, freedom, 1 - _TAIL)
    most = _non_centrality(max(chi_square, freedom), freedom, _TAIL)
    scales = (float(np.sqrt(nu / chi_square)) for nu in (max(chi_square - freedom, 0.0), least, most))
    return Denoised(*(_distributions(comparison, scale) for scale in scales))


def _non_centrality(chi_square: float, freedom: int, chance: float) -> float:
    """The ν for which a χ² at most as large as the one found has this chance; 0 where it has less already without any."""
    from scipy import optimize, special

    if special.chdtr(freedom, chi_square) <= chance:
        return 0.0

    if chi_square > _LARGE:  # normal, and the exact series would be long
        spread = special.ndtri(chance) * np.sqrt(4 * chi_square - 2 * freedom)
        return float(max(chi_square - freedom - spread, 0.0))

    def excess(nu: float) -> float:
        return float(special.chndtr(chi_square, freedom, nu)) - chance

    found: Any = optimize.brentq(excess, 1e-9, chi_square + 40 + 20 * np.sqrt(chi_square), xtol=1e-6)
    return float(found)


def _distributions(comparison: Comparison, scale: float) -> tuple[Floats, Floats]:
    """Shares of the old and of the fresh snapshot, with the measured difference scaled."""
    tables, found = comparison.tables, comparison.found
    difference, weight = scale * found.residual / tables.new_rows, tables.old_weight
    return _shares(found.pooled - (1 - weight) * difference), _shares(found.pooled + weight * difference)


def _shares(values: Floats) -> Floats:
    positive = np.maximum(values, 0.0)
    return positive / positive.sum()


def psi_of(smallest: float) -> Distance:
    """Population stability index Σ (q − p) ln(q/p), each share at least `smallest`."""

    def psi(first: Floats, second: Floats) -> float:
        p, q = (_shares(np.maximum(shares, smallest)) for shares in (first, second))
        return float(((q - p) * np.log(q / p)).sum())

    return psi


def js_distance(first: Floats, second: Floats) -> float:
    """Jensen-Shannon distance, the root of the divergence in bits; 0 to 1.

    Example:
        >>> js_distance(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
        1.0
    """
    middle = (first + second) / 2
    halves = [
        float((shares[shares > 0] * np.log2(shares[shares > 0] / middle[shares > 0])).sum())
        for shares in (first, second)
    ]
    return float(np.sqrt(max(sum(halves) / 2, 0.0)))


def total_variation(first: Floats, second: Floats) -> float:
    """Half of Σ |p − q|: the share of people that would have to move; 0 to 1."""
    return float(np.abs(first - second).sum() / 2)


def wasserstein_of(positions: Floats) -> Distance:
    """1-Wasserstein distance of the leading shares, which lie at increasing positions; what follows (nulls) is left out."""

    def wasserstein(first: Floats, second: Floats) -> float:
        parts = [shares[: len(positions)] for shares in (first, second)]
        if min(part.sum() for part in parts) <= 0:
            return 0.0
        one, two = (np.cumsum(part / part.sum()) for part in parts)
        return float((np.abs(one - two)[:-1] * np.diff(positions)).sum())

    return wasserstein


def code_positions(column: ColumnProfile) -> tuple[Floats, str] | None:
    """Where the codes of an ordered column lie, and in which unit; None where they have no order.

    Numbers: the released mean of each bin, in the column's unit (days, of datetimes). Ordered categories: steps of the scale.
    """
    if isinstance(column, CategoryProfile):
        if not column.is_ordered:
            return None
        steps = np.arange(len(column.categories), dtype=np.float64)
        share = column.within_groups()
        places = np.bincount(column.group_of, weights=steps * share, minlength=column.known)
        return places.astype(np.float64), "steps"
    edges, leaves = column.edges, column.leaves
    middles = (edges[:-1] + edges[1:] - 1) / 2
    if len(leaves):
        bins = np.searchsorted(edges, leaves[:, 0], side="right") - 1
        masses = np.maximum(column.masses, 1e-9)
        total = np.bincount(bins, weights=masses, minlength=len(middles))
        moment = np.bincount(bins, weights=masses * (leaves.sum(axis=1) - 1) / 2, minlength=len(middles))
        middles = np.where(total > 0, moment / np.maximum(total, 1e-300), middles)
        middles = np.maximum.accumulate(np.clip(middles, edges[:-1], edges[1:] - 1))
    ticks = (middles + column.grid.low) * column.grid.stride
    if column.grid.is_datetime:
        return ticks * column.grid.seconds / _DAY_SECONDS, "days"
    return ticks / 10.0**column.grid.decimals, ""
