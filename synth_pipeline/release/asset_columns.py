"""Column lineage from asset to asset: which columns of what came before each column of an asset is made from, by the specification alone.

One source for Dagster's column lineage and OpenLineage's. Every name here is public; what passes through noise is marked as masked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from synth_pipeline.constrain.rules import Rules
from synth_pipeline.spec import Spec

SOURCE = "source"
"""Where snapshots arrive; no asset of ours."""

WITH_COLUMNS = ("real_snapshot", "drift_report", "profile", "generator", "synthetic_table", "release")
"""The assets of a walk that have columns."""


@dataclass(frozen=True)
class ColumnLink:
    """A column that another is made from.

    Attributes:
        asset: the asset (or `SOURCE`) that it belongs to.
        column: its name.
        is_direct: whether it is the column itself, not one that only conditions or confines it.
        subtype: how, in the words of OpenLineage.
        words: the same in a sentence.
        is_masked: whether noise of a DP mechanism lies between.
    """

    asset: str
    column: str
    is_direct: bool
    subtype: str
    words: str
    is_masked: bool


@dataclass(frozen=True)
class AssetColumns:
    """What the columns of an asset are made from.

    Attributes:
        columns: for each of its columns.
        whole: columns that every one of them hangs on.
    """

    columns: Mapping[str, tuple[ColumnLink, ...]]
    whole: tuple[ColumnLink, ...] = field(default=())


def asset_columns(spec: Spec, asset: str) -> AssetColumns | None:
    """What the columns of an asset are made from; None for an asset without columns.

    Args:
        spec: the dataset's specification.
        asset: name of the asset.
    """
    make = _MADE.get(asset)
    return None if make is None else make(spec)


def _real_snapshot(spec: Spec) -> AssetColumns:
    read = [*spec.modelled, *([spec.privacy.unit.column] if spec.privacy.unit.column else [])]
    return AssetColumns({name: (_same(SOURCE, name, "read as it is"),) for name in spec.columns if name in read})


def _counted(spec: Spec) -> AssetColumns:
    return AssetColumns({name: (_noised(name),) for name in spec.modelled})


def _generator(spec: Spec) -> AssetColumns:
    words = "through the joint model of all columns"
    own = {name: (_noised(name), _same("profile", name, "in the codes of the profile")) for name in spec.modelled}
    whole = tuple(ColumnLink("real_snapshot", name, False, "CONDITIONAL", words, True) for name in spec.modelled)
    return AssetColumns(own, whole)


def _synthetic_table(spec: Spec) -> AssetColumns:
    predicates = Rules.from_spec(spec).predicates
    made: dict[str, tuple[ColumnLink, ...]] = {}
    for name in spec.columns:
        if name in spec.identifiers:
            made[name] = ()  # invented, from nothing
            continue
        ruled = {other for rule in predicates if name in rule.columns for other in rule.columns if other != name}
        parent = spec.determined.get(name)
        links = [ColumnLink("generator", name, True, "TRANSFORMATION", "sampled and decoded", False)]
        if parent is not None:
            links.append(
                ColumnLink("generator", parent, False, "CONDITIONAL", "declared to be a function of it", False)
            )
        links += [
            ColumnLink("generator", other, False, "FILTER", "confined by a rule of the owner", False)
            for other in sorted(ruled - {parent})
        ]
        made[name] = tuple(links)
    return AssetColumns(made)


def _release(spec: Spec) -> AssetColumns:
    return AssetColumns({name: (_same("synthetic_table", name, "as it is"),) for name in spec.columns})


def _same(asset: str, column: str, words: str) -> ColumnLink:
    return ColumnLink(asset, column, True, "IDENTITY", words, False)


def _noised(column: str) -> ColumnLink:
    return ColumnLink("real_snapshot", column, True, "AGGREGATION", "counted under differential privacy", True)


_MADE = {
    "real_snapshot": _real_snapshot,
    "drift_report": _counted,
    "profile": _counted,
    "generator": _generator,
    "synthetic_table": _synthetic_table,
    "release": _release,
}
