"""Real and synthetic tables side by side, column by column and pair by pair; internal, for it is computed on real rows without noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.benchmark.binning import fit_binning
from synth_pipeline.benchmark.scored_table import read_tables
from synth_pipeline.report.chart import Bar, ColumnChart, Floats, HeatMap, Marker, fewer_categories
from synth_pipeline.report.page import moment_text, number_text
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import (
    BooleanColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    ModelledColumn,
    OrdinalColumn,
    category_key,
)
from synth_pipeline.validate.reading import category_keys, numbers

HISTOGRAM_BINS = 25
MOST_MAPPED_COLUMNS = 30
_TAIL = 0.005


@dataclass(frozen=True, repr=False)
class Tables:
    """The tables that are compared.

    Attributes:
        train: real rows that the generator saw.
        holdout: real rows that it did not see.
        synthetic: rows that it made.
    """

    train: pd.DataFrame
    holdout: pd.DataFrame
    synthetic: pd.DataFrame

    def column(self, name: str) -> dict[str, pd.Series]:
        """One column of each table."""
        frames = {"train": self.train, "holdout": self.holdout, "synthetic": self.synthetic}
        return {which: pd.Series(frame[name]) for which, frame in frames.items()}


def compare_column(tables: Tables, name: str, column: ModelledColumn) -> ColumnChart:
    """The distribution of one column in train (bars), holdout and synthetic table (markers)."""
    values = tables.column(name)
    is_binned = isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn))
    labels, shares = _binned(values, column) if is_binned else _categorised(values, column)
    bars = [
        Bar(label, float(real), 0.0, (Marker("synthetic", float(made)), Marker("holdout", float(kept))))
        for label, real, made, kept in zip(labels, shares["train"], shares["synthetic"], shares["holdout"], strict=True)
    ]
    null = [bars.pop()]
    has_null = null[0].value > 0 or any(marker.value > 0 for marker in null[0].markers)
    kept_bars = tuple(bars) if is_binned else fewer_categories(bars)
    distance = float(np.abs(shares["train"] - shares["synthetic"]).sum() / 2)
    caption = column.unit or ""
    return ColumnChart(name, (*kept_bars, *(null if has_null else [])), is_binned, caption, distance)


def association_maps(tables: Tables, spec: Spec) -> tuple[HeatMap, ...]:
    """Cramér's V of every pair on train's bins: of train, of the synthetic table, and the difference.

    One measure for all kinds of columns, so that the colours compare; at most the first 30 columns are drawn.
    """
    read = read_tables(tables.train, tables.holdout, tables.synthetic, spec)
    names = read.names[:MOST_MAPPED_COLUMNS]
    if len(names) < 2:
        return ()
    binning = fit_binning(read)
    real, made = (_matrix(binning.codes(table), names) for table in (read.train, read.synthetic))
    limit = max(float(np.abs(made - real).max()), 0.05)
    return (
        HeatMap("Real (train)", names, real, 1.0),
        HeatMap("Synthetic", names, made, 1.0),
        HeatMap(f"Synthetic minus real (full colour at {limit:.2f})", names, made - real, limit),
    )


def cramers_v(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> float:
    """Cramér's V of two columns of codes, √(χ² / (n (min(r, c) − 1))); 0 where one is constant.

    Example:
        >>> round(cramers_v(np.array([0, 0, 1, 1]), np.array([5, 5, 7, 7])), 6)
        1.0
    """
    rows, columns = (np.unique(codes, return_inverse=True)[1] for codes in (left, right))
    size = int(rows.max()) + 1, int(columns.max()) + 1
    counts = np.bincount(rows * size[1] + columns, minlength=size[0] * size[1]).reshape(size) / len(left)
    product = counts.sum(axis=1)[:, None] * counts.sum(axis=0)[None]
    smaller = min(size) - 1
    return float(np.sqrt(max((counts**2 / product).sum() - 1, 0.0) / smaller)) if smaller else 0.0


def _matrix(codes: Mapping[str, npt.NDArray[np.int64]], names: tuple[str, ...]) -> Floats:
    matrix = np.eye(len(names))
    for first, second in combinations(range(len(names)), 2):
        matrix[first, second] = matrix[second, first] = cramers_v(codes[names[first]], codes[names[second]])
    return matrix


def _binned(values: Mapping[str, pd.Series], column: ModelledColumn) -> tuple[list[str], dict[str, Floats]]:
    """Equally wide bins over the middle 99 % of train, the tails in the outer ones; then null."""
    read = {which: numbers(series) for which, series in values.items()}
    known = read["train"][~np.isnan(read["train"])]
    low, high = (
        (np.quantile(known, _TAIL, method="lower"), np.quantile(known, 1 - _TAIL, method="higher"))
        if len(known)
        else (0.0, 1.0)
    )
    high = max(high, low + 1e-9)
    if isinstance(column, IntegerColumn):
        width = max(int(np.ceil((high - low + 1) / HISTOGRAM_BINS)), 1)
        cuts = np.arange(np.floor(low), np.floor(high) + 1 + width, width) - 0.5
    else:
        cuts = np.linspace(low, high, HISTOGRAM_BINS + 1)
    labels = [_range_text(start, stop, column) for start, stop in pairwise(cuts.tolist())]
    return [*labels, "null"], {which: _histogram(found, cuts) for which, found in read.items()}


def _histogram(values: Floats, cuts: Floats) -> Floats:
    bins = np.clip(np.searchsorted(cuts, values, side="right") - 1, 0, len(cuts) - 2)
    bins = np.where(np.isnan(values), len(cuts) - 1, bins)
    return np.bincount(bins, minlength=len(cuts)) / len(values)


def _range_text(start: float, stop: float, column: ModelledColumn) -> str:
    if isinstance(column, DatetimeColumn):
        moments = [datetime.fromtimestamp(end, UTC).replace(tzinfo=None) for end in (start, stop)]
        return " – ".join(moment_text(moment.replace(microsecond=0)) for moment in moments)
    if isinstance(column, IntegerColumn):
        low, high = number_text(start + 0.5), number_text(stop - 0.5)
        return low if low == high else f"{low} – {high}"
    return f"{number_text(start)} – {number_text(stop)}"


def _categorised(values: Mapping[str, pd.Series], column: ModelledColumn) -> tuple[list[str], dict[str, Floats]]:
    """Ordered categories in their order, others by their share in train; then null."""
    is_boolean = isinstance(column, BooleanColumn)
    counts = {which: _key_shares(series, is_boolean=is_boolean) for which, series in values.items()}
    present = {str(key) for found in counts.values() for key in found}
    if isinstance(column, OrdinalColumn):
        declared = [category_key(category) for category in column.categories]
        names = [key for key in declared if key in present] + sorted(present - set(declared))
    else:
        names = sorted(present, key=lambda key: (-counts["train"].get(key, 0.0), key))
    shares = {which: np.array([found.get(key, 0.0) for key in names]) for which, found in counts.items()}
    nulls = {which: float(series.isna().to_numpy(dtype=bool).mean()) for which, series in values.items()}
    return [*names, "null"], {which: np.append(found, nulls[which]) for which, found in shares.items()}


def _key_shares(values: pd.Series, *, is_boolean: bool) -> dict[str, float]:
    keys = category_keys(values, is_boolean=is_boolean)
    known, counts = np.unique(keys[~pd.isna(keys)].astype(str), return_counts=True)
    return dict(zip(known.tolist(), (counts / max(len(values), 1)).tolist(), strict=True))
