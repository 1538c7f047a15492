"""What an epoch of the above-threshold mode watches: tables of a release, and the threshold that keeps false alarms rare.

A table's excess (`privacy.answer.WatchedTable`) is its distance from the released shares, in people, less what chance and the noise of the
release make of it where nothing changed,

    D(n) = ½ Σ √(2/π) √(n v + n² (v/n₀ + σ²/n₀²)),        v = p(1 − p),

for n fresh people where the release counted n₀ with noise σ. D is concave in n, so its tangent at n₀ is above it at every n: what is taken
off is linear in n, which one person moves by its slope. So nobody has to know n, and no budget goes into counting it.

Everything here is post-processing of released values.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.drift.baseline import Baseline, ReleasedPair, choose_pairs
from synth_pipeline.drift.coarse import coarsened, grouped_codes
from synth_pipeline.privacy.answer import SHARE_PARTS, WatchedTable
from synth_pipeline.privacy.mechanisms.above_threshold import question_scale, threshold_scale
from synth_pipeline.spec.sections import Drift
from synth_pipeline.table.profile import ColumnProfile, Floats, Profile

SNAPSHOTS = 52
"""Snapshots of an epoch over which the chance of a false alarm is at most alpha: a year of weeks."""

SIZES = (0.5, 1.0, 2.0)
"""Fresh people per released person for which that is so."""

_LEAST_OF_PAIR = 0.05
_LEAST_PEOPLE, _LEAST_SIGMAS = 20.0, 3.0
_SPREADS = 2.5
_EPOCHS = 1000
_CONFIDENCE = 0.99
_SMALLEST_SEEN = 0.02
_TAIL_MARGIN = 1.25
_FOLDED_MEAN = math.sqrt(2 / math.pi)


@dataclass(frozen=True, eq=False)
class ReleasedTable:
    """A released table as the watch sees it.

    Attributes:
        columns: indices of its columns.
        labels: cell of each code or combination of codes.
        shares: released share of each cell.
        sigma: noise of each share.
        people: how many were counted, with noise.
        name: what the table is.
    """

    columns: tuple[int, ...]
    labels: npt.NDArray[np.int64]
    shares: Floats
    sigma: Floats
    people: float
    name: str

    @property
    def variances(self) -> tuple[Floats, Floats]:
        """Variance of a cell's people in fresh ones: the part that grows with their number, and the part that grows with its square."""
        chance = self.shares * (1 - self.shares)
        return chance, chance / self.people + self.sigma**2


@dataclass(frozen=True, eq=False)
class Watched:
    """What an epoch watches.

    Attributes:
        released: the released tables.
        tables: the same as the curator is asked about them.
    """

    released: tuple[ReleasedTable, ...]
    tables: tuple[WatchedTable, ...]

    @property
    def reach(self) -> int:
        """Most that one person moves the largest excess, in parts of 2·SHARE_PARTS of a person."""
        return max(table.reach for table in self.tables)

    def threshold(self, *, epsilon: float, alpha: float, snapshots: int = SNAPSHOTS) -> int:
        """The excess that is an alarm, in the same parts.

        Args:
            epsilon: pure ε of the epoch.
            alpha: chance of a false alarm in an epoch of so many snapshots.
            snapshots: how many.
        """
        people = _threshold(self.released, self.tables, epsilon=epsilon, alpha=alpha, snapshots=snapshots)
        return math.ceil(people * 2 * SHARE_PARTS)


def watch(baseline: Baseline, drift: Drift) -> Watched:
    """What to watch for a release: all columns but those that are expected to move, and its most dependent pairs."""
    released = released_tables(baseline, drift)
    return Watched(released, tuple(_watched(table) for table in released))


def released_tables(baseline: Baseline, drift: Drift) -> tuple[ReleasedTable, ...]:
    """The released columns and the most dependent pairs, over cells that hold enough people to be watched."""
    profile = baseline.profile
    columns = [
        _one_way(profile, index, column)
        for index, column in enumerate(profile.columns)
        if not baseline.is_expected_to_move(index, drift.ignore)
    ]
    pairs = [_pair(pair, profile) for pair in choose_pairs(baseline, drift.pairs, drift.ignore)]
    found = tuple(table for table in (*columns, *pairs) if len(table.shares) > 1)
    return found or tuple(columns[:1]) or (_one_way(profile, 0, profile.columns[0]),)


def _one_way(profile: Profile, index: int, column: ColumnProfile) -> ReleasedTable:
    people = max(profile.rows, 1.0)
    least = _least_share(people, float(column.sigma.max()))
    labels = grouped_codes(column, profile.shares(index), least=least)
    shares, noise = _merged(labels, column.counts, column.sigma, people)
    return ReleasedTable((index,), labels, shares, noise, people, column.name)


def _pair(pair: ReleasedPair, profile: Profile) -> ReleasedTable:
    people = max(pair.rows, 1.0)
    least = max(_LEAST_OF_PAIR, _least_share(people, float(np.mean(pair.sigma))))
    coarse = coarsened(pair, profile, least=least)
    part = coarse.partition
    shares, noise = _merged(np.arange(part.size), coarse.values, coarse.sigma, people)
    return ReleasedTable((part.first, part.second), part.labels, shares, noise, people, f"{pair.first} × {pair.second}")


def _least_share(people: float, sigma: float) -> float:
    """Share of the people that a cell should hold: three times the noise of the release, and 20 people."""
    return max(_LEAST_PEOPLE, _LEAST_SIGMAS * sigma) / people


def _merged(groups: npt.NDArray[np.int64], counts: Floats, sigma: Floats, people: float) -> tuple[Floats, Floats]:
    """Share of each group of cells, and the noise of it."""
    merged = np.maximum(np.bincount(groups, weights=counts), 0.5)
    return merged / merged.sum(), np.sqrt(np.bincount(groups, weights=sigma**2)) / people


def _watched(table: ReleasedTable) -> WatchedTable:
    people = table.people
    linear, square = table.variances
    root = np.sqrt(people * linear + people**2 * square)
    mean = _FOLDED_MEAN / 2 * float(root.sum())
    growth = _FOLDED_MEAN / 2 * float(((linear + 2 * people * square) / (2 * root)).sum())
    more = 1 + _SPREADS * _relative_spread(table)
    slope = math.ceil(more * growth * 2 * SHARE_PARTS)
    offset = math.ceil(more * (mean - growth * people) * 2 * SHARE_PARTS)
    return WatchedTable(table.columns, table.labels, _whole_parts(table.shares), slope, offset, table.name)


def _relative_spread(table: ReleasedTable) -> float:
    """Standard deviation of the distance over its mean, where nothing changed."""
    fresh, old = _errors(table, np.random.default_rng(0), epochs=_EPOCHS, snapshots=1)
    distances = np.abs(fresh[:, 0] / math.sqrt(table.people) - old).sum(axis=1)
    return float(distances.std() / distances.mean())


def _whole_parts(shares: Floats) -> tuple[int, ...]:
    """Shares as whole parts that sum to SHARE_PARTS; the largest takes what rounding leaves."""
    parts = np.floor(shares * SHARE_PARTS).astype(np.int64)
    parts[int(np.argmax(parts))] += SHARE_PARTS - int(parts.sum())
    return tuple(int(part) for part in parts)


def _errors(table: ReleasedTable, rng: np.random.Generator, *, epochs: int, snapshots: int) -> tuple[Floats, Floats]:
    """Chance and noise where nothing changed: √n × the error of each fresh share, and the error of the released ones.

    Shapes:
        (epochs, snapshots, cells) and (epochs, cells).
    """
    root = np.sqrt(table.shares)
    fresh = rng.standard_normal((epochs, snapshots, len(root)), dtype=np.float32) * root.astype(np.float32)
    fresh -= table.shares.astype(np.float32) * fresh.sum(axis=2, keepdims=True)
    old = rng.standard_normal((epochs, len(root))) * root
    old = (old - table.shares * old.sum(axis=1, keepdims=True)) / math.sqrt(table.people)
    noise = rng.standard_normal((epochs, len(root))) * table.sigma
    return fresh, old + noise - table.shares * noise.sum(axis=1, keepdims=True)


def _threshold(
    released: Sequence[ReleasedTable], tables: Sequence[WatchedTable], *, epsilon: float, alpha: float, snapshots: int
) -> float:
    """The excess, in people, that the largest one of an epoch without any change passes with a chance of at most alpha.

    From simulated epochs at each of `SIZES`, tables taken as independent of one another, with the noise of both sides; the quantile is
    an upper confidence bound. The seed is fixed: released facts give one threshold.
    """
    rng = np.random.default_rng(0)
    largest = np.full((len(SIZES), _EPOCHS, snapshots), -np.inf)
    for table, watched in zip(released, tables, strict=True):
        fresh, old = _errors(table, rng, epochs=_EPOCHS, snapshots=snapshots)
        for place, size in enumerate(SIZES):
            people = size * table.people
            gaps = fresh / np.float32(math.sqrt(people)) - old[:, None].astype(np.float32)
            distance = people / 2 * np.abs(gaps).sum(axis=2)
            excess = distance - (watched.slope * people + watched.offset) / (2 * SHARE_PARTS)
            np.maximum(largest[place], excess, out=largest[place])
    unit = 2 * SHARE_PARTS
    reach = max(table.reach for table in tables)
    question = rng.laplace(scale=question_scale(epsilon, reach) / unit, size=(_EPOCHS, snapshots))
    threshold = rng.laplace(scale=threshold_scale(epsilon, reach) / unit, size=_EPOCHS)
    reached = (largest + question).max(axis=2) - threshold
    return max(_upper_quantile(drawn, alpha, scale=question_scale(epsilon, reach) / unit) for drawn in reached)


def _upper_quantile(drawn: Floats, alpha: float, *, scale: float) -> float:
    """The value that is passed with a chance of at most alpha: an upper confidence bound from draws, and beyond them an exponential tail.

    The law is log-concave in its tail, so its mean excess falls and an exponential with the mean excess at the last quantile is above it.

    Args:
        drawn: independent draws.
        alpha: the chance.
        scale: scale of the largest Laplace noise in them; the tail is not taken to be shorter.
    """
    from scipy.stats import binom

    ordered, seen = np.sort(drawn), max(alpha, _SMALLEST_SEEN)
    rank = int(binom.ppf(_CONFIDENCE, len(drawn), 1 - seen))
    excess = float(np.mean(ordered[rank:] - ordered[rank]))
    return float(ordered[rank]) + max(scale, _TAIL_MARGIN * excess) * math.log(seen / alpha)
