"""The sensor that notices what became of approvals: those whose time is over, and what a command left undone.

A look costs one small query while nothing was written to the ledger and no approval's last day is over. It charges nothing and starts no
run, so it is on by itself.
"""

import json
from datetime import UTC, datetime

import dagster as dg

from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.approval_events import CaughtUp, catch_up
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.metadata import event_log
from synth_pipeline.privacy.gate import Released
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.statement import is_expired
from synth_pipeline.spec import Spec

SECONDS_BETWEEN_LOOKS = 60


def approval_sensor(spec: Spec) -> dg.SensorDefinition:
    """A sensor over the decisions about a dataset's releases."""
    keys = DatasetKeys(spec.dataset)

    @dg.sensor(
        name=keys.approval_sensor,
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        asset_selection=dg.AssetSelection.assets(keys.asset("approval")),
        description=f"Notices approvals of {spec.dataset} that expired, and shows what the command line decided. Charges nothing.",
    )
    def approvals(
        context: dg.SensorEvaluationContext, home: dg.ResourceParam[Home], tracking: dg.ResourceParam[Tracking]
    ) -> dg.SensorResult:
        entries = open_ledger(home.ledger).head().entries
        if is_settled(context.cursor, entries=entries, now=datetime.now(UTC)):
            return dg.SensorResult(
                skip_reason="nothing was decided since, and no approval expired", cursor=context.cursor
            )
        found = catch_up(context.instance, home, tracking, spec.dataset)
        if found.problem:
            event_log(context, is_warning=True)(
                Released(f"MLflow: the alias could not be moved ({found.problem}); the next look tries again")
            )
        words = f"brought up to date: {', '.join(found.completed)}" if found.completed else "everything is as decided"
        return dg.SensorResult(skip_reason=words, cursor=settled(found, entries=entries))

    return approvals


def settled(found: CaughtUp, *, entries: int) -> str | None:
    """The cursor after a look; None where the next one has to look in any case.

    Args:
        found: what the look found.
        entries: how many entries the ledger had before it.
    """
    return None if found.problem else json.dumps({"entries": entries, "next": found.next_expiry})


def is_settled(cursor: str | None, *, entries: int, now: datetime) -> bool:
    """Whether nothing can have changed since the look that left a cursor.

    Args:
        cursor: of the last look.
        entries: how many entries the ledger has.
        now: the time, in UTC.
    """
    if not cursor:
        return False
    before = json.loads(cursor)
    return before["entries"] == entries and not is_expired(before["next"], now)
