"""Noisy tables of pairs that a generator keeps: what it was fitted to, so that a later walk may start from them.

They are released values. A drift report compares a fresh snapshot with them; a refresh takes those that still hold as prior measurements.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.table.profile import Floats

_ARRAYS: tuple[str, ...] = ("values", "sigmas", "cells", "rows_of", "columns_of")


@dataclass(frozen=True, eq=False)
class MeasuredPair:
    """A noisy table of two columns, as an earlier training released it.

    Attributes:
        first: domain index of one column.
        second: domain index of the other.
        labels: cell of each combination of codes, (codes of first, codes of second).
        size: number of cells.
        values: noisy rows of each cell, (size,), in rows of the snapshot that was measured.
        sigma: standard deviation of the noise of a cell, in the same rows; where cells differ, the root of their mean variance.
        rows: noisy row count of that snapshot.
        name: what the partition is ("level 0", "round 2, 36 rectangles").
        sigmas: standard deviation of each cell, where cells differ (a table that was taken over from an earlier snapshot); else None.

    Units:
        `values` and `sigma` in people where people may have several rows.
    """

    first: int
    second: int
    labels: npt.NDArray[np.int64]
    size: int
    values: Floats
    sigma: float
    rows: float
    name: str
    sigmas: Floats | None = None

    @property
    def partition(self) -> PairPartition:
        """Its cells, over domain indices."""
        return PairPartition(self.first, self.second, self.labels, self.size, self.name)

    @property
    def noise(self) -> Floats:
        """Standard deviation of each cell, (size,)."""
        return np.full(self.size, self.sigma) if self.sigmas is None else self.sigmas


def measured_pair(partition: PairPartition, values: Floats, sigma: float | Floats, *, rows: float) -> MeasuredPair:
    """A measured table; values are rounded to single precision, in which they are saved.

    Args:
        partition: its cells, over domain indices.
        values: noisy rows of each cell.
        sigma: standard deviation of their noise, one for all or one each.
        rows: noisy row count of the snapshot.
    """
    spread = np.asarray(sigma, dtype=np.float32).astype(np.float64)
    common = float(spread) if spread.ndim == 0 else float(np.sqrt(np.mean(spread**2)))
    rounded = np.asarray(values, dtype=np.float32).astype(np.float64)
    each = None if spread.ndim == 0 else spread
    return MeasuredPair(
        partition.first, partition.second, partition.labels, partition.size, rounded, common, rows, partition.name, each
    )


def measured_by(generator: object) -> tuple[MeasuredPair, ...]:
    """The noisy tables that a generator kept; empty for an engine that keeps none, or a model saved without them."""
    return getattr(generator, "measured", ())


def measured_arrays(measured: Sequence[MeasuredPair]) -> tuple[dict[str, npt.NDArray[Any]], list[dict[str, Any]]]:
    """The tables as a few flat arrays and one record each, to be saved with a generator's own.

    Labels are kept as the table of distinct rows and columns of labels, and which of them each code has: a product of groups then takes no
    more room than its cells.
    """
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in _ARRAYS}
    records: list[dict[str, Any]] = []
    for item in measured:
        rows, rows_of = _distinct(item.labels)
        columns, columns_of = _distinct(item.labels.T)
        parts["values"].append(item.values.astype(np.float32))
        parts["cells"].append(item.labels[np.ix_(rows, columns)].reshape(-1).astype(np.uint16))
        parts["rows_of"].append(rows_of.astype(np.uint16))
        parts["columns_of"].append(columns_of.astype(np.uint16))
        if item.sigmas is not None:
            parts["sigmas"].append(item.sigmas.astype(np.float32))
        records.append({
            "pair": [item.first, item.second], "name": item.name, "size": item.size, "sigma": item.sigma, "rows": item.rows,
            "shape": [*item.labels.shape, len(rows), len(columns)], "has_sigmas": item.sigmas is not None,
        })  # fmt: skip
    return {f"measured_{name}": np.concatenate(found) for name, found in parts.items() if found}, records


def measured_from(arrays: dict[str, npt.NDArray[Any]], records: Iterable[dict[str, Any]]) -> tuple[MeasuredPair, ...]:
    """The tables that `measured_arrays` wrote; none where a generator was saved without them.

    Raises:
        KeyError: if the arrays are not those of the records.
    """
    places: dict[str, int] = dict.fromkeys(_ARRAYS, 0)

    def take(name: str, count: int) -> npt.NDArray[Any]:
        start = places[name]
        places[name] = start + count
        part = arrays[f"measured_{name}"][start : start + count]
        if len(part) != count:
            raise KeyError(f"measured_{name}")
        return part

    found: list[MeasuredPair] = []
    for record in records:
        height, width, rows, columns = record["shape"]
        cells = take("cells", rows * columns).astype(np.int64).reshape(rows, columns)
        labels = cells[np.ix_(take("rows_of", height).astype(np.int64), take("columns_of", width).astype(np.int64))]
        values = take("values", record["size"]).astype(np.float64)
        sigmas = take("sigmas", record["size"]).astype(np.float64) if record["has_sigmas"] else None
        first, second = record["pair"]
        found.append(
            MeasuredPair(first, second, labels, record["size"], values, record["sigma"], record["rows"], record["name"], sigmas)
        )  # fmt: skip
    return tuple(found)


def _distinct(labels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """A first row of each group of equal rows of labels, and the group of every row."""
    _, first, group = np.unique(labels, axis=0, return_index=True, return_inverse=True)
    return first, group.reshape(-1).astype(np.int64)
