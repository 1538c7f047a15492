"""The sensor that turns a new snapshot into a partition and a walk."""

import dagster as dg

from synth_pipeline.integrations.sources.news import MOST_AT_ONCE, Look, Position, watch
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.arrivals import watched
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.metadata import event_log
from synth_pipeline.orchestration.quarantine import quarantine, quarantined
from synth_pipeline.privacy.gate import Released
from synth_pipeline.spec import Spec

SECONDS_BETWEEN_TICKS = {"file": 10, "s3": 30, "postgresql": 30}
"""A look into a folder costs little, and a file takes two; others are asked over a network, and a store may charge for a listing."""
_MOST_NAMED = 3


def arrival_sensor(spec: Spec) -> dg.SensorDefinition:
    """A sensor over a dataset's source; off until somebody starts it, since every walk is charged.

    A content is walked once, whatever order contents come in; a file only when two looks in a row saw it the same. At most 20 walks are
    begun at a look, the oldest contents first. The cursor holds a keyed digest of what is there, and no name.

    Raises:
        SourceError: on a tick on which the source cannot be read; the next tick goes on from where the last good one ended.
    """
    keys = DatasetKeys(spec.dataset)

    @dg.sensor(
        name=keys.sensor,
        job_name=keys.job,
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS[spec.source.scheme if spec.source else "file"],
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Walks every new or changed snapshot of {spec.dataset}; at most {MOST_AT_ONCE} are begun at a look.",
    )
    def arrivals(context: dg.SensorEvaluationContext, home: dg.ResourceParam[Home]) -> dg.SensorResult:
        look = watch(watched(spec, home), Position.read(context.cursor))
        shown = [quarantine(spec, home, one.partition, one.fault or "") for one in look.faulty]
        partitions = [one.partition for one in (*look.fresh, *look.faulty)]
        words = _words(look, home, spec.dataset)
        if look.fresh:  # a tick with runs has no words of its own; one without keeps no log
            event_log(context)(Released(words))
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=one.run_key, partition_key=one.partition) for one in look.fresh],
            skip_reason=None if look.fresh else words,
            dynamic_partitions_requests=[keys.partitions.build_add_request(partitions)] if partitions else [],
            asset_events=shown,
            cursor=str(look.position),
        )

    return arrivals


def _words(look: Look, home: Home, dataset: str) -> str:
    """A look in one line."""
    said = [f"{look.seen:,} in the source"]
    said += [f"{len(look.fresh):,} new"] if look.fresh else ["none of them new and complete"]
    if look.waiting:
        said.append(f"{look.waiting:,} wait for the next looks, which begin at most {MOST_AT_ONCE} walks each")
    if look.unsettled:
        said.append(f"{look.unsettled:,} may still be being written")
    apart = quarantined(home, dataset)
    if apart:
        named = [f"{partition} ({reason})" for partition, reason in list(apart.items())[-_MOST_NAMED:]]
        said.append(f"{len(apart):,} in quarantine: {'; '.join(named)}{'; …' if len(apart) > _MOST_NAMED else ''}")
    return "; ".join(said)
