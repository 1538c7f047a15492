"""The walk of a snapshot that was cut off and can be gone on with: what of it is made, and what is left to make.

The daemon starts its runs again by itself; a command that was killed is started again by whoever gave it, and goes on with the same walk.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG

from synth_pipeline.errors import TableError
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.io_managers import ORIGIN_FILE
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.made import Origin
from synth_pipeline.orchestration.retries import FINAL_TAG, waits_for_retry
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.origin import code_version
from synth_pipeline.reserve import drift_key
from synth_pipeline.spec import Spec

MOST_RUNS = 4
"""Runs of one walk, the first included; after so many, what stops it will not pass, and a new walk is opened."""

Shown = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Unfinished:
    """A walk to go on with.

    Attributes:
        origin: the walk, and the snapshot that it took.
        assets: what is left to make.
        shown: what the assets that are made have shown, by asset name.
        last_run: its last run.
    """

    origin: Origin
    assets: tuple[dg.AssetKey, ...]
    shown: Shown
    last_run: str

    @property
    def tags(self) -> dict[str, str]:
        """Tags by which Dagster shows the next run as one more attempt at this walk."""
        return {ROOT_RUN_ID_TAG: self.origin.walk.walk_id, PARENT_RUN_ID_TAG: self.last_run}


def unfinished_walk(spec: Spec, home: Home, instance: dg.DagsterInstance, partition: str) -> Unfinished | None:
    """The last walk of a snapshot, where it was cut off and may be gone on with; None: a new one is opened.

    It must be of the same specification and code, hold its reservation, have taken its snapshot, have no run that is going or about to be
    started again by the daemon, and not have ended with a refusal: what was refused would be again.
    """
    origin = _taken(home, spec.dataset, partition)
    if origin is None or (origin.walk.spec_digest, origin.walk.code_version) != (spec.digest, code_version()):
        return None
    ledger = open_ledger(home.ledger)
    if ledger.find(origin.walk) is None and ledger.find(drift_key(origin.walk)) is None:
        return None
    runs = _runs_of(instance, origin.walk.walk_id)
    if not 0 < len(runs) < MOST_RUNS or any(not run.is_finished or waits_for_retry(run) for run in runs):
        return None
    last = runs[-1]
    if last.tags.get(FINAL_TAG) == "0":
        return None
    shown = {name: entries for run in runs for name, entries in _shown(instance, run.run_id).items()}
    left = tuple(key for key in DatasetKeys(spec.dataset).assets_of(spec) if key.path[-1] not in shown)
    if "real_snapshot" not in shown or (not left and last.status == dg.DagsterRunStatus.SUCCESS):
        return None
    if not left:  # cut off between its last asset and its end: the release, made once more, is the one that is there
        left = (DatasetKeys(spec.dataset).asset("release"),)
    return Unfinished(origin, left, shown, last.run_id)


def _taken(home: Home, dataset: str, partition: str) -> Origin | None:
    try:
        content = home.private.read(
            lambda folder: (folder / ORIGIN_FILE).read_text(encoding="utf-8"), dataset, partition, "real_snapshot"
        )
    except (TableError, FileNotFoundError):
        return None
    return Origin.from_json(json.loads(content))


def _runs_of(instance: dg.DagsterInstance, walk_id: str) -> list[dg.DagsterRun]:
    """The runs of a walk, oldest first."""
    if instance.get_run_by_id(walk_id) is None:
        return []
    family = instance.get_run_group(walk_id)
    runs = {run.run_id for run in family[1]} | {walk_id} if family is not None else {walk_id}
    records = instance.get_run_records(dg.RunsFilter(run_ids=sorted(runs)))
    return [record.dagster_run for record in sorted(records, key=lambda record: record.create_timestamp)]


def _shown(instance: dg.DagsterInstance, run_id: str) -> dict[str, dict[str, Any]]:
    """What each asset of a run showed, by asset name."""
    found: dict[str, dict[str, Any]] = {}
    for record in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        made = record.asset_materialization
        if made is not None:
            found[made.asset_key.path[-1]] = {name: value.value for name, value in made.metadata.items()}
    return found
