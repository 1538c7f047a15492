"""The sensor that notices what became of approvals: those whose time is over, and what a command left undone.

A look costs one small query while nothing was written to the ledger and no approval's last day is over; once an hour everything is looked
at all the same. It charges nothing and starts no run, so it is on by itself.
"""

import json
from datetime import UTC, datetime, timedelta

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
LONGEST_REST = timedelta(hours=1)
"""After so long a look is made in any case: somebody may have moved the alias, or put another value or file in place, by hand."""


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
        if found.damaged:
            event_log(context, is_warning=True)(
                Released(f"bundles that cannot be read, so that nobody can use them: {', '.join(found.damaged)}")
            )
        if found.problem:
            event_log(context, is_warning=True)(
                Released(f"MLflow: the alias could not be moved ({found.problem}); the next look tries again")
            )
        words = f"brought up to date: {', '.join(found.completed)}" if found.completed else "everything is as decided"
        return dg.SensorResult(skip_reason=words, cursor=settled(found, entries=entries, now=datetime.now(UTC)))

    return approvals


def settled(found: CaughtUp, *, entries: int, now: datetime) -> str | None:
    """The cursor after a look; None where the next one has to look in any case.

    Args:
        found: what the look found.
        entries: how many entries the ledger had before it.
        now: the time, in UTC.
    """
    facts = {"entries": entries, "next": found.next_expiry, "at": now.isoformat(timespec="seconds")}
    return None if found.problem else json.dumps(facts)


def is_settled(cursor: str | None, *, entries: int, now: datetime) -> bool:
    """Whether nothing was decided and nothing expired since the look that left a cursor, and it was not long ago.

    Args:
        cursor: of the last look.
        entries: how many entries the ledger has.
        now: the time, in UTC.
    """
    if not cursor:
        return False
    try:
        before = json.loads(cursor)
        looked = datetime.fromisoformat(before["at"])
        is_recent = looked <= now < looked + LONGEST_REST
        return is_recent and before["entries"] == entries and not is_expired(before["next"], now)
    except (ValueError, KeyError, TypeError):  # of an earlier version, or set by hand on the sensor's page
        return False
