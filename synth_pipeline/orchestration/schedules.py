"""The schedule that walks the newest snapshot, where the specification asks for one.

A dataset with a schedule has no sensor: one thing a dataset asks for walks (adr/0016). Of what arrives between two ticks only the newest
is walked by itself; anyone may walk the others by hand.
"""

from collections.abc import Sequence

import dagster as dg

from synth_pipeline.integrations.run_queue import DATASET_TAG
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.arrivals import newest_partition, taken_stamp
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.quarantine import quarantined
from synth_pipeline.spec import Spec

_NOT_OVER = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def walk_schedules(spec: Spec) -> Sequence[dg.ScheduleDefinition]:
    """The schedule of a dataset, or none; off until somebody starts it, since every walk is charged."""
    if spec.schedule is None:
        return []
    keys = DatasetKeys(spec.dataset)

    @dg.schedule(
        name=keys.schedule,
        job_name=keys.job,
        cron_schedule=spec.schedule,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Walks the newest snapshot of {spec.dataset}, unless it was walked already; each walk is charged.",
    )
    def newest(context: dg.ScheduleEvaluationContext, home: dg.ResourceParam[Home]) -> dg.RunRequest | dg.SkipReason:
        partition = newest_partition(spec, home)
        if partition is None:
            return dg.SkipReason("no snapshot yet")
        reason = _why_not(spec, home, context.instance, partition)
        if reason is not None:
            return dg.SkipReason(reason)
        context.instance.add_dynamic_partitions(keys.partitions_name, [partition])
        return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat(), partition_key=partition)

    return [newest]


def _why_not(spec: Spec, home: Home, instance: dg.DagsterInstance, partition: str) -> str | None:
    """Why the newest snapshot is not walked on this tick, or None."""
    tags = {DATASET_TAG: spec.dataset, "dagster/partition": partition}
    under_way = instance.get_runs(dg.RunsFilter(tags=tags, statuses=_NOT_OVER), limit=1)
    if under_way:
        return f"snapshot {partition!r} is on its way: run {under_way[0].run_id[:8]} is {under_way[0].status.value.lower()}"
    apart = quarantined(home, spec.dataset).get(partition)
    if apart is not None:
        return f"snapshot {partition!r} is in quarantine: {apart}"
    if taken_stamp(spec, home, partition) is not None:
        return (
            f"the newest snapshot, {partition!r}, was walked already, and a second walk would be charged again;"
            f" to have it all the same, start {DatasetKeys(spec.dataset).job} by hand"
        )
    return None
