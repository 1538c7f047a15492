"""The pairs of columns that a synthetic table has worst, each as a small two-way table, real beside synthetic.

Belongs here: which pairs, and their coarse cells. Does not: scores (benchmark), the whole map of pairs (comparison). Internal: computed
on real rows without noise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, zip_longest

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.benchmark.scorecard import Fidelity
from synth_pipeline.report.chart import Floats, HeatMap
from synth_pipeline.report.comparison import Tables
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

Codes = npt.NDArray[np.int64]

MOST_PAIRS = 6
_GROUPS = 5
_FIFTHS = tuple(place / _GROUPS for place in range(1, _GROUPS))
_LEAST_SHARE = 0.0005  # of a row or head that is drawn; less would read 0.0 everywhere
_OTHERS, _NULL = "others", "null"


@dataclass(frozen=True, eq=False)
class PairTable:
    """How two columns go together, on a few cells.

    Attributes:
        first: the column of the rows.
        second: the column of the heads.
        rows: labels of the rows.
        heads: labels of the heads.
        real: share of each cell in train (rows × heads).
        synthetic: the same in the synthetic table.
        reason: why this pair is shown.
    """

    first: str
    second: str
    rows: tuple[str, ...]
    heads: tuple[str, ...]
    real: Floats
    synthetic: Floats
    reason: str

    @property
    def distance(self) -> float:
        """Total variation distance on these cells."""
        return float(np.abs(self.real - self.synthetic).sum() / 2)

    @property
    def top(self) -> float:
        """The largest share, for the length of bars."""
        return max(float(self.real.max()), float(self.synthetic.max()), 1e-9)

    def title(self, row: int, head: int) -> str:
        """The numbers of a cell."""
        real, synthetic = self.real[row, head], self.synthetic[row, head]
        return f"{self.rows[row]}, {self.heads[head]}: real {real:.2%}, synthetic {synthetic:.2%}"


def worst_pairs(
    fidelity: Fidelity, tables: Tables, spec: Spec, maps: Sequence[HeatMap], *, most: int = MOST_PAIRS
) -> tuple[PairTable, ...]:
    """The pairs furthest from train by the scorecard, and those whose association differs most, in turn.

    Args:
        fidelity: the scores, with the pairs furthest from train.
        tables: the tables that were scored.
        spec: the specification.
        maps: associations of train, of the synthetic table, and their difference; empty with one column.
        most: how many pairs.
    """
    chosen = dict(list(_chosen(fidelity, maps).items())[:most])
    cells = {name: _coarse(tables.column(name), spec.modelled[name]) for name in dict.fromkeys(chain(*chosen))}
    return tuple(_table(pair, cells, reason) for pair, reason in chosen.items())


@dataclass(frozen=True, repr=False, eq=False)
class _Coarse:
    """A column of few codes."""

    labels: tuple[str, ...]
    codes: Mapping[str, Codes]


def _chosen(fidelity: Fidelity, maps: Sequence[HeatMap]) -> dict[tuple[str, str], str]:
    """Pairs and why they are shown; each pair once, however its columns are ordered."""
    two_way = fidelity.tvd_2way
    far = [
        (item.columns[0], item.columns[1], f"distance {item.synthetic:.3f}, floor {item.floor:.3f}")
        for item in (two_way.worst if two_way else ())
    ]
    found: dict[tuple[str, str], str] = {}
    for item in chain(*zip_longest(far, _most_different(maps))):
        if item is None:
            continue
        first, second, reason = item
        pair = (second, first) if (second, first) in found else (first, second)
        found[pair] = f"{found[pair]}; {reason}" if pair in found else reason
    return found


def _most_different(maps: Sequence[HeatMap]) -> list[tuple[str, str, str]]:
    """The pairs whose association differs most, worst first."""
    if not maps:
        return []
    real, made, difference = (one.values for one in maps)
    above = np.triu(np.abs(difference), 1)
    order = np.argsort(-above, axis=None, kind="stable")[:MOST_PAIRS]
    places = [np.unravel_index(at, above.shape) for at in order.tolist() if above.flat[at] > 0]
    names = maps[0].names
    return [
        (names[row], names[column], f"Cramér's V {real[row, column]:.2f} real, {made[row, column]:.2f} synthetic")
        for row, column in places
    ]


def _table(pair: tuple[str, str], cells: Mapping[str, _Coarse], reason: str) -> PairTable:
    first, second = (cells[name] for name in pair)
    shape = (len(first.labels), len(second.labels))
    shares = {which: _joint(first.codes[which], second.codes[which], shape) for which in ("train", "synthetic")}
    either = np.maximum(shares["train"], shares["synthetic"])
    rows, heads = (either.sum(axis=which) >= _LEAST_SHARE for which in (1, 0))
    real, made = (shares[which][np.ix_(rows, heads)] for which in ("train", "synthetic"))
    return PairTable(*pair, _kept(first.labels, rows), _kept(second.labels, heads), real, made, reason)


def _kept(labels: Sequence[str], flags: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(label for label, is_kept in zip(labels, flags.tolist(), strict=True) if is_kept)


def _joint(first: Codes, second: Codes, shape: tuple[int, int]) -> Floats:
    cells = np.bincount(first * shape[1] + second, minlength=shape[0] * shape[1])
    return cells.reshape(shape) / max(len(first), 1)


def _coarse(values: Mapping[str, pd.Series], column: ModelledColumn) -> _Coarse:
    """A column in at most five groups of about equal size in train (numbers) or its five largest categories; then others, then null."""
    if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
        return _coarse_numbers(values, column)
    is_boolean = isinstance(column, BooleanColumn)
    keys = {which: category_keys(series, is_boolean=is_boolean) for which, series in values.items()}
    known, counts = np.unique(keys["train"][~pd.isna(keys["train"])].astype(str), return_counts=True)
    kept = known[np.argsort(-counts, kind="stable")][:_GROUPS].tolist()
    if isinstance(column, OrdinalColumn):
        kept = [key for key in map(category_key, column.categories) if key in kept]
    place = {key: at for at, key in enumerate(kept)}
    codes = {
        which: np.array([len(kept) + 1 if pd.isna(key) else place.get(str(key), len(kept)) for key in found])
        for which, found in keys.items()
    }
    return _Coarse((*kept, _OTHERS, _NULL), codes)


def _coarse_numbers(values: Mapping[str, pd.Series], column: ModelledColumn) -> _Coarse:
    read = {which: numbers(series) for which, series in values.items()}
    known = read["train"][~np.isnan(read["train"])]
    distinct = np.unique(known)
    is_short = len(distinct) <= _GROUPS
    cuts = distinct[:-1] if is_short else np.unique(np.quantile(known, _FIFTHS, method="lower"))
    codes = {
        which: np.where(np.isnan(found), len(cuts) + 1, np.searchsorted(cuts, found, side="left"))
        for which, found in read.items()
    }
    ends = [_end_text(cut, column) for cut in cuts.tolist()]
    if not ends:
        return _Coarse(("any", _NULL), codes)
    labels = [f"≤ {ends[0]}", *(f"to {end}" for end in ends[1:]), f"> {ends[-1]}"]
    return _Coarse((*labels, _NULL), codes)


def _end_text(value: float, column: ModelledColumn) -> str:
    if isinstance(column, DatetimeColumn):
        return moment_text(datetime.fromtimestamp(value, UTC).replace(tzinfo=None, microsecond=0))
    return number_text(value)
