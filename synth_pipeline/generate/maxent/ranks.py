"""Ranks inside bins: a Gaussian copula over the numeric columns, so that decoded values keep the association that bins lose.

The correlation of the columns' normal scores is read from the model's pair marginals (free of budget). Each row gets normal scores
truncated to the intervals of its bins, by a few Gibbs sweeps; their order inside a bin is the order of the decoded values.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from synth_pipeline.generate.maxent.kernel import compiled
from synth_pipeline.table.profile import Floats

_FURTHEST = 8.0
_SMALLEST_EIGENVALUE = 0.02
_FEWEST_SWEEPS, _MORE_SWEEPS = 2, 8.0
_CHUNK_ROWS = 16_384


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
        widest = max(len(bounds) for bounds in self.bounds)
        edges = np.full((len(self.columns), widest + 1), _FURTHEST)
        nulls = np.array([len(bounds) - 1 for bounds in self.bounds])
        for number, bounds in enumerate(self.bounds):
            edges[number, : len(bounds)] = bounds
        precision = np.linalg.inv(self.correlation)
        slopes = -precision / np.diag(precision)[:, None]
        strongest = float(np.abs(self.correlation - np.eye(len(self.columns))).max())
        sweeps = _FEWEST_SWEEPS + round(_MORE_SWEEPS * strongest**2)
        places = np.empty((len(self.columns), len(codes)))
        chosen = np.ascontiguousarray(codes[:, list(self.columns)])
        for start in range(0, len(codes), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            points = rng.random((len(chosen[part]), sweeps + 1, len(self.columns)), dtype=np.float32)
            places[:, part] = _places(chosen[part], (edges, nulls), (slopes, 1 / np.sqrt(np.diag(precision))), points)
        return {index: places[number] for number, index in enumerate(self.columns)}


@compiled
def _places(
    codes: npt.NDArray[np.int32],
    bins: tuple[Floats, npt.NDArray[np.int64]],
    conditional: tuple[Floats, Floats],
    points: npt.NDArray[np.float32],
) -> Floats:
    """Position in [0, 1] of each row inside its bin of each column, (columns, rows), by Gibbs sweeps over truncated normal scores.

    Args:
        codes: bin of each row in each column.
        bins: normal scores of each column's edges, and the code that stands for null.
        conditional: slopes of each score on the others (its own is −1), and its deviation given them.
        points: uniform numbers, (rows, sweeps + 1, columns).
    """
    edges, nulls = bins
    slopes, deviations = conditional
    rows, sweeps, columns = points.shape
    places = np.empty((columns, rows))
    low, high, scores = np.empty(columns), np.empty(columns), np.empty(columns)
    for r in range(rows):
        for c in range(columns):
            is_null = codes[r, c] >= nulls[c]
            low[c] = -_FURTHEST if is_null else edges[c, codes[r, c]]
            high[c] = _FURTHEST if is_null else edges[c, codes[r, c] + 1]
            scores[c] = _truncated(low[c], high[c], points[r, 0, c])
        for sweep in range(1, sweeps):
            for c in range(columns):
                mean = scores[c]
                for other in range(columns):
                    mean += slopes[c, other] * scores[other]
                deviation = deviations[c]
                score = _truncated((low[c] - mean) / deviation, (high[c] - mean) / deviation, points[r, sweep, c])
                scores[c] = min(max(mean + deviation * score, low[c]), high[c])
        for c in range(columns):
            start, stop = _share_below(low[c]), _share_below(high[c])
            place = (_share_below(scores[c]) - start) / max(stop - start, 1e-12)
            places[c, r] = min(max(place, 0.0), 1.0)
    return places


@compiled
def _share_below(score: float) -> float:
    """Distribution function of the standard normal."""
    return 0.5 * math.erfc(-score * 0.7071067811865476)


@compiled
def _truncated(low: float, high: float, point: float) -> float:
    """The normal score below which a share `point` of the interval's mass lies; computed in the lower tail, where nothing cancels."""
    sign = 1.0
    if low > 0.0:
        low, high, point, sign = -high, -low, 1.0 - point, -1.0
    start, stop = _share_below(low), _share_below(high)
    share = min(max(start + (stop - start) * point, 1e-15), 1 - 1e-15)
    return sign * _quantile(share)


@compiled
def _quantile(share: float) -> float:
    """Quantile of the standard normal to seven digits (Wichura 1988, algorithm AS 241, PPND7)."""
    q = share - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = ((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179
        return q * top / (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0)
    r = math.sqrt(-math.log(share if q < 0 else 1.0 - share))
    if r <= 5.0:
        r -= 1.6
        top = ((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777
        value = top / ((0.12021132975 * r + 0.73700164250) * r + 1.0)
    else:
        r -= 5.0
        top = ((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150
        value = top / ((0.012258202635 * r + 0.24197894225) * r + 1.0)
    return -value if q < 0 else value


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
