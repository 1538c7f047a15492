"""Similarity of single columns: KS complement for numbers, TV complement for categories, with bootstrap intervals.

KS complement: 1 − sup |F_train − F_other| on the non-null values (SDMetrics, KSComplement). TV complement: 1 − TVD over *all*
categories, null a category of its own (SDMetrics, TVComplement). A column without a value in one table only has KS complement 0.

The scores are exact; the spread behind the intervals is taken on a grid of 500 quantiles for numbers. Internal.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from synth_pipeline.benchmark.interval import Floats, Interval, normal_interval
from synth_pipeline.benchmark.resample import draw_bag, weighted_counts
from synth_pipeline.benchmark.scorecard import Complement
from synth_pipeline.benchmark.scored_table import Ints, ScoredTable, ScoredTables

Counts: TypeAlias = npt.NDArray[np.floating | np.integer]
Distance: TypeAlias = Callable[[Counts, Counts], Floats]

GRID_CELLS = 500

_BOOTSTRAP_STREAM = 12
_BAG_ROWS = 10_000


def compare_numbers(tables: ScoredTables, *, seed: int, resamples: int) -> Complement | None:
    """KS complement of the numeric and datetime columns; None when there are none."""
    names = [name for name in tables.names if tables.is_number(name)]
    exact = {
        which: {name: ks_complement(tables.train.numbers[name], table.numbers[name]) for name in names}
        for which, table in (("synthetic", tables.synthetic), ("floor", tables.holdout))
    }
    grid = {name: _grid(tables, name) for name in names}

    def cells(table: ScoredTable, name: str) -> Ints:
        values = table.numbers[name]
        codes = np.searchsorted(grid[name], values, side="left").astype(np.int64)
        codes[np.isnan(values)] = len(grid[name]) + 1
        return codes

    sizes = {name: len(grid[name]) + 2 for name in names}
    return _complement(tables, exact, cells=cells, sizes=sizes, distance=_ks_distance, draw=(seed, resamples))


def compare_categories(tables: ScoredTables, *, seed: int, resamples: int) -> Complement | None:
    """TV complement of the category columns; None when there are none."""
    names = [name for name in tables.names if not tables.is_number(name)]
    sizes = {name: tables.vocabulary_sizes[name] + 1 for name in names}

    def cells(table: ScoredTable, name: str) -> Ints:
        codes = table.categories[name]
        return np.where(codes < 0, sizes[name] - 1, codes)

    def exact(table: ScoredTable, name: str) -> float:
        counts = [np.bincount(cells(part, name), minlength=sizes[name])[:, None] for part in (tables.train, table)]
        return 1 - float(_tv_distance(counts[0], counts[1])[0])

    scores = {
        which: {name: exact(table, name) for name in names}
        for which, table in (("synthetic", tables.synthetic), ("floor", tables.holdout))
    }
    return _complement(tables, scores, cells=cells, sizes=sizes, distance=_tv_distance, draw=(seed, resamples))


def ks_complement(left: Floats, right: Floats) -> float:
    """1 minus the Kolmogorov-Smirnov distance of the non-null values of two columns.

    Example:
        >>> ks_complement(np.array([0.0, 1.0]), np.array([1.0, 1.0]))
        0.5
    """
    first, second = (np.sort(values[~np.isnan(values)]) for values in (left, right))
    if not len(first) or not len(second):
        return float(len(first) == len(second))
    points = np.concatenate([first, second])
    shares = [np.searchsorted(values, points, side="right") / len(values) for values in (first, second)]
    return float(1 - np.abs(shares[0] - shares[1]).max())


def _grid(tables: ScoredTables, name: str) -> Floats:
    values = np.concatenate([tables.train.numbers[name], tables.synthetic.numbers[name]])
    present = values[~np.isnan(values)]
    if not len(present):
        return np.zeros(0)
    return np.unique(np.quantile(present, np.linspace(0, 1, GRID_CELLS + 1), method="lower"))


def _ks_distance(left: Counts, right: Counts) -> Floats:
    """KS distance of each resample; the last cell holds the nulls and does not count."""
    shares: list[Counts] = []
    for counts in (left, right):
        cumulated = counts[:-1].cumsum(axis=0, dtype=np.float64)
        shares.append(cumulated / np.maximum(cumulated[-1], 1e-9))
    return np.abs(shares[0] - shares[1]).max(axis=0)


def _tv_distance(left: Counts, right: Counts) -> Floats:
    return 0.5 * np.abs(left / left.sum(axis=0) - right / right.sum(axis=0)).sum(axis=0).astype(np.float64)


def _complement(
    tables: ScoredTables,
    exact: Mapping[str, Mapping[str, float]],
    *,
    cells: Callable[[ScoredTable, str], Ints],
    sizes: Mapping[str, int],
    distance: Distance,
    draw: tuple[int, int],
) -> Complement | None:
    """The means of exact scores with the spread of their resamples; `draw` is the seed and the number of resamples."""
    if not sizes:
        return None
    seed, resamples = draw
    rng = np.random.default_rng([seed, _BOOTSTRAP_STREAM])
    sources = {"train": tables.train, "synthetic": tables.synthetic, "floor": tables.holdout}
    bags = {which: draw_bag(table.rows, resamples, rng, most_rows=_BAG_ROWS) for which, table in sources.items()}
    bagged = {which: table.take(bags[which].rows) for which, table in sources.items()}
    spread = {which: np.zeros(resamples) for which in exact}
    for name, size in sizes.items():
        counts = {
            which: weighted_counts(cells(table, name), size, bags[which].weights) for which, table in bagged.items()
        }
        for which in exact:
            spread[which] += distance(counts["train"], counts[which]) / len(sizes)
    method = f"normal bootstrap over rows, {resamples} resamples"

    def mean(which: str) -> Interval:
        return normal_interval(float(np.mean(list(exact[which].values()))), spread[which], method=method)

    by_column = exact["synthetic"]
    worst = min(by_column, key=lambda name: by_column[name])
    return Complement(synthetic=mean("synthetic"), floor=mean("floor"), worst_column=worst, by_column=by_column)
