"""The sensor that turns a new snapshot file into a partition and a walk."""

import json

import dagster as dg

from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.arrivals import Arrival, is_taken, list_arrivals, register, settled
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.spec import Spec

SECONDS_BETWEEN_TICKS = 30


def arrival_sensor(spec: Spec) -> dg.SensorDefinition:
    """A sensor over a dataset's source folder; off until somebody starts it, since every walk is charged.

    Its cursor holds, for every file, a keyed stamp of modification time and size at the last look, and at the last walk. A file is walked
    when two looks in a row saw it the same (so one that is still being written waits for the next tick), and it has changed since its
    last walk, however that was started.
    """
    keys = DatasetKeys(spec.dataset)

    @dg.sensor(
        name=keys.sensor,
        job_name=keys.job,
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Walks every new or changed snapshot file of {spec.dataset}.",
    )
    def arrivals(context: dg.SensorEvaluationContext, home: dg.ResourceParam[Home]) -> dg.SensorResult:
        cursor = json.loads(context.cursor or "{}")
        walked: dict[str, str] = cursor.get("walked", {})
        found = list_arrivals(spec, home)
        fresh = [
            arrival
            for arrival in settled(found, cursor.get("seen", {}))
            if walked.get(arrival.path.name) != arrival.stamp and not is_taken(spec, home, arrival)
        ]
        walked |= {arrival.path.name: arrival.stamp for arrival in fresh}
        seen = {arrival.path.name: arrival.stamp for arrival in found}
        position = json.dumps({"seen": seen, "walked": walked}, sort_keys=True)
        if not fresh:
            return dg.SensorResult(
                skip_reason=f"{len(found)} snapshot files, none of them new and complete", cursor=position
            )
        partitions = [register(spec, home, arrival.path) for arrival in fresh]
        return dg.SensorResult(
            run_requests=[_request(arrival) for arrival in fresh],
            dynamic_partitions_requests=[keys.partitions.build_add_request(partitions)],
            cursor=position,
        )

    return arrivals


def _request(arrival: Arrival) -> dg.RunRequest:
    return dg.RunRequest(run_key=f"{arrival.partition}:{arrival.stamp}", partition_key=arrival.partition)
