"""Conditions over encoded rows: a region table seen through a released encoder.

A code of a numeric column is a bin, and a bin may straddle the border of a region (`age < 30` inside the bin 28–33). Such a code is split
into *subcodes*, one a region that it meets, each with the share of the bin's released mass that lies there. Conditioning a model on the
condition is then exact: give subcode s the weight P(code)·share, and keep the combinations of regions that are allowed.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.encode.decode import region_mass
from synth_pipeline.errors import ConstraintError
from synth_pipeline.table.profile import Profile
from synth_pipeline.table.region import Region, RegionTable


@dataclass(frozen=True, eq=False)
class SubDomain:
    """The subcodes of one column that a condition names.

    Attributes:
        column: index of the column in the domain.
        parent: code of each subcode.
        region: region of each subcode.
        log_share: log of the share of the code's mass that lies in the region.
    """

    column: int
    parent: npt.NDArray[np.int64]
    region: npt.NDArray[np.int64]
    log_share: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Condition:
    """A condition over the named columns' regions.

    Attributes:
        subdomains: one a named column.
        allowed: boolean array with one axis a subdomain, over its regions.
    """

    subdomains: tuple[SubDomain, ...]
    allowed: npt.NDArray[np.bool_]


def compile_condition(table: RegionTable, profile: Profile, *, where: str = "condition") -> Condition:
    """The condition that a region table means for encoded rows.

    Raises:
        ConstraintError: if no combination of values satisfies it.
    """
    names = [column.name for column in profile.columns]
    subdomains = [
        _subdomain(profile, names.index(name), regions)
        for name, regions in zip(table.columns, table.regions, strict=True)
    ]
    reachable = _outer(
        [np.isin(np.arange(len(regions)), sub.region) for regions, sub in zip(table.regions, subdomains, strict=True)]
    )
    allowed = table.allowed & reachable
    if not allowed.any():
        raise ConstraintError(f"{where}: no row of the declared domain satisfies it; check the values it compares with")
    return Condition(tuple(subdomains), allowed)


def _subdomain(profile: Profile, index: int, regions: tuple[Region, ...]) -> SubDomain:
    parents: list[int] = []
    labels: list[int] = []
    shares: list[float] = []
    for number, region in enumerate(regions):
        mass = region_mass(profile, index, region)
        met = np.flatnonzero(mass > 0)
        parents += met.tolist()
        labels += [number] * len(met)
        shares += np.log(mass[met]).tolist()
    order = np.argsort(parents, kind="stable")
    return SubDomain(index, np.array(parents)[order], np.array(labels)[order], np.array(shares)[order])


def _outer(masks: list[npt.NDArray[np.bool_]]) -> npt.NDArray[np.bool_]:
    result = np.array(True)
    for mask in masks:
        result = np.logical_and.outer(result, mask)
    return result
