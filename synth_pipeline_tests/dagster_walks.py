"""Walks of the small dataset through Dagster in this process, single assets made again, and what Dagster and MLflow then show."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from mlflow import MlflowClient

from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.code_location import build_defs
from synth_pipeline.orchestration.failures import failure_of
from synth_pipeline.orchestration.keys import AssetName, DatasetKeys
from synth_pipeline.orchestration.launch import WalkReport, open_instance, run_walk
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline_tests.dagster_example import Place, clinic_rows, make_place

KEYS = DatasetKeys("clinic")
SNAPSHOT = "visits"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Run configuration without which Dagster prints every event."""


@dataclass(frozen=True)
class Made:
    """How a run of some assets ended.

    Attributes:
        result: Dagster's.
        failure: why it failed, as our error; None where it did not.
    """

    result: dg.ExecuteInProcessResult
    failure: Exception | None

    @property
    def metadata(self) -> dict[str, dict[str, Any]]:
        """What each asset that was made shows."""
        return {
            event.asset_key.path[-1]: {name: entry.value for name, entry in event.materialization.metadata.items()}
            for event in self.result.get_asset_materialization_events()
        }


@dataclass(frozen=True)
class Walked:
    """A home in which one snapshot was walked.

    Attributes:
        place: the home and its dataset.
        report: what the walk made.
    """

    place: Place
    report: WalkReport = field(repr=False)

    def __iter__(self):
        return iter((self.place, self.report))


def walk_once(
    folder: Path, frame: pd.DataFrame | None = None, *, snapshot: str = SNAPSHOT, **changes: object
) -> Walked:
    """A fresh home, one snapshot in it, and its walk; changes replace attributes of the specification."""
    place = make_place(folder, **changes)
    place.put(snapshot, clinic_rows() if frame is None else frame)
    return Walked(place, run_walk("clinic", home=place.home.folder, own=place.own))


def add_partition(place: Place, partition: str = SNAPSHOT) -> None:
    """Tell Dagster of a snapshot, as the sensor does."""
    with open_instance(place.home) as instance:
        instance.add_dynamic_partitions(KEYS.partitions_name, [partition])


def materialize(
    place: Place,
    names: Sequence[AssetName] | None = None,
    *,
    partition: str = SNAPSHOT,
    runtime: StageRuntime | None = None,
) -> Made:
    """Materialize some assets of a snapshot in a run of their own, as a person on the web page would; without names, all of a walk."""
    resources = {"runtime": runtime or StageRuntime(seed=1)}
    job = build_defs(home=place.home.folder, own=place.own, resources=resources).resolve_job_def(KEYS.job)
    with open_instance(place.home) as instance:
        result = job.execute_in_process(
            instance=instance,
            partition_key=partition,
            asset_selection=None if names is None else [KEYS.asset(name) for name in names],
            raise_on_error=False,
            run_config=QUIET,
        )
        return Made(result, failure_of(result))


def materialization(home: Home, name: AssetName) -> dg.AssetMaterialization:
    """The latest materialization of an asset, as Dagster's records hold it."""
    with open_instance(home) as instance:
        event = instance.get_latest_materialization_event(KEYS.asset(name))
    assert event is not None, f"{name} was never materialized"
    assert event.asset_materialization is not None
    return event.asset_materialization


def metadata_of(home: Home, name: AssetName) -> dict[str, Any]:
    """The values that its page shows."""
    return {key: entry.value for key, entry in materialization(home, name).metadata.items()}


def check_of(home: Home, key: dg.AssetCheckKey) -> dg.AssetCheckEvaluation:
    """The latest result of a check."""
    with open_instance(home) as instance:
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
    return found[key].event.dagster_event.asset_check_evaluation_data


def approved_alias(home: Home) -> str | None:
    """The version that MLflow's alias `approved` names, or None."""
    model = MlflowClient(home.tracking_uri, home.tracking_uri).get_registered_model("clinic-generator")
    found = model.aliases.get("approved")
    return None if found is None else str(found)
