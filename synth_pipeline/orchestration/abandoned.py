"""Reservations that nobody will read under any more: they are given back, so that neither a crash nor a repeat locks budget for good."""

from collections.abc import Iterator

import dagster as dg

from synth_pipeline.errors import LedgerError
from synth_pipeline.orchestration.retries import waits_for_retry
from synth_pipeline.privacy.ledger import Ledger, Reservation
from synth_pipeline.reserve import root_walk_id

_OVER = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def give_back_abandoned(
    ledger: Ledger, instance: dg.DagsterInstance, *, dataset: str, replaced: str | None = None
) -> int:
    """Give back every unread reservation of a dataset whose Dagster run failed or was canceled.

    Args:
        ledger: where they are charged.
        instance: which knows their runs.
        dataset: whose they are.
        replaced: a snapshot that is about to be taken anew. A walk of it whose run is over well, and which has read nothing, could only go
            on with the snapshot that this replaces, so it is given back too.

    Returns:
        How many were given back.
    """
    given_back = 0
    for reservation, reason in _abandoned(ledger, instance, dataset, replaced):
        try:
            ledger.release(reservation, reason)
            given_back += 1
        except LedgerError:  # another process was first, or the walk has read after all
            continue
    return given_back


def _abandoned(
    ledger: Ledger, instance: dg.DagsterInstance, dataset: str, replaced: str | None
) -> Iterator[tuple[Reservation, str]]:
    for record in ledger.walks(dataset):
        if record.status == "reserved":
            key = record.reservation.key
            run = instance.get_run_by_id(root_walk_id(key.walk_id))
            if run is None or waits_for_retry(run) or _has_live_child(instance, run.run_id):
                continue
            if run.status in _OVER:
                yield record.reservation, "its run ended before anything was read"
            elif run.is_finished and key.snapshot == replaced:
                yield record.reservation, "its snapshot was taken anew before anything was read"


def _has_live_child(instance: dg.DagsterInstance, root_run_id: str) -> bool:
    """Whether a re-execution of the run is on its way, or about to be started: it is the same walk."""
    family = instance.get_run_group(root_run_id)
    return family is not None and any(not run.is_finished or waits_for_retry(run) for run in family[1])
