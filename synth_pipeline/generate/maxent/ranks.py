"""Ranks inside bins: a Gaussian copula over the numeric columns, so that decoded values keep the association that bins lose.

The correlation of the columns' normal scores is read from the model's pair marginals (free of budget). Each row gets normal scores
truncated to the intervals of its bins, by a few Gibbs sweeps; their order inside a bin is the order of the decoded values.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from synth_pipeline.table.profile import Floats

_FURTHEST = 8.0
_SMALLEST_EIGENVALUE = 0.02
_SWEEPS = 8


@dataclass(frozen=True, eq=False)
class RankModel:
    """The copula.

    Attributes:
        columns: domain index of each column.
        bounds: for each column, normal scores of its bins' edges, ascending.
        correlation: of the normal scores, with unit diagonal.
    """

    columns: tuple[int, ...]
    bounds: tuple[Floats, ...]
    correlation: Floats

    def draw(self, codes: npt.NDArray[np.int32], rng: np.random.Generator) -> dict[int, Floats]:
        """Position in (0, 1) of each row inside its bin, for each column; rows with a null take part with a free score."""
        lows = np.stack(
            [np.append(b[:-1], -_FURTHEST)[codes[:, c]] for c, b in zip(self.columns, self.bounds, strict=True)], 1
        )
        highs = np.stack(
            [np.append(b[1:], _FURTHEST)[codes[:, c]] for c, b in zip(self.columns, self.bounds, strict=True)], 1
        )
        below, above = ndtr(lows), ndtr(highs)
        scores = ndtri(np.clip(below + (above - below) * rng.random(lows.shape), 1e-9, 1 - 1e-9))
        precision = np.linalg.inv(self.correlation).astype(np.float64)
        for _ in range(_SWEEPS):
            for column in range(len(self.columns)):
                _redraw(scores, column, precision, lows[:, column], highs[:, column], rng)
        places = (ndtr(scores) - below) / np.maximum(above - below, 1e-12)
        return {index: np.clip(places[:, number], 0.0, 1.0) for number, index in enumerate(self.columns)}


def _redraw(
    scores: Floats, column: int, precision: Floats, low: Floats, high: Floats, rng: np.random.Generator
) -> None:
    """Draw one column's scores from their truncated normal given the others, in place."""
    deviation = 1 / np.sqrt(precision[column, column])
    mean = scores[:, column] - scores @ precision[:, column] / precision[column, column]
    start, stop = ndtr((low - mean) / deviation), ndtr((high - mean) / deviation)
    level = np.clip(start + (stop - start) * rng.random(len(scores)), 1e-12, 1 - 1e-12)
    scores[:, column] = np.clip(mean + deviation * ndtri(level), low, high)


def fit_ranks(joint: Floats, slices: list[slice], columns: list[tuple[int, int]]) -> RankModel | None:
    """The copula of the given columns under the model.

    Args:
        joint: model's pair marginals (S, S), over active columns.
        slices: slice of each active column.
        columns: (active position, domain index) of each numeric column; its bins are all codes but a possible null.
    """
    if len(columns) < 2:
        return None
    bounds: list[Floats] = []
    means: list[Floats] = []
    for position, _ in columns:
        share = np.maximum(np.diag(joint)[slices[position]], 1e-12)
        share = share / share.sum()
        edges = ndtri(np.clip(np.concatenate([[0.0], np.cumsum(share)]), 1e-9, 1 - 1e-9))
        edges[0], edges[-1] = -_FURTHEST, _FURTHEST
        density = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
        bounds.append(edges)
        means.append((density[:-1] - density[1:]) / share)
    correlation = np.eye(len(columns))
    for row in range(len(columns)):
        for column in range(row):
            table = joint[slices[columns[row][0]], slices[columns[column][0]]]
            correlation[row, column] = correlation[column, row] = _correlation(table, means[row], means[column])
    values, vectors = np.linalg.eigh(correlation)
    repaired = (vectors * np.maximum(values, _SMALLEST_EIGENVALUE)) @ vectors.T
    scale = np.sqrt(np.diag(repaired))
    return RankModel(tuple(index for _, index in columns), tuple(bounds), repaired / np.outer(scale, scale))


def _correlation(table: Floats, rows: Floats, columns: Floats) -> float:
    table = table / max(table.sum(), 1e-12)
    left, right = table.sum(1), table.sum(0)
    rows, columns = rows - left @ rows, columns - right @ columns
    scale = np.sqrt(max((left @ rows**2) * (right @ columns**2), 1e-9))
    return float(np.clip(rows @ table @ columns / scale, -1.0, 1.0))
