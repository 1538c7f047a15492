"""How large a change is, in figures that people know, with the noise taken off: PSI, Jensen-Shannon, total variation, Wasserstein.

The two noisy distributions differ also where nothing changed. With χ² of the comparison on f degrees of freedom, the measured difference is
scaled by 1 − f/χ², to no less than nothing (James and Stein): hardly at all where it is far beyond noise, to nothing where noise explains
it. What is left of the bias is upwards where few of many codes moved, downwards where all moved a little.

The interval. A distance obeys the triangle inequality, so the true one is at least the measured one less what noise and sampling alone make
of it in 97.5 % of tables drawn under "nothing changed". (PSI is no distance, its root nearly one: the same is done with the root.) The
upper end scales the measured difference by √(ν/χ²), ν the upper end of a 97.5 % bound of the non-centrality.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth_pipeline.drift.null_law import Comparison, Residual
from synth_pipeline.drift.report import Effect
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, Floats

Shares = tuple[Floats, Floats]
Distance = Callable[[Floats, Floats], Floats]
_DAY_SECONDS = 86_400
_TAIL = 0.025
_LARGE = 1e4


@dataclass(frozen=True, eq=False)
class Denoised:
    """The two distributions of a comparison, with more or less of their measured difference.

    Attributes:
        best: old and fresh shares by the best estimate of the difference.
        most: by the largest that is likely.
        measured: as they were measured.
        null: as they would be measured where nothing changed, many times.
    """

    best: Shares
    most: Shares
    measured: Shares
    null: Shares

    def effect(self, distance: Distance, *, is_squared: bool = False) -> Effect:
        """A distance between the two distributions.

        Args:
            distance: of two arrays of shares, (…, codes).
            is_squared: whether its root, not itself, obeys the triangle inequality.
        """
        power = 2 if is_squared else 1
        chance = float(np.quantile(distance(*self.null) ** (1 / power), 1 - _TAIL))
        least = max(float(distance(*self.measured)) ** (1 / power) - chance, 0.0) ** power
        value, most = float(distance(*self.best)), float(distance(*self.most))
        return Effect(value, min(least, value), max(most, value))


def denoised(comparison: Comparison) -> Denoised:
    """The distributions of a comparison, freed from noise."""
    chi_square, freedom = max(float(comparison.found.chi_square), 1e-12), comparison.freedom
    most = float(np.sqrt(_non_centrality(max(chi_square, freedom), freedom, _TAIL) / chi_square))
    found, null = comparison.found, comparison.null
    return Denoised(
        _distributions(comparison, found, max(1 - freedom / chi_square, 0.0)),
        _distributions(comparison, found, most),
        _distributions(comparison, found, 1.0),
        _distributions(comparison, null, 1.0),
    )


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


def _distributions(comparison: Comparison, found: Residual, scale: float) -> Shares:
    """Shares of the old and of the fresh snapshot, with the measured difference scaled."""
    tables = comparison.tables
    difference, weight = scale * found.residual / tables.new_rows, tables.old_weight
    return _shares(found.pooled - (1 - weight) * difference), _shares(found.pooled + weight * difference)


def _shares(values: Floats) -> Floats:
    positive = np.maximum(values, 0.0)
    return positive / positive.sum(axis=-1, keepdims=True)


def psi_of(smallest: float) -> Distance:
    """Population stability index Σ (q − p) ln(q/p), each share at least `smallest`."""

    def psi(first: Floats, second: Floats) -> Floats:
        p, q = (_shares(np.maximum(shares, smallest)) for shares in (first, second))
        return ((q - p) * np.log(q / p)).sum(axis=-1)

    return psi


def js_distance(first: Floats, second: Floats) -> Floats:
    """Jensen-Shannon distance, the root of the divergence in bits; 0 to 1.

    Example:
        >>> float(js_distance(np.array([1.0, 0.0]), np.array([0.0, 1.0])))
        1.0
    """
    middle = np.maximum((first + second) / 2, 1e-300)
    halves = [(shares * np.log2(np.maximum(shares, 1e-300) / middle)).sum(axis=-1) for shares in (first, second)]
    return np.sqrt(np.maximum((halves[0] + halves[1]) / 2, 0.0))


def total_variation(first: Floats, second: Floats) -> Floats:
    """Half of Σ |p − q|: the share of people that would have to move; 0 to 1."""
    return np.abs(first - second).sum(axis=-1) / 2


def wasserstein_of(positions: Floats) -> Distance:
    """1-Wasserstein distance of the leading shares, which lie at increasing positions; what follows (nulls) is left out."""

    def wasserstein(first: Floats, second: Floats) -> Floats:
        parts = [np.maximum(shares[..., : len(positions)], 1e-300) for shares in (first, second)]
        one, two = (np.cumsum(part / part.sum(axis=-1, keepdims=True), axis=-1) for part in parts)
        return (np.abs(one - two)[..., :-1] * np.diff(positions)).sum(axis=-1)

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
