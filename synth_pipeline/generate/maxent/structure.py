"""Structural zeros: pairs of codes that a dataset's rules forbid, as factors of the field that no noise can move.

A rule such as `if age < 16 then marital_status = 'Never-married'` is a public fact. Where no allowed combination of regions holds two
codes together, their factor is (all but) −∞ from the start, so that the field is fitted to the noisy tables *given* the rules, and
the chains never sit where no real row can. What a pair of codes cannot express (bins that straddle a border, rules over three columns)
is left to the condition under which rows are drawn.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from synth_pipeline.encode.condition import Condition, SubDomain, compile_condition
from synth_pipeline.generate.maxent.field import Field
from synth_pipeline.table.profile import Profile
from synth_pipeline.table.region import RegionTable

FORBIDDEN = -1000.0
"""Log-factor of what cannot be: finite, so that a chain that starts there can leave."""


def forbid(field: Field, rules: Sequence[RegionTable], profile: Profile, active: Sequence[int]) -> int:
    """Give the forbidden codes and pairs of codes of a field their factors, in place; returns how many pairs of codes there are.

    Args:
        field: the field over the active columns.
        rules: the rules as tables of allowed regions.
        profile: the released profile.
        active: domain index of each column of the field.
    """
    places = {index: position for position, index in enumerate(active)}
    forbidden = 0
    for table in rules:
        condition = compile_condition(table, profile, where="constraints")
        sizes = [profile.columns[sub.column].codes for sub in condition.subdomains]
        members = [_members(sub, size) for sub, size in zip(condition.subdomains, sizes, strict=True)]
        for axis, sub in enumerate(condition.subdomains):
            if sub.column in places:
                possible = members[axis] @ _projected(condition, (axis,)) > 0
                forbid_codes(field, places[sub.column], np.flatnonzero(~possible))
        for first, second in combinations(range(len(members)), 2):
            columns = [condition.subdomains[axis].column for axis in (first, second)]
            if all(column in places for column in columns):
                possible = members[first] @ _projected(condition, (first, second)) @ members[second].T > 0
                forbidden += _forbid_pairs(field, places[columns[0]], places[columns[1]], ~possible)
    return forbidden


def forbid_codes(field: Field, position: int, codes: npt.ArrayLike) -> None:
    """Give some codes of the column at a position of the field the factor of what cannot be, in place."""
    field.bias[field.domain.offsets[position] + np.asarray(codes, dtype=np.int64)] = FORBIDDEN


def _members(sub: SubDomain, codes: int) -> npt.NDArray[np.int64]:
    """Which regions a code meets, codes × regions (0/1)."""
    found = np.zeros((codes, int(sub.region.max()) + 1), dtype=np.int64)
    found[sub.parent, sub.region] = 1
    return found


def _projected(condition: Condition, axes: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Which combinations of the regions of some axes are allowed together with something on all others (0/1)."""
    others = tuple(axis for axis in range(condition.allowed.ndim) if axis not in axes)
    allowed = np.asarray(condition.allowed.any(axis=others))
    widths = [int(condition.subdomains[axis].region.max()) + 1 for axis in axes]
    return allowed[tuple(slice(0, width) for width in widths)].astype(np.int64)


def _forbid_pairs(field: Field, first: int, second: int, impossible: npt.NDArray[np.bool_]) -> int:
    rows, columns = np.nonzero(impossible)
    starts = field.domain.offsets
    field.weights[starts[first] + rows, starts[second] + columns] = FORBIDDEN
    field.weights[starts[second] + columns, starts[first] + rows] = FORBIDDEN
    return len(rows)
