"""Draws from many small distributions at once, stratified: a group's counts differ from their expectation by less than one.

Every single draw has exactly its group's law; draws of one group are negatively dependent, so that marginals of the rows are closer to
the model's than those of independent rows would be.
"""

import numpy as np
import numpy.typing as npt

from synth_pipeline.table.profile import Floats

Integers = npt.NDArray[np.int64]

_LEAST_SHUFFLED = 32


def systematic_counts(shares: Floats, draws: int, rng: np.random.Generator) -> Integers:
    """How often each index is drawn: draws × share, rounded down or up; sums to `draws`.

    Args:
        shares: non-negative, with a positive sum.
        draws: number of draws.
        rng: one uniform number decides all roundings.
    """
    ends = np.cumsum(shares, dtype=np.float64)
    marks = np.floor(ends / ends[-1] * draws + rng.random()).astype(np.int64)
    marks[-1] = draws
    return np.diff(np.minimum(marks, draws), prepend=0)


def draw_grouped(shares: Floats, counts: Integers, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    """Codes of the rows of all groups, group after group, in random order inside each.

    Shapes:
        shares (G, D) non-negative, counts (G,) → (Σ counts,).
    """
    ends = np.cumsum(shares, axis=1, dtype=np.float64)
    marks = np.floor(ends / ends[:, -1:] * counts[:, None] + rng.random((len(counts), 1))).astype(np.int64)
    marks = np.minimum(marks, counts[:, None])
    marks[:, -1] = counts
    taken = np.diff(marks, axis=1, prepend=0)
    codes = np.repeat(np.tile(np.arange(shares.shape[1], dtype=np.int32), len(counts)), taken.reshape(-1))
    _shuffle_groups(codes, counts, rng)
    return codes


def draw_by_label(table: Floats, labels: npt.NDArray[np.integer], rng: np.random.Generator) -> npt.NDArray[np.int32]:
    """One code a row, from the row of the table that its label names.

    Shapes:
        table (L, D), labels (R,) → (R,).
    """
    order = np.argsort(labels.astype(np.int32), kind="stable")
    counts = np.bincount(labels, minlength=len(table))
    used = np.flatnonzero(counts)
    codes = np.empty(len(labels), dtype=np.int32)
    codes[order] = draw_grouped(table[used], counts[used], rng)
    return codes


def _shuffle_groups(codes: npt.NDArray[np.int32], counts: Integers, rng: np.random.Generator) -> None:
    """Random order inside each group, in place; sorting by random keys where groups are many and small."""
    if len(counts) * _LEAST_SHUFFLED > len(codes):
        keys = np.repeat(np.arange(len(counts)), counts) + rng.random(len(codes))
        codes[:] = codes[np.argsort(keys)]
        return
    start = 0
    for count in counts.tolist():
        rng.shuffle(codes[start : start + count])
        start += count


def draw_rows(laws: Floats, rng: np.random.Generator) -> Integers:
    """One index a row, each by weights of its own and independently of the others.

    Shapes:
        laws (R, D) non-negative with a positive sum in every row → (R,).
    """
    ends = np.cumsum(laws, axis=1, dtype=np.float64)
    points = rng.random((len(laws), 1)) * ends[:, -1:]
    return np.minimum((ends <= points).sum(axis=1), laws.shape[1] - 1)
