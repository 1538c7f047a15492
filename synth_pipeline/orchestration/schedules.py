"""The schedule that walks the newest snapshot, where the specification asks for one."""

from collections.abc import Sequence

import dagster as dg

from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.arrivals import list_arrivals, register
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.spec import Spec


def walk_schedules(spec: Spec) -> Sequence[dg.ScheduleDefinition]:
    """The schedule of a dataset, or none."""
    if spec.schedule is None:
        return []
    keys = DatasetKeys(spec.dataset)

    @dg.schedule(
        name=keys.schedule,
        job_name=keys.job,
        cron_schedule=spec.schedule,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Walks the newest snapshot of {spec.dataset}; each walk is charged.",
    )
    def newest(context: dg.ScheduleEvaluationContext, home: dg.ResourceParam[Home]) -> dg.RunRequest | dg.SkipReason:
        found = list_arrivals(spec, home)
        if not found:
            return dg.SkipReason("no snapshot file yet")
        partition = register(spec, home, found[-1].path)
        context.instance.add_dynamic_partitions(keys.partitions_name, [partition])
        return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat(), partition_key=partition)

    return [newest]
