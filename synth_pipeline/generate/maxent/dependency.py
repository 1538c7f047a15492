"""SCREEN: functional dependencies between columns, found under DP; the dependent column leaves the field.

Single-site Gibbs cannot move two columns that determine each other, and their pair would waste budget. For every ordered pair (a, b) of
columns with at least four codes one noisy number says how many rows the best function a → b gets right. Where that is nearly all of
them the pair's table is measured once and one of the two columns is drawn from the other afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synth_pipeline.privacy.answer import Noisy, PairPartition
from synth_pipeline.privacy.curator import EncodedView
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, Floats, Profile

_SCREEN_SHARE = 0.4
_FEWEST_CODES = 4
_LONG_LIST_CODES = 48
_RAKING_SWEEPS = 10
_LARGEST_MISFIT = 0.03


@dataclass(frozen=True, eq=False)
class Dependency:
    """A column that is drawn from another one.

    Attributes:
        column: index of the drawn column.
        parent: index of the column that it is drawn from.
        conditional: probabilities, codes of parent × codes of column; rows sum to 1.
        impossible: codes of the parent that a declared function never gives; a model must not draw them.
    """

    column: int
    parent: int
    conditional: Floats
    impossible: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class KeptDependencies:
    """Dependencies that an earlier release found and that still hold.

    Attributes:
        found: the dependencies, over the fresh domain.
        open_columns: columns that may be in others: pairs without any of them were screened before.
    """

    found: tuple[Dependency, ...]
    open_columns: frozenset[int]


def screen_dependencies(
    view: EncodedView,
    profile: Profile,
    *,
    target: int | None,
    cost: float,
    declared: Sequence[tuple[int, int]] = (),
    kept: KeptDependencies | None = None,
) -> tuple[Dependency, ...]:
    """Find and measure functional dependencies.

    Args:
        view: the encoded private rows.
        profile: the released profile.
        target: index of the target column, which takes no part.
        cost: μ² to spend at most; only the screen's 40 % is spent where nothing is found.
        declared: (determinant, dependent) of each dependency that the specification states: public, so not screened for; the column
            that it drops is in no other.
        kept: dependencies that are known already, in a refresh.

    Privacy:
        One vector of scores, each of sensitivity 1 a row; then one histogram a dependency found.
    """
    sizes = view.domain.sizes
    able = [index for index, size in enumerate(sizes) if size >= _FEWEST_CODES and index != target]
    known = () if kept is None else kept.found
    before = [(item.parent, item.column, item.column) for item in known]
    together = {frozenset((item.parent, item.column)) for item in known}
    stated = [
        (False, float(place), *pair)
        for place, pair in enumerate(declared)
        if target not in pair and frozenset(pair) not in together
    ]
    chosen = _choose(stated, profile, before)
    dropped = {drop for _, _, drop in chosen}
    free = [index for index in able if index not in dropped]
    pairs = [(first, second) for first in free for second in free if first != second]
    if kept is not None:
        pairs = [pair for pair in pairs if not kept.open_columns.isdisjoint(pair)]
    if pairs:
        scores = view.dominance(
            pairs, cost=_SCREEN_SHARE * cost, stage="generator", purpose="functional dependencies: scores"
        )
        chosen = _choose(_accepted(pairs, scores, profile), profile, chosen)
    found: list[Dependency] = list(known)
    chosen = chosen[len(before) :]
    for determinant, dependent, dropped in chosen:
        part = full_partition(determinant, dependent, sizes)
        purpose = f"functional dependency {view.domain.names[determinant]} → {view.domain.names[dependent]}"
        noisy = view.pair_counts(
            part, cost=(1 - _SCREEN_SHARE) * cost / len(chosen), stage="generator", purpose=purpose
        )
        table = noisy.values.reshape(sizes[determinant], sizes[dependent])
        if (determinant, dependent) not in declared and not _is_confirmed(table, noisy.sigma, profile.rows):
            continue
        clean = _without_noise(table, noisy.sigma)
        is_declared = (determinant, dependent) in declared
        if is_declared:
            clean = _as_function(clean, table, profile.columns[determinant])
        found.append(_dependency(clean, (determinant, dependent, dropped), profile, is_exact=is_declared))
    return tuple(found)


def full_partition(first: int, second: int, sizes: tuple[int, ...]) -> PairPartition:
    """The partition of a pair into all its code pairs."""
    count = sizes[first] * sizes[second]
    return PairPartition(first, second, np.arange(count).reshape(sizes[first], sizes[second]), count, "full")


def _accepted(pairs: list[tuple[int, int]], scores: Noisy, profile: Profile) -> list[tuple[bool, float, int, int]]:
    """(is it read from a scale, −score, determinant, dependent) of each pair that nearly all rows obey, and not by mere chance."""
    rows = max(profile.rows, 1.0)
    accepted: list[tuple[bool, float, int, int]] = []
    for (first, second), score in zip(pairs, scores.values, strict=True):
        guess = float(profile.shares(second).max()) * rows
        if score > rows - max(2 * scores.sigma, 0.01 * rows) and guess < rows - max(8 * scores.sigma, 0.15 * rows):
            from_numeric = profile.columns[first].is_ordered and not profile.columns[second].is_ordered
            accepted.append((from_numeric, -float(score), first, second))
    return accepted


def _choose(
    accepted: list[tuple[bool, float, int, int]], profile: Profile, before: Sequence[tuple[int, int, int]] = ()
) -> list[tuple[int, int, int]]:
    """(determinant, dependent, dropped) of each accepted pair, after those chosen before; no column is both dropped and a parent."""
    chosen = list(before)
    dropped = {drop for _, _, drop in chosen}
    parents = {first + second - drop for first, second, drop in chosen}
    for _, _, first, second in sorted(accepted):
        is_fine = _is_long_list(profile.columns[first], profile.columns[second].codes)
        drop, parent = (first, second) if is_fine else (second, first)
        if drop in dropped or parent in dropped or drop in parents:
            continue
        chosen.append((first, second, drop))
        dropped.add(drop)
        parents.add(parent)
    return chosen


def _is_confirmed(table: Floats, sigma: float, rows: float) -> bool:
    """Whether the measured table itself shows a function: its largest cells hold all rows but 3 % and the noise.

    The screen's noise grows with the number of pairs, so that many columns let near-functions of 90 % through.
    """
    return float(table.max(axis=1).sum()) > (1 - _LARGEST_MISFIT) * rows - 2 * sigma * float(np.sqrt(len(table)))


def _is_long_list(determinant: ColumnProfile, codes: int) -> bool:
    """Whether the determinant is better drawn from the dependent: a long list of categories, whose own pairs would be noise.

    A scale or a moment keeps its other relations only where it stays in the field, and it has few codes.
    """
    return not determinant.is_ordered and determinant.codes > max(2 * codes, _LONG_LIST_CODES)


def _without_noise(table: Floats, sigma: float) -> Floats:
    """A noisy table with the cells that may be all noise set to zero; each row keeps at least its largest."""
    kept = np.where(table > max(3.0, np.sqrt(2 * np.log(table.size))) * sigma, table, 0.0)
    empty = kept.sum(1) <= 0
    kept[empty] = table[empty] >= table[empty].max(axis=1, keepdims=True)
    return kept


def _as_function(kept: Floats, table: Floats, determinant: ColumnProfile) -> Floats:
    """The table of a declared function: every single value of the determinant has one value, its most frequent one.

    Codes that stand for several values (bins, groups of rare ones, the undiscovered rest) and null keep their distribution.
    """
    if not isinstance(determinant, CategoryProfile):
        return kept
    single = np.zeros(len(table), dtype=bool)
    single[: determinant.known] = np.bincount(determinant.group_of, minlength=determinant.known) == 1
    function = np.arange(table.shape[1]) == table.argmax(1)[:, None]
    return np.where(single[:, None], function * np.maximum(kept.sum(1, keepdims=True), 1e-9), kept)


def _dependency(kept: Floats, columns: tuple[int, int, int], profile: Profile, *, is_exact: bool) -> Dependency:
    """The conditional of the dropped column, from a table without noise; an exact one has impossible codes of the parent."""
    determinant, dependent, dropped = columns
    kept = _raked(kept, profile.shares(determinant), profile.shares(dependent))
    conditional = kept / kept.sum(1, keepdims=True)
    if dropped == dependent:
        return Dependency(dropped, determinant, conditional)
    joint = (conditional * profile.shares(determinant)[:, None]).T
    orphans = np.flatnonzero(joint.sum(1) <= 0)
    joint[orphans] = profile.shares(determinant)
    impossible = tuple(orphans.tolist()) if is_exact else ()
    return Dependency(dropped, dependent, joint / joint.sum(1, keepdims=True), impossible)


def _raked(table: Floats, rows: Floats, columns: Floats) -> Floats:
    """The table scaled to the released one-ways of its columns (iterative proportional fitting), its zeros kept.

    A noisy table with its small cells cut off has lost more of the rare values than of the frequent ones.
    """
    for _ in range(_RAKING_SWEEPS):
        sums = table.sum(0)
        table = table * np.where(sums > 0, columns / np.maximum(sums, 1e-12), 0.0)
        sums = table.sum(1)
        table = np.where(
            sums[:, None] > 1e-9 * rows[:, None], table * (rows / np.maximum(sums, 1e-300))[:, None], table
        )
    return np.maximum(table, 1e-300 * (table > 0))
