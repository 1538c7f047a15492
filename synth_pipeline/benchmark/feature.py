"""Features of the learners: one coding of every table, fitted on train's categories.

Gradient boosting takes one column each: numbers as they are (NaN is null), categories by rank of frequency in train (at most 200, the
rest and unseen ones share one more code). The linear model takes numbers imputed by the median, standardised and clipped at ±10 beside
a null flag, and categories one-hot (the 50 most frequent, one for the rest, one for null); its scaling is fitted on the table that it
is trained on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synth_pipeline.benchmark.binning import by_frequency
from synth_pipeline.benchmark.interval import Floats
from synth_pipeline.benchmark.scored_table import Ints, ScoredTable, ScoredTables

MOST_CODES = 200
MOST_ONE_HOT = 50
CLIP_DEVIATIONS = 10.0


@dataclass(frozen=True, repr=False, eq=False)
class FeatureCoding:
    """How columns become features.

    Attributes:
        names: the feature columns.
        ranks: for each category column the code of each category of the vocabulary, and -1 for null as the last element.
        kept: for each category column the number of categories with a code of their own.
    """

    names: tuple[str, ...]
    ranks: Mapping[str, Ints]
    kept: Mapping[str, int]

    @property
    def categorical(self) -> npt.NDArray[np.bool_]:
        """Which features are categories."""
        return np.array([name in self.ranks for name in self.names])

    def ordered(self, table: ScoredTable) -> Floats:
        """Features for gradient boosting.

        Shapes:
            rows × features; NaN is null.
        """
        features = np.empty((table.rows, len(self.names)))
        for index, name in enumerate(self.names):
            if name in self.ranks:
                codes = self.ranks[name][table.categories[name]]
                features[:, index] = np.where(codes < 0, np.nan, codes)
            else:
                features[:, index] = table.numbers[name]
        return features


@dataclass(frozen=True)
class Scaling:
    """Median, mean and deviation of each numeric feature."""

    by_column: Mapping[str, tuple[float, float, float]]


def fit_coding(tables: ScoredTables, names: tuple[str, ...]) -> FeatureCoding:
    """The coding of some columns, from train's categories."""
    ranks: dict[str, Ints] = {}
    kept: dict[str, int] = {}
    for name in names:
        if tables.is_number(name):
            continue
        size = tables.vocabulary_sizes[name]
        seen = by_frequency(tables.train.categories[name], size)[:MOST_CODES]
        kept[name] = len(seen)
        ranks[name] = np.full(size + 1, len(seen), dtype=np.int64)
        ranks[name][seen] = np.arange(len(seen))
        ranks[name][-1] = -1
    return FeatureCoding(names, ranks, kept)


def fit_scaling(table: ScoredTable, coding: FeatureCoding) -> Scaling:
    """Imputation and scaling of the numeric features, from the table that is trained on."""
    fitted: dict[str, tuple[float, float, float]] = {}
    for name in coding.names:
        if name in coding.ranks:
            continue
        values = table.numbers[name]
        present = values[~np.isnan(values)]
        median = float(np.median(present)) if len(present) else 0.0
        filled = np.where(np.isnan(values), median, values)
        deviation = float(filled.std())
        fitted[name] = (median, float(filled.mean()), deviation if deviation > 1e-9 else 1.0)
    return Scaling(fitted)


def one_hot(table: ScoredTable, coding: FeatureCoding, scaling: Scaling) -> Any:
    """Features for the linear model, as a sparse matrix.

    Shapes:
        rows × (2 a numeric feature + (kept categories + 2) a category feature).
    """
    from scipy import sparse

    parts: list[Any] = []
    for name in coding.names:
        if name in coding.ranks:
            parts.append(
                _one_hot_column(coding.ranks[name][table.categories[name]], min(coding.kept[name], MOST_ONE_HOT))
            )
            continue
        values = table.numbers[name]
        is_null = np.isnan(values)
        median, mean, deviation = scaling.by_column[name]
        scaled = np.clip((np.where(is_null, median, values) - mean) / deviation, -CLIP_DEVIATIONS, CLIP_DEVIATIONS)
        parts.append(sparse.csr_matrix(np.stack([scaled, is_null.astype(np.float64)], axis=1)))
    return sparse.hstack(parts, format="csr")


def _one_hot_column(codes: Ints, kept: int) -> Any:
    from scipy import sparse

    columns = np.where(codes < 0, kept + 1, np.minimum(codes, kept))
    rows = len(codes)
    return sparse.csr_matrix((np.ones(rows), columns, np.arange(rows + 1)), shape=(rows, kept + 2))
