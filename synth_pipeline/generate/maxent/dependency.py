"""SCREEN: functional dependencies between columns, found under DP; the dependent column leaves the field.

Single-site Gibbs cannot move two columns that determine each other, and their pair would waste budget. For every ordered pair (a, b) of
columns with at least four codes one noisy number says how many rows the best function a → b gets right. Where that is nearly all of
them the pair's table is measured once and one of the two columns is drawn from the other afterwards.
"""

from dataclasses import dataclass

import numpy as np

from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.privacy.curator import EncodedView
from synth_pipeline.table.profile import Floats, Profile

_SCREEN_SHARE = 0.4
_FEWEST_CODES = 4


@dataclass(frozen=True, eq=False)
class Dependency:
    """A column that is drawn from another one.

    Attributes:
        column: index of the drawn column.
        parent: index of the column that it is drawn from.
        conditional: probabilities, codes of parent × codes of column; rows sum to 1.
    """

    column: int
    parent: int
    conditional: Floats


def screen_dependencies(
    view: EncodedView, profile: Profile, *, target: int | None, cost: float
) -> tuple[Dependency, ...]:
    """Find and measure functional dependencies.

    Args:
        view: the encoded private rows.
        profile: the released profile.
        target: index of the target column, which takes no part.
        cost: μ² to spend at most; only the screen's 40 % is spent where nothing is found.

    Privacy:
        One vector of scores, each of sensitivity 1 a row; then one histogram a dependency found.
    """
    sizes = view.domain.sizes
    able = [index for index, size in enumerate(sizes) if size >= _FEWEST_CODES and index != target]
    pairs = [(first, second) for first in able for second in able if first != second]
    if not pairs:
        return ()
    scores = view.dominance(
        pairs, cost=_SCREEN_SHARE * cost, stage="generator", purpose="functional dependencies: scores"
    )
    chosen = _choose(pairs, scores.values, scores.sigma, profile)
    found: list[Dependency] = []
    for determinant, dependent, dropped in chosen:
        part = full_partition(determinant, dependent, sizes)
        purpose = f"functional dependency {view.domain.names[determinant]} → {view.domain.names[dependent]}"
        noisy = view.pair_counts(
            part, cost=(1 - _SCREEN_SHARE) * cost / len(chosen), stage="generator", purpose=purpose
        )
        table = noisy.values.reshape(sizes[determinant], sizes[dependent])
        found.append(_dependency(table, noisy.sigma, (determinant, dependent, dropped), profile))
    return tuple(found)


def full_partition(first: int, second: int, sizes: tuple[int, ...]) -> PairPartition:
    """The partition of a pair into all its code pairs."""
    count = sizes[first] * sizes[second]
    return PairPartition(first, second, np.arange(count).reshape(sizes[first], sizes[second]), count, "full")


def _choose(pairs: list[tuple[int, int]], scores: Floats, sigma: float, profile: Profile) -> list[tuple[int, int, int]]:
    """(determinant, dependent, dropped) of each accepted pair; no column is both dropped and a parent."""
    rows = max(profile.rows, 1.0)
    accepted: list[tuple[bool, float, int, int]] = []
    for (first, second), score in zip(pairs, scores, strict=True):
        guess = float(profile.shares(second).max()) * rows
        if score > rows - max(2 * sigma, 0.01 * rows) and guess < rows - max(8 * sigma, 0.15 * rows):
            from_numeric = profile.columns[first].is_ordered and not profile.columns[second].is_ordered
            accepted.append((from_numeric, -float(score), first, second))
    chosen: list[tuple[int, int, int]] = []
    dropped: set[int] = set()
    parents: set[int] = set()
    for _, _, first, second in sorted(accepted):
        is_fine = profile.columns[first].codes > 2 * profile.columns[second].codes
        drop, parent = (first, second) if is_fine else (second, first)
        if drop in dropped or parent in dropped or drop in parents:
            continue
        chosen.append((first, second, drop))
        dropped.add(drop)
        parents.add(parent)
    return chosen


def _dependency(table: Floats, sigma: float, columns: tuple[int, int, int], profile: Profile) -> Dependency:
    """The conditional of the dropped column, from a noisy table thresholded where it is all noise."""
    determinant, dependent, dropped = columns
    kept = np.where(table > max(3.0, np.sqrt(2 * np.log(table.shape[1]))) * sigma, table, 0.0)
    empty = kept.sum(1) <= 0
    kept[empty] = table[empty] >= table[empty].max(axis=1, keepdims=True)
    conditional = kept / kept.sum(1, keepdims=True)
    if dropped == dependent:
        return Dependency(dropped, determinant, conditional)
    joint = (conditional * profile.shares(determinant)[:, None]).T
    joint[joint.sum(1) <= 0] = profile.shares(determinant)
    return Dependency(dropped, dependent, joint / joint.sum(1, keepdims=True))
