"""One-ways that know what the pair tables say: the inverse-variance estimate from a column's own histogram and its tables' margins.

A measured table of two columns that is a product of groups gives, summed over one axis, a noisy count of every group of the other. All
of them together are a linear Gaussian model of the column's counts, whose best estimate has a closed form (generalised least squares).
Free of budget: it reads released answers only.

Symbols: K codes of the column, x its counts, D variances of its own histogram (K), A groups × codes (0/1), V variances of the groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.maxent.fit import Measurement
from synth_pipeline.table.profile import Floats


@dataclass(frozen=True, eq=False)
class Margin:
    """Noisy counts of groups of one column's codes.

    Attributes:
        groups: group of each code (K).
        counts: noisy rows of each group.
        variance: of each of them.
    """

    groups: npt.NDArray[np.int64]
    counts: Floats
    variance: float


def margins(measured: Measurement) -> tuple[Margin, Margin] | None:
    """The margins of a table that is a product of groups of its columns; None where it is not (adaptive rectangles)."""
    labels = measured.partition.labels
    rows, row_of = _patterns(labels)
    columns, column_of = _patterns(labels.T)
    cells = labels[np.ix_(rows, columns)]
    if len(np.unique(cells)) != cells.size:
        return None
    counts, variance = np.asarray(measured.values, dtype=np.float64)[cells], measured.sigma**2
    return (
        Margin(row_of, counts.sum(1), variance * len(columns)),
        Margin(column_of, counts.sum(0), variance * len(rows)),
    )


def reconciled(counts: Floats, sigma: Floats, known: Sequence[Margin]) -> tuple[Floats, Floats]:
    """Best estimate of a column's counts and its standard deviation, each of shape (K).

    x̂ = y + DAᵀ(V + ADAᵀ)⁻¹(g − Ay), with covariance D − DAᵀ(V + ADAᵀ)⁻¹AD.

    Args:
        counts: noisy counts y of the column's own histogram (K).
        sigma: their standard deviations (K), or one for all.
        known: margins of the tables that the column is in.
    """
    variance = np.broadcast_to(np.asarray(sigma, dtype=np.float64) ** 2, counts.shape).copy()
    estimate = np.asarray(counts, dtype=np.float64).copy()
    coarse: list[Margin] = []
    for margin in known:
        if len(margin.counts) < len(counts):
            coarse.append(margin)
            continue
        own = margin.counts[margin.groups]
        total = variance + margin.variance
        estimate = (estimate * margin.variance + own * variance) / total
        variance = variance * margin.variance / total
    if not coarse:
        return estimate, np.sqrt(variance)
    design = np.concatenate([np.arange(len(item.counts))[:, None] == item.groups[None, :] for item in coarse])
    goal = np.concatenate([item.counts for item in coarse])
    noise = np.concatenate([np.full(len(item.counts), item.variance) for item in coarse])
    spread = design * variance
    gain = np.linalg.solve(np.diag(noise) + spread @ design.T, spread)
    estimate = estimate + gain.T @ (goal - design @ estimate)
    left = variance - np.einsum("gk,gk->k", spread, gain)
    return estimate, np.sqrt(np.maximum(left, 1e-6 * variance))


def _patterns(labels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """A first code of each group of codes whose rows of labels are alike, and the group of every code."""
    _, first, group = np.unique(labels, axis=0, return_index=True, return_inverse=True)
    return first, group.reshape(-1).astype(np.int64)
