"""Column lineage as Dagster keeps it: `dagster/column_lineage` on every asset of a walk that has columns.

Dagster's open-source page does not draw it; `synth-pipeline lineage` does. Names of columns are public, so all of it is.
"""

import dagster as dg

from synth_pipeline.orchestration.keys import ASSET_NAMES, AssetName, DatasetKeys
from synth_pipeline.orchestration.metadata import Entry
from synth_pipeline.privacy.gate import Released
from synth_pipeline.release.asset_columns import ColumnLink, asset_columns
from synth_pipeline.spec import Spec

COLUMN_LINEAGE = "dagster/column_lineage"
MOST_LINKS = 10_000
"""So many links of an asset are written down; where the joint model would need more, each column's own are."""


def column_lineage(spec: Spec, asset: AssetName) -> dict[str, Entry]:
    """The entry of an asset's metadata; none for an asset without columns.

    Args:
        spec: the dataset's specification.
        asset: name of the asset.
    """
    made = asset_columns(spec, asset)
    if made is None:
        return {}
    whole = made.whole if len(made.columns) * len(made.whole) <= MOST_LINKS else ()
    keys = DatasetKeys(spec.dataset)
    lineage = dg.TableColumnLineage(
        {name: _deps(keys, (*links, *whole)) for name, links in made.columns.items()},
    )
    return {COLUMN_LINEAGE: Released(dg.MetadataValue.column_lineage(lineage))}


def _deps(keys: DatasetKeys, links: tuple[ColumnLink, ...]) -> list[dg.TableColumnDep]:
    """Each column once, of assets alone: where snapshots arrive is none."""
    found: dict[tuple[AssetName, str], None] = {
        (name, link.column): None for link in links for name in ASSET_NAMES if name == link.asset
    }
    return [dg.TableColumnDep(asset_key=keys.asset(name), column_name=column) for name, column in found]
