"""Reservations whose run is over before anything was read: they are given back, so that a crash does not lock budget for good."""

from collections.abc import Iterator

import dagster as dg

from synth_pipeline.errors import LedgerError
from synth_pipeline.privacy.ledger import Ledger, Reservation

_OVER = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def give_back_abandoned(ledger: Ledger, instance: dg.DagsterInstance, *, dataset: str) -> int:
    """Give back every unread reservation of a dataset whose Dagster run failed or was canceled.

    Returns:
        How many were given back.
    """
    given_back = 0
    for reservation in _abandoned(ledger, instance, dataset):
        try:
            ledger.release(reservation, "its run ended before anything was read")
            given_back += 1
        except LedgerError:  # another process was first, or the walk has read after all
            continue
    return given_back


def _abandoned(ledger: Ledger, instance: dg.DagsterInstance, dataset: str) -> Iterator[Reservation]:
    for record in ledger.walks(dataset):
        if record.status == "reserved":
            run = instance.get_run_by_id(record.reservation.key.walk_id)
            if run is not None and run.status in _OVER and not _has_live_child(instance, run.run_id):
                yield record.reservation


def _has_live_child(instance: dg.DagsterInstance, root_run_id: str) -> bool:
    """Whether a re-execution of the run is on its way: it is the same walk."""
    family = instance.get_run_group(root_run_id)
    return family is not None and any(not run.is_finished for run in family[1])
