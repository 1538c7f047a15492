"""Null blocks: columns that are null in the same rows (a questionnaire's part that was skipped), found under differential privacy.

Pairs of columns whose released null counts agree are asked in how many rows exactly one of the two is null. Where that is nothing but
noise the two belong to one block, and the decoder gives no row a mix that the table does not have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from synth_pipeline.privacy.curator import Curator
from synth_pipeline.table.profile import ColumnProfile

SHARE = 0.05
_MOST_PAIRS = 64
_SIGNAL_SIGMAS = 8.0
_CLOSE_SIGMAS, _CLOSE_SHARE = 4.0, 0.005
_ABSENT_SIGMAS, _ABSENT_SHARE = 2.0, 0.005
_WEAKEST_TEST = 0.1


@dataclass(frozen=True)
class _Nulls:
    """Released null count of a column."""

    index: int
    count: float
    sigma: float


def find_null_blocks(
    curator: Curator, columns: Sequence[ColumnProfile], *, rows: float, cost: float
) -> tuple[tuple[int, ...], ...]:
    """Blocks of columns (positions) that are null together, each of at least two.

    Args:
        curator: holder of the training rows.
        columns: released profiles of the table's columns.
        rows: noisy row count.
        cost: μ² to spend; nothing is spent where no two null counts agree.

    Privacy:
        The pairs asked are chosen from released counts; one discrete-Gaussian vector over them.
    """
    pairs = _candidates(columns, rows)
    if not pairs:
        return ()
    names = [(columns[first.index].name, columns[second.index].name) for first, second in pairs]
    noisy = curator.null_differences(
        names, cost=cost, stage="profile", purpose=f"columns null together: {len(pairs)} pairs"
    )
    block = {item.index: item.index for pair in pairs for item in pair}
    for (first, second), difference in zip(pairs, noisy.values, strict=True):
        least = min(first.count, second.count)
        is_tested = 2 * noisy.sigma <= _WEAKEST_TEST * least
        if is_tested and difference <= max(_ABSENT_SIGMAS * noisy.sigma, _ABSENT_SHARE * least):
            old, new = block[second.index], block[first.index]
            block = {index: new if root == old else root for index, root in block.items()}
    found = [tuple(sorted(index for index, root in block.items() if root == top)) for top in set(block.values())]
    return tuple(sorted(members for members in found if len(members) > 1))


def _candidates(columns: Sequence[ColumnProfile], rows: float) -> list[tuple[_Nulls, _Nulls]]:
    """Pairs of columns with about as many nulls, closest first; columns that are hardly ever or nearly always null are left out."""
    able: list[_Nulls] = []
    for index, column in enumerate(columns):
        nulls = _Nulls(index, float(column.counts[-1]), float(column.sigma[-1]))
        if column.nullable and _SIGNAL_SIGMAS * nulls.sigma < nulls.count < rows - _SIGNAL_SIGMAS * nulls.sigma:
            able.append(nulls)
    gaps = {
        (first, second): abs(first.count - second.count) / float(np.hypot(first.sigma, second.sigma))
        for first, second in combinations(able, 2)
        if abs(first.count - second.count)
        <= _CLOSE_SIGMAS * float(np.hypot(first.sigma, second.sigma)) + _CLOSE_SHARE * rows
    }
    return sorted(gaps, key=lambda pair: gaps[pair])[:_MOST_PAIRS]
