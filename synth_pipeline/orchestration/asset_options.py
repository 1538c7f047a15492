"""What every asset of a dataset has in common: names, partitions, stores, and the gate for its metadata."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from synth_pipeline.errors import LedgerError
from synth_pipeline.integrations.run_queue import training_pool
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.keys import PRIVATE_IO, RELEASED_IO, AssetName, DatasetKeys
from synth_pipeline.orchestration.lineage_events import lineage_run_id, told_to_lineage
from synth_pipeline.orchestration.metadata import Gate, event_log
from synth_pipeline.orchestration.retries import retried
from synth_pipeline.orchestration.turn import stage_turn
from synth_pipeline.privacy.gate import Released, private_stage
from synth_pipeline.spec import Spec

# Dagster reads what an asset's function is annotated to return, and knows this class without a parameter only.
if TYPE_CHECKING:
    Result: TypeAlias = dg.MaterializeResult[Any]
else:
    Result = dg.MaterializeResult

CHARGED_ASSETS: tuple[str, ...] = ("real_snapshot", "drift_report", "profile", "generator", "published_score")
"""Stages that read rows for the ledger's money; those of one dataset share a pool, so that two of them never run at once."""

PRIVATE_ASSETS: tuple[AssetName, ...] = ("real_snapshot", "tstr_benchmark", "internal_report")
_ANY: Any = dg.Any


def walk_asset(
    spec: Spec,
    name: AssetName,
    *,
    description: str,
    kinds: set[str],
    upstream: Sequence[AssetName] = (),
    **options: Any,
) -> Callable[[Callable[..., Result]], dg.AssetsDefinition]:
    """A decorator that makes a stage's function an asset of a dataset.

    Args:
        spec: the dataset's specification.
        name: name of the asset.
        description: what it is, in a sentence or two.
        kinds: what it is made with; Dagster shows an icon for each.
        upstream: assets of the dataset whose values are arguments of the function, by their names.
        options: further arguments of `dagster.asset`.
    """
    keys = DatasetKeys(spec.dataset)
    is_private = name in PRIVATE_ASSETS
    made_asset = dg.asset(
        key=keys.asset(name),
        ins={other: dg.AssetIn(key=keys.asset(other), dagster_type=_ANY) for other in upstream},
        partitions_def=keys.partitions,
        group_name=spec.dataset,
        kinds=kinds,
        tags={"zone": "private" if is_private else "released"},
        io_manager_key=PRIVATE_IO if is_private else RELEASED_IO,
        dagster_type=_ANY,
        description=description,
        code_version=spec.digest[:12],
        pool=training_pool(spec.dataset) if name in CHARGED_ASSETS else None,
        **options,
    )
    told = told_to_lineage(spec, name, upstream=upstream, description=description)
    return lambda function: made_asset(retried(told(function)))


def gate(home: Home, context: dg.AssetExecutionContext) -> Gate:
    """The gate for the metadata of the asset and snapshot that are running."""
    dataset, name = context.asset_key.path
    known_as = {"openlineage_run": Released(lineage_run_id(context))}
    return Gate(home.private, (dataset, context.partition_key, f"{name}.internal"), known_as)


@contextmanager
def charged_stage(spec: Spec, context: dg.AssetExecutionContext, home: Home) -> Generator[None]:
    """A stage that reads: nothing that it says holds a value, and for a walk that is spent, its error says what to do."""
    stage = context.asset_key.path[-1]
    try:
        tell = event_log(context)
        with (
            stage_turn(home, spec.dataset, tell=lambda line: tell(Released(line))),
            private_stage(stage, home.private, log=tell),
        ):
            yield
    except LedgerError as error:
        remedy = f"materialize {spec.dataset}/real_snapshot and what follows, which opens a new walk with a new charge"
        text = str(error)
        raise type(error)(text if "real_snapshot" in text else f"{spec.dataset}/{stage}: {text}; {remedy}") from None
