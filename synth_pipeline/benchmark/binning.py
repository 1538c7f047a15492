"""Bins in which marginals are compared, fitted on train.

Numeric and datetime columns are cut at the 5 %, 10 % … 95 % quantiles of train (right-closed, outer bins open; a column with at most
20 distinct values keeps one bin a value). Category columns keep train's 49 most frequent categories, one bin for the rest of train's
and one for categories that train never has. Null is the last bin of every column.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synth_pipeline.benchmark.interval import Floats
from synth_pipeline.benchmark.scored_table import Ints, ScoredTable, ScoredTables

NUMBER_BINS = 20
CATEGORY_BINS = 50


@dataclass(frozen=True, repr=False, eq=False)
class Binning:
    """The bins of every column.

    Attributes:
        cuts: for each numeric and datetime column the inner edges of its bins.
        lookups: for each category column the bin of each category of the vocabulary, and the null bin as the last element.
        sizes: number of bins of each column, null bin included.
    """

    cuts: Mapping[str, Floats]
    lookups: Mapping[str, Ints]
    sizes: Mapping[str, int]

    def __repr__(self) -> str:
        return f"Binning({len(self.sizes)} columns, contents withheld)"

    def codes(self, table: ScoredTable) -> dict[str, Ints]:
        """The bin of every cell of a table, column by column."""
        binned: dict[str, Ints] = {}
        for name in self.sizes:
            if name in self.cuts:
                values = table.numbers[name]
                codes = np.searchsorted(self.cuts[name], values, side="left").astype(np.int64)
                codes[np.isnan(values)] = self.sizes[name] - 1
                binned[name] = codes
            else:
                binned[name] = self.lookups[name][table.categories[name]]
        return binned


def fit_binning(tables: ScoredTables) -> Binning:
    """Bins of every column, from train alone."""
    cuts: dict[str, Floats] = {}
    lookups: dict[str, Ints] = {}
    sizes: dict[str, int] = {}
    for name in tables.names:
        if tables.is_number(name):
            cuts[name] = _quantile_cuts(tables.train.numbers[name])
            sizes[name] = len(cuts[name]) + 2
        else:
            lookups[name] = _frequency_bins(tables.train.categories[name], tables.vocabulary_sizes[name])
            sizes[name] = int(lookups[name][-1]) + 1
    return Binning(cuts, lookups, sizes)


def by_frequency(codes: Ints, vocabulary_size: int) -> Ints:
    """The categories that occur, most frequent first; equally frequent ones in the order of the vocabulary."""
    counts = np.bincount(codes[codes >= 0], minlength=vocabulary_size)
    order = np.argsort(-counts, kind="stable")
    return order[counts[order] > 0].astype(np.int64)


def _quantile_cuts(values: Floats) -> Floats:
    present = values[~np.isnan(values)]
    distinct = np.unique(present)
    if len(distinct) <= NUMBER_BINS:
        return distinct[:-1]
    return np.unique(np.quantile(present, np.arange(1, NUMBER_BINS) / NUMBER_BINS, method="lower"))


def _frequency_bins(codes: Ints, vocabulary_size: int) -> Ints:
    seen = by_frequency(codes, vocabulary_size)
    kept = len(seen) if len(seen) <= CATEGORY_BINS else CATEGORY_BINS - 1
    lookup = np.full(vocabulary_size + 1, kept + 1, dtype=np.int64)
    lookup[seen] = np.minimum(np.arange(len(seen)), kept)
    lookup[-1] = kept + 2
    return lookup
