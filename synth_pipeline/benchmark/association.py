"""Pairwise associations, and how far a table's lie from train's, with bootstrap intervals.

Numbers with numbers: Pearson's r on the rows where both are present. Categories with categories: Cramér's V,
√(χ² / (n (min(r, c) − 1))), not bias-corrected, on the bins of `binning`, null a category. Categories with numbers: the correlation
ratio η = √(SS_between / SS_total) on the rows where the number is present. Undefined (a constant column) is 0.

The score is the mean absolute difference over pairs; the holdout's difference from train is the floor. One code path serves the
tables themselves (weights of one) and all their resamples at once. Internal.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from synth_pipeline.benchmark.binning import Binning
from synth_pipeline.benchmark.interval import Floats, normal_interval
from synth_pipeline.benchmark.resample import bag_rows, draw_bag, weighted_counts
from synth_pipeline.benchmark.scorecard import AssociationScores, Compared
from synth_pipeline.benchmark.scored_table import Ints, ScoredTable, ScoredTables

Association: TypeAlias = Literal["pearson", "cramers_v", "correlation_ratio"]
Pair: TypeAlias = tuple[str, str]
Weights: TypeAlias = npt.NDArray[np.floating]

_BOOTSTRAP_STREAM = 13
_LEAST_SPREAD = 1e-12
_LEAST_VARIANCE = 1e-10


@dataclass(frozen=True, repr=False, eq=False)
class WeightedTable:
    """A table with the weight of each row in each resample.

    Attributes:
        numbers: standardised values of the numeric and datetime columns; 0 where null.
        present: 1 where the number is not null, else 0.
        codes: bins of the category columns.
        sizes: number of bins of the category columns.
        weights: rows × resamples.
    """

    numbers: Mapping[str, Weights]
    present: Mapping[str, Weights]
    codes: Mapping[str, Ints]
    sizes: Mapping[str, int]
    weights: Weights


def compare_associations(
    tables: ScoredTables, binning: Binning, *, seed: int, resamples: int
) -> AssociationScores | None:
    """Differences of the associations of the synthetic table, and of the holdout, from train's; None with one column."""
    pairs = list(itertools.combinations(tables.names, 2))
    if not pairs:
        return None
    sources = {"train": tables.train, "synthetic": tables.synthetic, "floor": tables.holdout}
    exact = {which: associations(_weigh(table, binning), pairs) for which, table in sources.items()}
    spread = _resample(sources, binning, pairs=pairs, draw=(seed, resamples))
    kinds = np.array([association_kind(tables, pair) for pair in pairs])
    method = f"normal bootstrap over rows, {resamples} resamples"

    def compared(chosen: npt.NDArray[np.bool_]) -> Compared:
        parts = {
            which: normal_interval(
                float(np.abs(exact[which] - exact["train"])[chosen].mean()),
                np.abs(spread[which] - spread["train"])[chosen].mean(axis=0),
                method=method,
            )
            for which in ("synthetic", "floor")
        }
        return Compared(**parts)

    total = compared(np.ones(len(pairs), dtype=bool))
    difference = np.abs(exact["synthetic"] - exact["train"])[:, 0]
    worst = int(difference.argmax())
    return AssociationScores(
        synthetic=total.synthetic,
        floor=total.floor,
        by_kind={str(kind): compared(kinds == kind) for kind in np.unique(kinds)},
        worst_pair=pairs[worst],
        worst_difference=float(difference[worst]),
    )


def association_kind(tables: ScoredTables, pair: Pair) -> Association:
    """Which measure of association a pair of columns takes."""
    numbers = sum(tables.is_number(name) for name in pair)
    kinds: tuple[Association, ...] = ("cramers_v", "correlation_ratio", "pearson")
    return kinds[numbers]


def associations(table: WeightedTable, pairs: list[Pair]) -> Floats:
    """The association of each pair in each resample.

    Shapes:
        Result: pairs × resamples.
    """
    weighted = {name: table.weights * present[:, None] for name, present in table.present.items()}
    measured = np.empty((len(pairs), table.weights.shape[1]))
    for index, (left, right) in enumerate(pairs):
        if left in table.numbers and right in table.numbers:
            measured[index] = _pearson(table, left, right)
        elif left in table.numbers:
            measured[index] = _correlation_ratio(table, right, number=left, weights=weighted[left])
        elif right in table.numbers:
            measured[index] = _correlation_ratio(table, left, number=right, weights=weighted[right])
        else:
            measured[index] = _cramers_v(table, left, right)
    return measured


def _pearson(table: WeightedTable, left: str, right: str) -> Floats:
    x, y = table.numbers[left], table.numbers[right]
    both = table.present[left] * table.present[right]
    sums = table.weights.T @ np.stack([both, x * both, y * both, x * x * both, y * y * both, x * y * both], axis=1)
    rows, sum_x, sum_y, sum_xx, sum_yy, sum_xy = sums.astype(np.float64).T / np.maximum(sums[:, 0], 1)
    variances = (sum_xx - sum_x**2, sum_yy - sum_y**2)
    is_defined = (rows > 0) & (variances[0] > _LEAST_VARIANCE) & (variances[1] > _LEAST_VARIANCE)
    scale = np.sqrt(np.where(is_defined, variances[0] * variances[1], 1))
    return np.where(is_defined, (sum_xy - sum_x * sum_y) / scale, 0.0)


def _correlation_ratio(table: WeightedTable, category: str, *, number: str, weights: Weights) -> Floats:
    values = table.numbers[number]
    size = table.sizes[category]
    rows = weighted_counts(table.codes[category], size, weights).astype(np.float64)
    sums = weighted_counts(table.codes[category], size, weights * values[:, None]).astype(np.float64)
    squares = (weights.T @ (values * values)).astype(np.float64)
    total_rows, total = np.maximum(rows.sum(axis=0), 1), sums.sum(axis=0)
    within_mean = total**2 / total_rows
    between = np.divide(sums**2, rows, out=np.zeros_like(sums), where=rows > 0).sum(axis=0) - within_mean
    spread = squares - within_mean
    is_defined = spread / total_rows > _LEAST_VARIANCE
    ratio = np.divide(between, spread, out=np.zeros_like(spread), where=is_defined)
    return np.sqrt(np.clip(ratio, 0, 1))


def _cramers_v(table: WeightedTable, left: str, right: str) -> Floats:
    size = table.sizes[left], table.sizes[right]
    cells = table.codes[left] * size[1] + table.codes[right]
    counts = weighted_counts(cells, size[0] * size[1], table.weights).astype(np.float64).reshape(*size, -1)
    by_left, by_right = counts.sum(axis=1), counts.sum(axis=0)
    rows = counts.sum(axis=(0, 1))
    product = by_left[:, None] * by_right[None]
    chi_square = np.divide(counts**2, product, out=np.zeros_like(counts), where=product > 0).sum(axis=(0, 1)) - 1
    smaller = np.minimum((by_left > 0).sum(axis=0), (by_right > 0).sum(axis=0)) - 1
    share = np.divide(chi_square, smaller, out=np.zeros_like(chi_square), where=(smaller > 0) & (rows > 0))
    return np.sqrt(np.clip(share, 0, 1))


def _weigh(table: ScoredTable, binning: Binning, weights: Weights | None = None) -> WeightedTable:
    """A table with weights, all one when none are given."""
    numbers: dict[str, Weights] = {}
    present: dict[str, Weights] = {}
    weights = np.ones((table.rows, 1)) if weights is None else weights
    for name, values in table.numbers.items():
        is_present = ~np.isnan(values)
        known = values[is_present]
        spread = float(known.std()) if len(known) > 1 else 0.0
        centred = np.where(is_present, values, 0) - np.where(is_present, known.mean() if len(known) else 0, 0)
        numbers[name] = (centred / spread if spread > _LEAST_SPREAD else np.zeros(table.rows)).astype(weights.dtype)
        present[name] = is_present.astype(weights.dtype)
    codes = {name: binned for name, binned in binning.codes(table).items() if name in table.categories}
    return WeightedTable(numbers, present, codes, binning.sizes, weights)


def _resample(
    sources: Mapping[str, ScoredTable], binning: Binning, *, pairs: list[Pair], draw: tuple[int, int]
) -> dict[str, Floats]:
    """Associations of the resamples of each table; `draw` is the seed and the number of resamples."""
    seed, resamples = draw
    rng = np.random.default_rng([seed, _BOOTSTRAP_STREAM])
    most = min(bag_rows(2 * len(pairs), resamples), 10_000)
    spread: dict[str, Floats] = {}
    for which, table in sources.items():
        bag = draw_bag(table.rows, resamples, rng, most_rows=most)
        weighed = _weigh(table, binning)
        taken = replace(
            weighed,
            numbers={name: values[bag.rows].astype(np.float32) for name, values in weighed.numbers.items()},
            present={name: values[bag.rows].astype(np.float32) for name, values in weighed.present.items()},
            codes={name: codes[bag.rows] for name, codes in weighed.codes.items()},
            weights=bag.weights,
        )
        spread[which] = associations(taken, pairs)
    return spread
