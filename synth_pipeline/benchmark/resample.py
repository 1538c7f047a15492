"""Bootstrap resamples of table rows as weights: how often each row was drawn in each resample.

A marginal of all resamples at once is then one sparse product. Tables larger than a bag are resampled by the bag of little bootstraps
(Kleiner, Talwalkar, Sarkar & Jordan 2014, JRSS B 76, one bag): a random bag of b rows, out of which n rows are drawn with replacement,
so that the spread has the scale of the whole table at the cost of b rows.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.benchmark.scored_table import Ints

Weights = npt.NDArray[np.float32]

MOST_BAG_ROWS = 20_000
LEAST_BAG_ROWS = 1_000
_MOST_ADDITIONS = 400_000_000


@dataclass(frozen=True, eq=False)
class Bag:
    """Resamples of one table.

    Attributes:
        rows: positions in the table of the rows that are resampled.
        weights: bag rows × resamples; how often each was drawn. Every resample sums to the rows of the table.
    """

    rows: npt.NDArray[np.intp]
    weights: Weights

    @property
    def resamples(self) -> int:
        """Number of resamples."""
        return self.weights.shape[1]


def draw_bag(total_rows: int, resamples: int, rng: np.random.Generator, *, most_rows: int = MOST_BAG_ROWS) -> Bag:
    """Resamples of a table of `total_rows` rows.

    Shapes:
        weights: min(total_rows, most_rows) × resamples.
    """
    kept = min(total_rows, most_rows)
    rows = np.arange(total_rows) if kept == total_rows else np.sort(rng.permutation(total_rows)[:kept])
    weights = np.empty((kept, resamples), dtype=np.float32)
    for column in range(resamples):
        weights[:, column] = np.bincount(rng.integers(kept, size=total_rows), minlength=kept)
    return Bag(rows, weights)


def bag_rows(statistics: int, resamples: int) -> int:
    """Rows of a bag such that `statistics` marginals of all its resamples cost about as much for wide tables as for narrow ones."""
    affordable = _MOST_ADDITIONS // max(1, statistics * resamples)
    return int(np.clip(affordable, LEAST_BAG_ROWS, MOST_BAG_ROWS))


def weighted_counts(codes: Ints, cells: int, weights: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Count of each cell in each resample.

    Shapes:
        codes: rows. weights: rows × resamples. Result: cells × resamples, of the weights' type.
    """
    from scipy import sparse

    rows = len(codes)
    one_hot = sparse.csr_array((np.ones(rows, weights.dtype), codes, np.arange(rows + 1)), shape=(rows, cells))
    return np.asarray(one_hot.T @ weights)


def occupied(*codes: Ints) -> tuple[list[Ints], int]:
    """The same cells renumbered so that only those that occur are left, and how many there are."""
    _, renumbered = np.unique(np.concatenate(codes), return_inverse=True)
    ends = np.cumsum([len(part) for part in codes])[:-1]
    return list(np.split(renumbered.astype(np.int64), ends)), int(renumbered.max(initial=-1)) + 1
