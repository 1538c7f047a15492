"""Coarse cells for tables that noise would drown: chosen from released values alone, before anything is asked."""

import numpy as np
import numpy.typing as npt

from synth_pipeline.drift.baseline import ReleasedPair, expected_people
from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.table.profile import ColumnProfile, Floats, Profile

_MOST_CELLS, _FEWEST_CELLS = 64, 4
_MOST_GROUPS, _FEWEST_GROUPS = 10, 4
_LARGEST_LEAST = 0.05

Map = npt.NDArray[np.int64]


def grouped_codes(column: ColumnProfile, shares: Floats, *, least: float) -> Map:
    """Group of each code, so that each group is expected to hold at least a share `least` of the people; 4 to 10 groups of values.

    Neighbours are put together where codes are ordered, the rare ones where they are not. Null, and the rest of a discovered column, stay
    alone.

    Args:
        column: the released profile of the column.
        shares: its released distribution over the codes.
        least: the share.
    """
    alone = int(column.nullable)
    values = column.codes - alone
    count = int(np.clip(1 / max(least, 1e-9), _FEWEST_GROUPS, _MOST_GROUPS))
    if values <= count:
        return np.arange(column.codes, dtype=np.int64)
    part = shares[:values] / shares[:values].sum()
    if column.is_ordered:
        middle = np.cumsum(part) - part / 2
        groups = np.unique(np.minimum((middle * count).astype(np.int64), count - 1), return_inverse=True)[1].reshape(-1)
    else:
        groups = np.full(values, count - 1, dtype=np.int64)
        groups[np.argsort(-part, kind="stable")[: count - 1]] = np.arange(count - 1)
    return np.append(groups, [groups.max() + 1] * alone).astype(np.int64)


def coarsened(pair: ReleasedPair, profile: Profile, *, least: float) -> ReleasedPair:
    """The pair's table over cells each of which is expected to hold at least a share `least` of the people, 4 to 64 cells.

    Cells are put together with their neighbours: the set of cells is cut at its median along one column, then along the other, and so on,
    as long as both halves are heavy enough. Heavy enough by the product of released one-ways, not by the table's own values: what is
    put together then does not hang on the noise that is compared afterwards.

    Args:
        pair: the released table.
        profile: the released profile that gives the one-ways.
        least: the share.

    Privacy:
        Post-processing of released values.
    """
    mass = expected_people(pair, profile) / max(profile.rows, 1.0)
    centres = _centres(pair.partition, profile)
    groups = np.zeros(pair.partition.size, dtype=np.int64)
    queue, made = [(np.arange(pair.partition.size), 0)], 1
    while queue and made < _MOST_CELLS:
        members, axis = queue.pop(0)
        wanted = least if made >= _FEWEST_CELLS else min(least, _LARGEST_LEAST)
        halves = next(
            (found for way in (axis, 1 - axis) if (found := _halves(members, centres[way], mass, wanted))), None
        )
        if halves is None:
            continue
        groups[halves[1]] = made
        made += 1
        queue += [(half, 1 - axis) for half in halves]
    return pair.merged(groups)


def _halves(members: Map, centre: Floats, mass: Floats, least: float) -> tuple[Map, Map] | None:
    """The members cut where their mass is closest to half, at a place where the centre differs; None where no cut leaves enough."""
    order = members[np.argsort(centre[members], kind="stable")]
    below = np.cumsum(mass[order])
    possible = np.flatnonzero(np.diff(centre[order]) > 1e-12)
    possible = possible[(below[possible] >= least) & (below[-1] - below[possible] >= least)]
    if len(possible) == 0:
        return None
    cut = int(possible[np.argmin(np.abs(below[possible] - below[-1] / 2))]) + 1
    return order[:cut], order[cut:]


def _centres(part: PairPartition, profile: Profile) -> tuple[Floats, Floats]:
    """Mean rank of the codes of each cell along each column: in their order, or by frequency where they have none."""
    shares = (profile.shares(part.first), profile.shares(part.second))
    weights = np.outer(*shares).reshape(-1)
    total = np.maximum(np.bincount(part.labels.reshape(-1), weights=weights, minlength=part.size), 1e-300)
    found: list[Floats] = []
    for axis, index in enumerate((part.first, part.second)):
        column = profile.columns[index]
        order: Map = np.arange(column.codes) if column.is_ordered else np.argsort(-shares[axis], kind="stable")
        middle = np.empty(column.codes)
        middle[order] = np.cumsum(shares[axis][order]) - shares[axis][order] / 2
        spread = np.broadcast_to(middle[:, None] if axis == 0 else middle[None, :], part.labels.shape).reshape(-1)
        found.append(np.bincount(part.labels.reshape(-1), weights=weights * spread, minlength=part.size) / total)
    return found[0], found[1]
