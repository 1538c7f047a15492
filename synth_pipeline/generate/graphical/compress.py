"""Compression: codes too rare to be told from noise share one code of the model.

Source:
    McKenna, Miklau and Sheldon 2021 (MST), §4.2: values whose noisy count is below 3σ are merged before anything else is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.graphical.beliefs import Floats
from synth_pipeline.generate.graphical.estimate import Measurement
from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.table.profile import Profile

Groups = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Compression:
    """Which codes of each column share a code of the model.

    Attributes:
        groups: for each column, the model's code of each code.
        shares: for each column, the share of each code in its group; the shares of a group sum to 1.
    """

    groups: tuple[Groups, ...]
    shares: tuple[Floats, ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of model codes of each column."""
        return tuple(int(groups.max()) + 1 for groups in self.groups)

    def pair(self, first: int, second: int) -> PairPartition:
        """The partition of two columns' joint codes into the model's."""
        sizes = self.sizes
        labels = self.groups[first][:, None] * sizes[second] + self.groups[second][None, :]
        return PairPartition(
            first, second, labels, sizes[first] * sizes[second], f"{sizes[first]} × {sizes[second]} codes"
        )

    def merged(self, column: int, values: Floats) -> Floats:
        """Sums of a column's values over each group."""
        return np.bincount(self.groups[column], weights=values, minlength=self.sizes[column]).astype(np.float64)


def compress(profile: Profile, merge_below: float) -> Compression:
    """Merge the codes of each column whose noisy count is below `merge_below` times its noise; one such code alone stays."""
    groups: list[Groups] = []
    shares: list[Floats] = []
    for index, column in enumerate(profile.columns):
        is_rare = column.counts < merge_below * column.sigma
        own = np.where(is_rare, 0, np.cumsum(~is_rare) - 1)
        group = np.where(is_rare, int((~is_rare).sum()), own).astype(np.int64)
        weights = profile.shares(index)
        groups.append(group)
        shares.append(weights / np.bincount(group, weights=weights)[group])
    return Compression(tuple(groups), tuple(shares))


def draw_member(group: Groups, weight: Floats, wanted: Groups, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """For each wanted group the index of one of its members, drawn by weight.

    Args:
        group: group of each member.
        weight: weight of each member, above 0.
        wanted: groups, each of which has a member.
        rng: source of randomness.
    """
    order = np.argsort(group, kind="stable")
    ends, span = np.cumsum(weight[order]), np.arange(int(group.max()) + 1)
    first = np.searchsorted(group[order], span, side="left")
    last = np.searchsorted(group[order], span, side="right") - 1
    if np.array_equal(first, last):
        return order[first[wanted]]
    start = np.concatenate([[0.0], ends])[first]
    points = start[wanted] + rng.random(len(wanted)) * (ends[last] - start)[wanted]
    return order[np.clip(np.searchsorted(ends, points, side="right"), first[wanted], last[wanted])]


def one_ways(profile: Profile, compression: Compression, columns: Sequence[int] | None = None) -> list[Measurement]:
    """The profile's noisy one-ways as measurements of the model's codes."""
    return [
        Measurement(
            (index,),
            compression.merged(index, profile.columns[index].counts),
            np.sqrt(compression.merged(index, profile.columns[index].sigma ** 2)),
        )
        for index in (range(len(profile.columns)) if columns is None else columns)
    ]
