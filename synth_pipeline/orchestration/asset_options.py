"""What every asset of a dataset has in common: names, partitions, stores, and the gate for its metadata."""

from typing import Any, TypeAlias

import dagster as dg

from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.keys import PRIVATE_IO, RELEASED_IO, AssetName, DatasetKeys
from synth_pipeline.orchestration.metadata import Gate
from synth_pipeline.spec import Spec

# Dagster reads the annotation of what an asset returns, and knows this class without a parameter only.
Result: TypeAlias = dg.MaterializeResult  # pyright: ignore[reportMissingTypeArgument]

PRIVATE_ASSETS: tuple[AssetName, ...] = ("real_snapshot", "tstr_benchmark")


def asset_options(spec: Spec, name: AssetName, *, kinds: set[str], description: str) -> dict[str, Any]:
    """Arguments of `dagster.asset`."""
    keys = DatasetKeys(spec.dataset)
    is_private = name in PRIVATE_ASSETS
    return {
        "key": keys.asset(name),
        "partitions_def": keys.partitions,
        "group_name": spec.dataset,
        "kinds": kinds,
        "tags": {"zone": "private" if is_private else "released"},
        "io_manager_key": PRIVATE_IO if is_private else RELEASED_IO,
        "dagster_type": dg.Any,
        "description": description,
        "code_version": spec.digest[:12],
    }


def upstream(spec: Spec, *names: AssetName) -> dict[str, dg.AssetIn]:
    """Arguments of an asset's function that are values of the dataset's other assets."""
    keys = DatasetKeys(spec.dataset)
    return {name: dg.AssetIn(key=keys.asset(name), dagster_type=dg.Any) for name in names}


def gate(home: Home, context: dg.AssetExecutionContext) -> Gate:
    """The gate for the metadata of the asset and snapshot that are running."""
    dataset, name = context.asset_key.path
    return Gate(home.private, (dataset, context.partition_key, f"{name}.internal"))
