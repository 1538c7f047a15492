"""What a refresh takes over from an earlier release: its noisy tables and dependencies, as far as their columns did not change.

A table of two unchanged columns is a measurement of the fresh rows too, less certain than it was. Its cells are moved to the fresh one-ways
(what one-ways say about a pair is known better from the fresh snapshot), scaled to the fresh number of rows, and their variance is that of
the old noise and of chance, for it was counted on other people of the same population:

    Var = (σ r f)² + n p (1 + r),     r = n / n₀,  f the move of the cell,  p its share.

The first round of selection compares the model of these tables with the fresh rows. A pair that is farther off than noise and chance
explain has drifted in its association alone, which no test of single columns sees: its tables' variance grows by the size of the error, and
where that is far more than expected they are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.maxent.dependency import Dependency, KeptDependencies, full_partition
from synth_pipeline.generate.maxent.fit import Measurement
from synth_pipeline.generate.maxent.select import PairJoints, Round
from synth_pipeline.generate.measured import MeasuredPair
from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.privacy.curator import EncodedView
from synth_pipeline.table.encoded import Domain
from synth_pipeline.table.profile import CategoryProfile, Profile

KEPT_SHARE = 0.4
_MOST_MOVE = 5.0
_MOST_OF_A_PAIR = 3
_DOUBTED, _DRIFTED = 1.2, 1.6
_LARGEST_MISFIT = 0.03
_SURE_SIGMAS = 3.0
_MEAN_NOISE = float(np.sqrt(2 / np.pi))
_FULL = "level 0"


@dataclass(frozen=True, eq=False)
class Earlier:
    """What an earlier release tells about a fresh snapshot.

    Attributes:
        tables: noisy tables over the fresh domain, in fresh rows.
        dependencies: columns that were drawn from others, over the fresh domain.
        changed: columns of the fresh domain that were measured anew.
    """

    tables: tuple[Measurement, ...]
    dependencies: tuple[Dependency, ...]
    changed: frozenset[int]


@dataclass(frozen=True, eq=False)
class EarlierModel:
    """The earlier generator, as far as a refresh reads it.

    Attributes:
        domain: its encoded columns.
        measured: its noisy tables.
        dependencies: columns that it draws from others.
        joints: its pair marginals over its active columns, by its domain indices.
    """

    domain: Domain
    measured: tuple[MeasuredPair, ...]
    dependencies: tuple[Dependency, ...]
    joints: PairJoints


def take_over(model: EarlierModel, profile: Profile, changed: frozenset[str]) -> Earlier:
    """What of an earlier generator is used for a fresh snapshot.

    Args:
        model: the earlier generator.
        profile: the fresh snapshot's profile, unchanged columns on the codes of the earlier release.
        changed: names of the columns that were measured anew.
    """
    places = unchanged_places(model.domain, profile, changed)
    numbers = count(1)
    tables = [
        _moved(item, (places[item.first], places[item.second]), model.joints, profile, numbers)
        for item in _most_telling(model.measured)
        if item.first in places and item.second in places
    ]
    kept = tuple(
        replace(item, column=places[item.column], parent=places[item.parent])
        for item in model.dependencies
        if item.column in places and item.parent in places
    )
    fresh = frozenset(range(len(profile.columns))) - frozenset(places.values())
    return Earlier(tuple(tables), kept, fresh)


def unchanged_places(domain: Domain, profile: Profile, changed: frozenset[str]) -> dict[int, int]:
    """Index in a fresh profile of each column of an earlier domain that did not change; the parts of a changed moment did."""
    columns = {column.name: (place, column) for place, column in enumerate(profile.columns)}
    places: dict[int, int] = {}
    for index, (name, size) in enumerate(zip(domain.names, domain.sizes, strict=True)):
        if name not in columns or columns[name][1].codes != size:
            continue
        place, column = columns[name]
        parent = column.part_of if isinstance(column, CategoryProfile) else None
        if name not in changed and parent not in changed:
            places[index] = place
    return places


def kept_dependencies(
    view: EncodedView, profile: Profile, prior: Earlier, *, cost: float
) -> tuple[KeptDependencies, float]:
    """The earlier dependencies that the fresh rows still obey, and the cost of asking.

    Privacy:
        One noisy distance a dependency, between the fresh rows and what the released dependency expects of them; sensitivity 1 a row each.
    """
    items = prior.dependencies
    if not items:
        return KeptDependencies((), prior.changed), 0.0
    rows = max(profile.rows, 1.0)
    expected = [rows * profile.shares(item.parent)[:, None] * item.conditional for item in items]
    noisy = view.pair_errors(
        [full_partition(item.parent, item.column, view.domain.sizes) for item in items],
        [np.rint(table).astype(np.int64).reshape(-1) for table in expected],
        cost=cost,
        stage="generator",
        purpose="functional dependencies of the release before: errors",
    )
    kept: list[Dependency] = []
    open_columns = set(prior.changed)
    for item, table, error in zip(items, expected, noisy.values, strict=True):
        chance = _chance(table, 2.0) + _MEAN_NOISE * float(profile.columns[item.parent].sigma.sum())
        if error <= chance + 2 * _LARGEST_MISFIT * rows + _SURE_SIGMAS * noisy.sigma:
            kept.append(item)
        else:
            open_columns |= {item.column, item.parent}
    return KeptDependencies(tuple(kept), frozenset(open_columns)), cost


def doubted(
    tables: dict[str, Measurement], found: Round, *, rows: float
) -> tuple[dict[str, Measurement], tuple[tuple[int, int], ...]]:
    """The earlier tables but for those of pairs that the first round says have drifted; and which pairs are farther off than expected.

    Args:
        tables: earlier tables by key, in fresh rows.
        found: the first round, whose errors are those of a model of the earlier tables.
        rows: noisy number of fresh rows.
    """
    factors: dict[tuple[int, int], float] = {}
    largest: dict[tuple[int, int], float] = {}
    noise: dict[tuple[int, int], float] = {}
    for item in tables.values():
        pair = item.partition.first, item.partition.second
        noise[pair] = min(noise.get(pair, np.inf), _MEAN_NOISE * float(item.noise.sum()))
    for candidate, error in zip(found.candidates, found.errors, strict=True):
        if candidate.pair in noise:
            expected = np.hypot(_chance(rows * candidate.model, 1.0), noise[candidate.pair])
            factor = (float(error) - _SURE_SIGMAS * found.sigma) / max(float(expected), 1.0)
            factors[candidate.pair] = max(factor, factors.get(candidate.pair, 1.0))
            largest[candidate.pair] = max(float(error), largest.get(candidate.pair, 0.0))
    left: dict[str, Measurement] = {}
    for key, item in tables.items():
        pair = item.partition.first, item.partition.second
        factor = factors.get(pair, 1.0)
        if factor < _DRIFTED:
            left[key] = item if factor <= _DOUBTED else _widened(item, largest[pair])
    return left, tuple(sorted(pair for pair, factor in factors.items() if factor > _DOUBTED))


def _widened(item: Measurement, error: float) -> Measurement:
    """A table that may be off by a distance in all, spread over its cells as their counts' scatter is."""
    scatter = np.sqrt(np.maximum(item.values, item.noise))
    sigmas = np.hypot(item.noise, error / _MEAN_NOISE * scatter / scatter.sum())
    return replace(item, sigma=float(np.sqrt(np.mean(sigmas**2))), sigmas=sigmas)


def _most_telling(measured: Sequence[MeasuredPair]) -> list[MeasuredPair]:
    """The tables, of each pair no more than the three that tell most, so that a chain of refreshes does not gather them without end."""
    left: dict[tuple[int, int], int] = {}
    kept: list[MeasuredPair] = []
    for item in sorted(measured, key=lambda item: -float((item.noise**-2).sum())):
        pair = item.first, item.second
        left[pair] = left.get(pair, _MOST_OF_A_PAIR) - 1
        if left[pair] >= 0:
            kept.append(item)
    return kept


def _moved(
    item: MeasuredPair, pair: tuple[int, int], joints: PairJoints, profile: Profile, numbers: "count[int]"
) -> Measurement:
    """A table in fresh rows, its cells moved to the fresh one-ways; over the fresh domain's indices."""
    rows, labels = max(profile.rows, 1.0), item.labels.reshape(-1)
    scale = rows / max(item.rows, 1.0)
    joint = np.maximum(joints.joint(item.first, item.second), 1e-12)
    joint = joint / joint.sum()
    ratios = [
        np.clip(profile.shares(place) / joint.sum(1 - axis), 1 / _MOST_MOVE, _MOST_MOVE)
        for axis, place in enumerate(pair)
    ]
    tilted = joint * ratios[0][:, None] * ratios[1][None, :]
    before = np.bincount(labels, weights=joint.reshape(-1), minlength=item.size)
    share = np.bincount(labels, weights=tilted.reshape(-1) / tilted.sum(), minlength=item.size)
    move = np.clip(share / np.maximum(before, 1e-12), 1 / _MOST_MOVE, _MOST_MOVE)
    variance = (item.noise * scale * move) ** 2 + (1 + scale) * rows * share
    name = item.name if item.name == _FULL else f"earlier table {next(numbers)}"
    part = PairPartition(pair[0], pair[1], item.labels, item.size, name)
    if pair[0] > pair[1]:
        part = PairPartition(pair[1], pair[0], np.ascontiguousarray(item.labels.T), item.size, name)
    sigmas = np.sqrt(variance)
    return Measurement(part, item.values * scale * move, float(np.sqrt(variance.mean())), sigmas)


def _chance(expected: npt.NDArray[np.floating], samples: float) -> float:
    """Mean distance of counts from what is expected of them, by chance alone."""
    return float(np.minimum(_MEAN_NOISE * np.sqrt(samples * expected), 2 * expected).sum())
