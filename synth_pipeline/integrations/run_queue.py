"""Dagster's run queue, in which the walks of one dataset stand one behind another, however each was asked for.

Belongs here: which dataset a run is of. Does not: how many may run at once, which the instance's settings say (`dagster.yaml`).
"""

from dagster import DagsterRun
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

DATASET_TAG = "synth_pipeline/dataset"
"""Tag of a run: whose it is. The settings let one run of each value go at a time."""


_RETRY_TAG, _PRIORITY_TAG = "dagster/retry_number", "dagster/priority"


class DatasetQueue(QueuedRunCoordinator["DatasetQueue"]):
    """Dagster's queue, in which every run has its dataset's tag, and a walk that broke goes on before the next one begins.

    Jobs have the tag by themselves; the runs of single assets and of backfills over assets, asked for on the page, do not.
    """

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Put a run in the queue."""
        run = context.dagster_run
        tags = missing_tags(run)
        if tags:
            self._instance.add_run_tags(run.run_id, tags)
        return super().submit_run(context)


def missing_tags(run: DagsterRun) -> dict[str, str]:
    """What a run needs to find its place in the queue and does not have: its dataset; priority, if it is a retry."""
    dataset = dataset_of(run)
    tags = {} if dataset is None or DATASET_TAG in run.tags else {DATASET_TAG: dataset}
    if _RETRY_TAG in run.tags and _PRIORITY_TAG not in run.tags:
        tags[_PRIORITY_TAG] = "1"
    return tags


def dataset_of(run: DagsterRun) -> str | None:
    """The dataset that a run is of, by its tag or by its assets; None for a run of something else.

    Assets of two datasets are never in one run: they have different partitions.
    """
    if DATASET_TAG in run.tags:
        return run.tags[DATASET_TAG]
    assets = {*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())}
    return min((key.path[0] for key in assets if len(key.path) == 2), default=None)


def training_pool(dataset: str) -> str:
    """Name of the pool of a dataset's charged stages; the instance's settings give a pool one place (`dagster.yaml`)."""
    return f"{dataset}_training"
