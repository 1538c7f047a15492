"""Total variation distance of k-way marginals, with bootstrap intervals.

TVD(P, Q) = ½ Σ_cell |P(cell) − Q(cell)| between the empirical marginals of two tables over the bins of `binning`. Three comparisons:
synthetic against train on all rows (what papers report); the same on as many synthetic rows as there are holdout rows; and holdout
against train, the floor that sampling alone sets. Their ratio, matched / floor, is 1 for a table as good as fresh real rows.

The NIST k-marginal score is 1000 (1 − mean k-way TVD) (SDNist 2, `metrics/kmarginal.py`, which computes (2 − mean Σ|t − s|) 500).

Intervals: see `interval.normal_interval`; every table is resampled on its own, all marginals on the same resamples. Internal.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from synth_pipeline.benchmark.binning import Binning
from synth_pipeline.benchmark.interval import Floats, Interval, log_ratio_interval, normal_interval
from synth_pipeline.benchmark.resample import Bag, bag_rows, draw_bag, occupied, weighted_counts
from synth_pipeline.benchmark.scorecard import Compared, MarginalDistance, MarginalScores
from synth_pipeline.benchmark.scored_table import Ints, ScoredTable, ScoredTables

Marginal: TypeAlias = tuple[str, ...]
Which: TypeAlias = Literal["train", "synthetic", "matched", "floor"]

COMPARED: tuple[Which, ...] = ("synthetic", "matched", "floor")
WORST_MARGINALS = 5

_MATCH_STREAM, _TRIPLE_STREAM, _BOOTSTRAP_STREAM = 1, 2, 11
_MOST_LISTED_COLUMNS = 60
_MOST_DENSE_CELLS = 4_000_000


@dataclass(frozen=True, repr=False, eq=False)
class BinnedTable:
    """The bins of every cell of a table."""

    rows: int
    codes: Mapping[str, Ints]

    def __repr__(self) -> str:
        return f"BinnedTable({len(self.codes)} columns, contents withheld)"

    def joint(self, marginal: Marginal, sizes: Mapping[str, int]) -> Ints:
        """The cell of each row in a marginal."""
        cell = self.codes[marginal[0]]
        for name in marginal[1:]:
            cell = cell * sizes[name] + self.codes[name]
        return cell

    def take(self, rows: npt.NDArray[np.intp]) -> "BinnedTable":
        """The given rows, in the given order."""
        return BinnedTable(len(rows), {name: codes[rows] for name, codes in self.codes.items()})


@dataclass(frozen=True, repr=False, eq=False)
class BinnedTables:
    """The tables of the three comparisons under one binning.

    Attributes:
        sizes: number of bins of each column.
        by_use: train; the synthetic table; its row-matched subsample; the row-matched subsample of the holdout.
    """

    sizes: Mapping[str, int]
    by_use: Mapping[Which, BinnedTable]


def bin_tables(tables: ScoredTables, binning: Binning, *, seed: int) -> BinnedTables:
    """Bin the tables, and subsample synthetic and holdout rows to the same number."""
    matched_rows = min(tables.synthetic.rows, tables.holdout.rows)
    binned: dict[Which, BinnedTable] = {
        "train": BinnedTable(tables.train.rows, binning.codes(tables.train)),
        "synthetic": BinnedTable(tables.synthetic.rows, binning.codes(tables.synthetic)),
        "matched": _first_rows(tables.synthetic, matched_rows, binning, seed),
        "floor": _first_rows(tables.holdout, matched_rows, binning, seed),
    }
    return BinnedTables(binning.sizes, binned)


def choose_triples(names: tuple[str, ...], most: int, *, seed: int) -> list[Marginal]:
    """Random distinct triples of columns, all if there are no more than `most`."""
    rng = np.random.default_rng([seed, _TRIPLE_STREAM])
    if len(names) >= _MOST_LISTED_COLUMNS:
        drawn = {tuple(sorted(rng.choice(len(names), 3, replace=False).tolist())) for _ in range(most * 2)}
        chosen = sorted(drawn)[:most]
    else:
        listed = list(itertools.combinations(range(len(names)), 3))
        kept = np.sort(rng.choice(len(listed), most, replace=False)) if len(listed) > most else np.arange(len(listed))
        chosen = [listed[index] for index in kept]
    return [tuple(names[index] for index in triple) for triple in chosen]


def compare_marginals(
    tables: BinnedTables, marginals: list[Marginal], *, seed: int, resamples: int
) -> tuple[MarginalScores, list[Interval]]:
    """Mean TVD of some marginals in the three comparisons, and the TVD of each marginal of the synthetic table."""
    distances = np.array([_distances(tables, marginal) for marginal in marginals])
    means, per_marginal = _bootstrap(tables, marginals, seed=seed, resamples=resamples)
    method = f"normal bootstrap over rows, {resamples} resamples"
    mean = {which: float(distances[:, index].mean()) for index, which in enumerate(COMPARED)}
    intervals = {which: normal_interval(mean[which], means[which], method=method) for which in COMPARED}
    ratio = log_ratio_interval(
        mean["matched"], mean["floor"], above=means["matched"], below=means["floor"], method=method + ", log ratio"
    )
    worst = np.argsort(-distances[:, 0], kind="stable")[:WORST_MARGINALS]
    listed = tuple(
        MarginalDistance(
            columns=marginals[index], synthetic=float(distances[index, 0]), floor=float(distances[index, 2])
        )
        for index in worst
    )
    each = [
        normal_interval(float(distance), replicates, method=method)
        for distance, replicates in zip(distances[:, 0], per_marginal, strict=True)
    ]
    scores = MarginalScores(marginals=len(marginals), **intervals, ratio_to_floor=ratio, worst=listed)
    return scores, each


def nist_score(scores: MarginalScores | None) -> Compared | None:
    """The NIST k-marginal score of a set of marginals, 1000 is best."""
    if scores is None:
        return None
    synthetic, floor = (part.affine(scale=-1000, offset=1000) for part in (scores.synthetic, scores.floor))
    return Compared(synthetic=synthetic, floor=floor)


def _first_rows(table: ScoredTable, rows: int, binning: Binning, seed: int) -> BinnedTable:
    binned = BinnedTable(table.rows, binning.codes(table))
    if table.rows == rows:
        return binned
    return binned.take(np.sort(np.random.default_rng([seed, _MATCH_STREAM]).permutation(table.rows)[:rows]))


def _distances(tables: BinnedTables, marginal: Marginal) -> list[float]:
    """TVD of one marginal to train's, in the three comparisons."""
    cells = [tables.by_use[which].joint(marginal, tables.sizes) for which in ("train", *COMPARED)]
    size = prod(tables.sizes[name] for name in marginal)
    if size > _MOST_DENSE_CELLS:
        cells, size = occupied(*cells)
    train, *others = (np.bincount(codes, minlength=size) / len(codes) for codes in cells)
    return [float(0.5 * np.abs(train - other).sum()) for other in others]


def _bootstrap(
    tables: BinnedTables, marginals: list[Marginal], *, seed: int, resamples: int
) -> tuple[dict[Which, Floats], Floats]:
    """Replicates of the three means, and of the synthetic distance of each marginal (marginals × resamples)."""
    rng = np.random.default_rng([seed, _BOOTSTRAP_STREAM, len(marginals[0])])
    most = bag_rows(len(marginals), resamples)
    bags: dict[Which, Bag] = {
        which: draw_bag(table.rows, resamples, rng, most_rows=most) for which, table in tables.by_use.items()
    }
    bagged: dict[Which, BinnedTable] = {which: table.take(bags[which].rows) for which, table in tables.by_use.items()}
    totals: dict[Which, Floats] = {which: np.zeros(resamples) for which in COMPARED}
    each = np.empty((len(marginals), resamples))
    for index, marginal in enumerate(marginals):
        shares = _resampled_shares(bagged, bags, tables, marginal)
        for which in COMPARED:
            distance = 0.5 * np.abs(shares["train"] - shares[which]).sum(axis=0)
            totals[which] += distance
            if which == "synthetic":
                each[index] = distance
    return {which: total / len(marginals) for which, total in totals.items()}, each


def _resampled_shares(
    bagged: Mapping[Which, BinnedTable], bags: Mapping[Which, Bag], tables: BinnedTables, marginal: Marginal
) -> dict[Which, npt.NDArray[np.floating]]:
    """Share of each occupied cell of a marginal in each resample of each table."""
    cells, size = occupied(*(table.joint(marginal, tables.sizes) for table in bagged.values()))
    return {
        which: weighted_counts(codes, size, bags[which].weights) / np.float32(tables.by_use[which].rows)
        for which, codes in zip(bagged, cells, strict=True)
    }
