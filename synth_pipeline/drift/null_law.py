"""How far two noisy tables of counts would be apart if nothing had changed: the law of the comparison, from released values alone.

Under "nothing changed" both tables are counts of people drawn from one distribution p, n₀ of them and n₁, each with discrete Gaussian
noise of known scale. The residual r = y₁ − (n₁/n₀)·y₀ then has covariance V = n₁p + σ₁² + (n₁/n₀)²(n₀p + σ₀²) on the diagonal, and what
multinomial counts or an uncertain total add to it lies along p, which is taken out (generalised least squares). Two figures are looked at:
χ² = Σ r²/V, which sees a change spread over all codes, and the largest |z| of a single code or, where codes are ordered, of all codes up to
one, which sees mass that moved. Their smaller p-value is calibrated by drawing both tables anew under the pooled p, sampling and noise of
both, and doing everything again.

Where people have several rows, a person adds weights w ≥ 0 with Σw = 1 in place of one 1. E[ww′] ⪯ diag(E w) (Jensen), so V is an upper
bound and the test is conservative; exact where a person's rows agree. Where the same people are in both snapshots their counts go together,
which makes r smaller: conservative again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.table.profile import Floats

DRAWS = 1000
_FEW_PEOPLE = 50.0
_SEED = 20_240_229


@dataclass(frozen=True, eq=False)
class TwoTables:
    """A released table of an earlier snapshot, and the same one of a fresh snapshot.

    Attributes:
        old: noisy people of each cell, (cells,).
        old_sigma: standard deviation of their noise, (cells,).
        old_rows: noisy people of that snapshot.
        new: noisy people of each cell in the fresh snapshot, (cells,).
        new_sigma: standard deviation of their noise, (cells,).
        new_rows: noisy people of the fresh snapshot.
        ordered: how many of the leading cells are in an order that means something; 0 where none is.
    """

    old: Floats
    old_sigma: Floats
    old_rows: float
    new: Floats
    new_sigma: Floats
    new_rows: float
    ordered: int = 0

    def merged(self, groups: npt.NDArray[np.int64]) -> "TwoTables":
        """The same tables over coarser cells: cell k becomes part of cell `groups[k]`; leading ones stay in order."""
        size = int(groups.max()) + 1

        def added(values: Floats) -> Floats:
            return np.bincount(groups, weights=values, minlength=size).astype(np.float64)

        return TwoTables(
            added(self.old),
            np.sqrt(added(self.old_sigma**2)),
            self.old_rows,
            added(self.new),
            np.sqrt(added(self.new_sigma**2)),
            self.new_rows,
            len(np.unique(groups[: self.ordered])),
        )

    @property
    def ratio(self) -> float:
        """People of the fresh snapshot for one of the old."""
        return self.new_rows / self.old_rows

    @property
    def noise(self) -> Floats:
        """Variance that noise adds to each residual."""
        return self.new_sigma**2 + (self.ratio * self.old_sigma) ** 2

    @property
    def old_weight(self) -> Floats:
        """Weight of the old share of each cell in the pooled one, by inverse variance."""
        flat = 1 / len(self.old)
        old = (flat * self.old_rows + self.old_sigma**2) / self.old_rows**2
        new = (flat * self.new_rows + self.new_sigma**2) / self.new_rows**2
        return new / (old + new)


@dataclass(frozen=True, eq=False)
class Residual:
    """What two tables differ in, along every code; leading axes are repetitions.

    Attributes:
        pooled: shares under "nothing changed".
        residual: what the fresh counts differ in from the expected ones, in people, without what lies along the pooled shares.
        variance: V, before that is taken out.
        chi_square: Σ r²/V.
        peak: the largest |z|.
    """

    pooled: Floats
    residual: Floats
    variance: Floats
    chi_square: Floats
    peak: Floats


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two tables, what they differ in, and how likely that is where nothing changed.

    Attributes:
        tables: the tables.
        found: what they differ in.
        p_value: the chance.
        null: what tables drawn anew under "nothing changed" differ in.
    """

    tables: TwoTables
    found: Residual
    p_value: float
    null: Residual

    @property
    def freedom(self) -> int:
        """Degrees of freedom of χ²."""
        return max(len(self.tables.old) - 1, 1)

    @property
    def noise_share(self) -> float:
        """Share of DP noise in the variance of the comparison."""
        return float(self.tables.noise.sum() / self.found.variance.sum())

    @property
    def contrasts(self) -> int:
        """How many |z| the largest is taken of."""
        return len(self.tables.old) + max(self.tables.ordered - 1, 0)


def compare(tables: TwoTables, *, draws: int = DRAWS) -> Comparison:
    """Whether two tables differ by more than sampling and noise explain.

    Args:
        tables: the tables.
        draws: how often both are drawn anew under "nothing changed"; the draws are the same for the same tables.

    Privacy:
        Post-processing of released values.
    """
    found = residual_of(tables, tables.old, tables.new)
    null = _drawn(tables, found.pooled, draws)
    p_value = _p_value(found, null, tables) if len(tables.old) > 1 else 1.0
    return Comparison(tables, found, p_value, null)


def residual_of(tables: TwoTables, old: Floats, new: Floats) -> Residual:
    """What tables of counts differ in; `old` and `new` may be many repetitions, (…, cells)."""
    weight = tables.old_weight
    pooled = np.maximum(
        weight * old / tables.old_rows + (1 - weight) * new / tables.new_rows, 0.5 / (tables.old_rows + tables.new_rows)
    )
    pooled = pooled / pooled.sum(axis=-1, keepdims=True)
    ratio = tables.ratio
    variance = pooled * (tables.new_rows + ratio**2 * tables.old_rows) + tables.noise
    raw = new - ratio * old
    along = (pooled**2 / variance).sum(axis=-1, keepdims=True)
    residual = raw - pooled * ((pooled * raw / variance).sum(axis=-1, keepdims=True) / along)
    chi_square = (residual**2 / variance).sum(axis=-1)
    cells = _scores(residual, variance, pooled, along)
    peak = cells.max(axis=-1)
    if tables.ordered > 1:
        below = [np.cumsum(part[..., : tables.ordered], axis=-1)[..., :-1] for part in (residual, variance, pooled)]
        peak = np.maximum(peak, _scores(below[0], below[1], below[2], along).max(axis=-1))
    return Residual(pooled, residual, variance, chi_square, peak)


def _scores(residual: Floats, variance: Floats, pooled: Floats, along: Floats) -> Floats:
    """|z| of sums of residuals; their variance is less by what was taken out along the pooled shares."""
    return np.abs(residual) / np.sqrt(np.maximum(variance - pooled**2 / along, 1e-9 * variance))


def _drawn(tables: TwoTables, pooled: Floats, draws: int) -> Residual:
    """The comparison of tables drawn anew under the pooled shares, sampling and noise of both."""
    rng = np.random.default_rng(_SEED)
    old = _counts_drawn(tables.old_rows * pooled, tables.old_sigma, draws, rng)
    new = _counts_drawn(tables.new_rows * pooled, tables.new_sigma, draws, rng)
    return residual_of(tables, old, new)


def _counts_drawn(expected: Floats, sigma: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Noisy counts; those of few expected people by the Poisson law, others by the normal one."""
    few = expected < _FEW_PEOPLE
    spread = np.sqrt(sigma**2 + np.where(few, 0.0, expected))
    counts = expected + spread * rng.standard_normal((draws, len(expected)))
    if few.any():
        counts[:, few] += rng.poisson(expected[few], (draws, int(few.sum()))) - expected[few]
    return counts


def _p_value(found: Residual, null: Residual, tables: TwoTables) -> float:
    """Chance of a smaller p-value of the two figures than the one found; where it is below all draws, from the figures' tails."""
    from scipy import stats

    figures = [np.append(getattr(null, name), getattr(found, name)) for name in ("chi_square", "peak")]
    least = np.minimum(_ranks(figures[0]), _ranks(figures[1]))  # the found tables are the last of all
    chance = float((least <= least[-1]).mean())
    if least[-1] > 1 / len(least):
        return chance
    contrasts = len(tables.old) + max(tables.ordered - 1, 0)
    tails = (
        float(stats.chi2.sf(float(found.chi_square), len(tables.old) - 1)),
        contrasts * 2 * float(stats.norm.sf(float(found.peak))),
    )
    return float(np.clip(2 * min(tails), 1e-300, chance))


def _ranks(figures: Floats) -> Floats:
    """Share of all figures that are at least as large as each."""
    return (len(figures) - np.searchsorted(np.sort(figures), figures, side="left")) / len(figures)


def holm(p_values: Floats) -> Floats:
    """Holm's adjusted p-values.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
