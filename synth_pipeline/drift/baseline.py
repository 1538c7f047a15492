"""The baseline of a drift report: released facts of an earlier snapshot, made ready to be compared with; nothing here is private."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.measured import MeasuredPair
from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.table.profile import CategoryProfile, Floats, Profile

_SEED = 20_240_301


@dataclass(frozen=True, eq=False)
class ReleasedPair:
    """A noisy table of two columns of the profile, as it was released.

    Attributes:
        first: name of one column.
        second: name of the other.
        partition: its cells, over the profile's codes.
        values: noisy people of each cell.
        sigma: standard deviation of the noise of each cell.
        rows: noisy people of the snapshot that it was measured on.
    """

    first: str
    second: str
    partition: PairPartition
    values: Floats
    sigma: Floats
    rows: float

    def merged(self, groups: npt.NDArray[np.int64]) -> "ReleasedPair":
        """The same table over coarser cells: cell k becomes part of cell `groups[k]`."""
        size = int(groups.max()) + 1
        part = self.partition
        return ReleasedPair(
            self.first,
            self.second,
            PairPartition(part.first, part.second, groups[part.labels], size, f"{size} cells"),
            np.bincount(groups, weights=self.values, minlength=size).astype(np.float64),
            np.sqrt(np.bincount(groups, weights=self.sigma**2, minlength=size)),
            self.rows,
        )


@dataclass(frozen=True, eq=False)
class Baseline:
    """What a fresh snapshot is compared with.

    Attributes:
        profile: the released profile.
        pairs: released tables, at most one for each pair of columns.
    """

    profile: Profile
    pairs: tuple[ReleasedPair, ...] = ()

    def is_expected_to_move(self, index: int, ignore: Iterable[str]) -> bool:
        """Whether a column of the profile, or the datetime column that it is a part of, is among those expected to move."""
        column = self.profile.columns[index]
        owner = column.part_of if isinstance(column, CategoryProfile) and column.part_of is not None else column.name
        return owner in tuple(ignore)


def baseline_of(profile: Profile, measured: Sequence[MeasuredPair] = ()) -> Baseline:
    """The baseline that a profile and the tables kept with a generator make.

    Where a pair was measured several times the table with the least noise is taken, of several such the one with most cells.

    Args:
        profile: the released profile.
        measured: noisy tables over the profile's codes; empty where the engine keeps none.
    """
    best: dict[tuple[int, int], MeasuredPair] = {}
    for item in measured:
        key = (min(item.first, item.second), max(item.first, item.second))
        if key not in best or (item.sigma, -item.size) < (best[key].sigma, -best[key].size):
            best[key] = item
    names = [column.name for column in profile.columns]
    pairs = tuple(
        ReleasedPair(names[item.first], names[item.second], item.partition, item.values, item.noise, item.rows)
        for item in best.values()
    )
    return Baseline(profile, pairs)


def choose_pairs(baseline: Baseline, count: int, ignore: Iterable[str] = ()) -> tuple[ReleasedPair, ...]:
    """The most dependent released pairs, none of whose columns is expected to move.

    A pair that looks dependent owes part of that to its noise, and would look changed when it is measured again without that noise. So
    noise η of the same law is drawn: pairs are chosen by y + η, and y − η is what is compared. Their noise is independent, and √2 times as
    large, as the pairs returned say.

    Privacy:
        Post-processing of released tables.
    """
    ignored = tuple(ignore)
    rng = np.random.default_rng(_SEED)
    eligible: list[tuple[float, ReleasedPair]] = []
    for pair in sorted(baseline.pairs, key=lambda item: (item.first, item.second)):
        noise = rng.normal(size=len(pair.values)) * pair.sigma
        indices = (pair.partition.first, pair.partition.second)
        if pair.partition.size > 1 and not any(baseline.is_expected_to_move(index, ignored) for index in indices):
            seen, kept = (
                replace(pair, values=pair.values + sign * noise, sigma=np.sqrt(2) * pair.sigma) for sign in (1, -1)
            )
            eligible.append((dependence(seen, baseline.profile), kept))
    ranked = sorted(eligible, key=lambda item: -item[0])
    return tuple(pair for _, pair in ranked[:count])


def dependence(pair: ReleasedPair, profile: Profile) -> float:
    """Pearson's φ² of a released table against the product of its released one-ways, what noise adds taken off.

    Example: 0 for independent columns on average, 1 for two equal columns of two balanced codes.
    """
    expected = np.maximum(expected_people(pair, profile), 1e-3)
    gaps = (pair.values - expected) ** 2 - pair.sigma**2 - expected
    return float((gaps / (expected + pair.sigma)).sum() / max(pair.rows, 1.0))


def expected_people(pair: ReleasedPair, profile: Profile) -> Floats:
    """People of each cell if the columns were independent, by the released one-ways."""
    part = pair.partition
    product = np.outer(profile.shares(part.first), profile.shares(part.second)) * max(pair.rows, 1.0)
    people = np.bincount(part.labels.reshape(-1), weights=product.reshape(-1), minlength=part.size)
    return people.astype(np.float64)
