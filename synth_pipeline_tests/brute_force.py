"""Laws over small domains by enumeration, and a Pearson test of drawn rows against them; for tests."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from scipy.stats import chi2

from synth_pipeline.encode.condition import SubDomain

Law = dict[tuple[int, ...], float]
FALSE_ALARM = 1e-4


def every_state(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    return list(product(*(range(size) for size in sizes)))


def normalised(weights: Law) -> Law:
    total = sum(weights.values())
    return {state: weight / total for state, weight in weights.items()}


def given(law: Law, is_met: Callable[[tuple[int, ...]], bool]) -> Law:
    """The conditional law."""
    return normalised({state: share for state, share in law.items() if is_met(state)})


def pearson(rows: np.ndarray, expected: Law) -> tuple[float, float]:
    """Pearson statistic of rows against a law, cells of fewer than 5 expected rows pooled, and its rejection point."""
    states, counts = np.unique(rows, axis=0, return_counts=True)
    seen = {tuple(int(v) for v in state): int(count) for state, count in zip(states, counts, strict=True)}
    assert set(seen) <= {state for state, share in expected.items() if share > 0}
    pairs = sorted((share * len(rows), seen.get(state, 0)) for state, share in expected.items())
    big = [(e, o) for e, o in pairs if e >= 5]
    rest_e, rest_o = sum(e for e, _ in pairs if e < 5), sum(o for e, o in pairs if e < 5)
    cells = [*big, (rest_e, rest_o)] if rest_e > 1e-3 else big
    statistic = sum((o - e) ** 2 / e for e, o in cells)
    return statistic, float(chi2.isf(FALSE_ALARM, max(len(cells) - 1, 1)))


def whole_codes(column: int, groups: Sequence[Sequence[int]]) -> SubDomain:
    """Regions that are sets of whole codes."""
    parent = np.array([code for group in groups for code in group])
    region = np.array([number for number, group in enumerate(groups) for _ in group])
    order = np.argsort(parent)
    return SubDomain(column, parent[order], region[order], np.zeros(len(parent)))
