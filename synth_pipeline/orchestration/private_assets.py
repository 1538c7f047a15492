"""The assets that see raw rows: real_snapshot, profile, generator. Each stage is a function of `walk`; here is only where and when.

The budget is reserved before the snapshot is opened. The id of the walk is Dagster's root run id, so a run that is re-executed from a
failed step is the same walk: what it has read stays spent, and a stage that has read does not read twice.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from synth_pipeline import walk as stages
from synth_pipeline.errors import LedgerError
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.integrations import mlflow as tracker
from synth_pipeline.integrations.mlflow import Lineage, TrackedRun, Tracking
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration import display
from synth_pipeline.orchestration.arrivals import locate, seal
from synth_pipeline.orchestration.keys import PRIVATE_IO, RELEASED_IO, AssetName, DatasetKeys
from synth_pipeline.orchestration.made import Made, Origin, one_origin
from synth_pipeline.orchestration.metadata import Gate, Internal, Released, value_free_errors
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.privacy.ledger import Ledger, open_ledger
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.snapshot.read import read_table
from synth_pipeline.snapshot.take import Snapshot
from synth_pipeline.spec import Spec


def private_assets(spec: Spec) -> list[dg.AssetsDefinition]:
    """The assets of the private zone's stages."""
    return [_real_snapshot(spec), _profile(spec), _generator(spec)]


def asset_options(spec: Spec, name: AssetName, *, kinds: set[str], description: str) -> dict[str, Any]:
    """What every asset of a dataset has in common."""
    keys = DatasetKeys(spec.dataset)
    is_private = name in ("real_snapshot", "tstr_benchmark")
    return {
        "key": keys.asset(name),
        "partitions_def": keys.partitions,
        "group_name": spec.dataset,
        "kinds": kinds,
        "tags": {"zone": "private" if is_private else "released"},
        "io_manager_key": PRIVATE_IO if is_private else RELEASED_IO,
        "description": description,
    }


def walk_id_of(context: dg.AssetExecutionContext) -> str:
    """The id of the walk that a run belongs to."""
    return context.run.root_run_id or context.run_id


def tracked_run(context: dg.AssetExecutionContext, tracking: Tracking, origin: Origin) -> TrackedRun:
    """The MLflow run of the walk that a value comes from."""
    return tracker.walk_run(tracking, dataset=origin.walk.dataset, walk_id=origin.walk.walk_id, snapshot=context.partition_key)


def tracked_link(tracking: Tracking, run: TrackedRun) -> dict[str, Released]:
    """The walk's MLflow run, as metadata."""
    return {"mlflow_run": Released(dg.MetadataValue.url(tracking.link(run))), "mlflow_run_id": Released(run.run_id)}


def _real_snapshot(spec: Spec) -> dg.AssetsDefinition:
    options = asset_options(
        spec,
        "real_snapshot",
        kinds={"parquet"},
        description="The private snapshot: budget reserved, schema checked, contributions bounded, split by person, fingerprinted.",
    )

    @dg.asset(**options)
    def real_snapshot(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult[Made[Snapshot]]:
        ledger = open_ledger(home.ledger)
        walk = stages.open_walk(spec, snapshot=context.partition_key, ledger=ledger, walk_id=walk_id_of(context))
        with value_free_errors("real_snapshot", home.private):
            snapshot = _take(walk, home, context.partition_key)
        origin = Origin(walk.key, walk.reservation.number, snapshot.fingerprint)
        run = tracked_run(context, tracking, origin)
        tracker.log_facts(tracking, run, params=_parameters(walk))
        tracker.log_lineage(tracking, run, Lineage(f"{spec.dataset}/{context.partition_key}", snapshot.fingerprint, str(spec.dataset), "training"))
        entries = {
            **_walk_entries(walk),
            **tracked_link(tracking, run),
            "dagster/column_schema": Released(display.column_schema(spec)),
            "fingerprint": Released(snapshot.fingerprint),
            "rows": Internal(_row_counts(snapshot)),
        }
        return dg.MaterializeResult(value=Made(snapshot, origin), metadata=_gate(home, context, "real_snapshot").pass_through(entries))

    return real_snapshot


def _profile(spec: Spec) -> dg.AssetsDefinition:
    options = asset_options(
        spec,
        "profile",
        kinds={"opendp"},
        description="The released domain and the noisy distribution of each column; charged.",
    )

    @dg.asset(**options)
    def profile(
        context: dg.AssetExecutionContext,
        real_snapshot: Made[Snapshot],
        home: dg.ResourceParam[Home],
        runtime: dg.ResourceParam[StageRuntime],
    ) -> dg.MaterializeResult[Made[stages.Profiled]]:
        ledger = open_ledger(home.ledger)
        with _charged_stage(spec, "profile", home):
            walk = _resumed(spec, context, ledger, real_snapshot)
            profiled = stages.profile(walk, real_snapshot.value, runtime=_runtime(runtime, "profile", context))
        released = profiled.profile
        entries = {
            "rows_noisy": Released(released.row_count),
            "rows_noise_deviation": Released(released.rows_sigma),
            "columns": Released(display.profile_plots(released)),
            "charged": Released(display.event_table(profiled.events)),
            "dagster/column_schema": Released(display.column_schema(spec)),
        }
        made = Made(profiled, real_snapshot.origin)
        return dg.MaterializeResult(value=made, metadata=_gate(home, context, "profile").pass_through(entries))

    return _with_input(profile, spec)


def _generator(spec: Spec) -> dg.AssetsDefinition:
    return dg.AssetsDefinition  # type: ignore
