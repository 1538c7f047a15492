"""What Dagster may run again by itself: what broke, never what was refused.

Dagster starts a failed run again from where it failed (`run_retries` in its settings), as the same walk: a run and its retries have one
root run, whose id is the walk's. Stages that were cut off go on with their answer journals, so a retry spends nothing twice. What was
refused would be refused again: our own errors, blocking checks. A step that ends so sets a tag on its run first, and Dagster reads it when
it decides.

Belongs here: that decision, where journals lie, when they go. Does not: what a journal is (privacy.journal), how often (settings).
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import wraps
from multiprocessing.connection import wait
from pathlib import Path
from typing import TypeVar

import dagster as dg

from synth_pipeline.errors import (
    LedgerUnreachable,
    SourceError,
    StageStopped,
    StoreError,
    SynthPipelineError,
    TableError,
)
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.made import Origin
from synth_pipeline.privacy.journal import remove_journals, sweep_journals
from synth_pipeline.reserve import drift_key, score_key

FINAL_TAG = "dagster/max_retries"
"""Tag of a run that says how often Dagster may start it again."""

# Of our family, but about what surrounds us: it may be there again in a minute.
MAY_PASS = (LedgerUnreachable, StageStopped, StoreError, SourceError)

_Result = TypeVar("_Result")
_watching = threading.Lock()


def retried(function: Callable[..., _Result]) -> Callable[..., _Result]:
    """A step's function, whose refusals and failed blocking checks end its run for good, and which does not outlive its run."""

    @wraps(function)
    def step(context: dg.AssetExecutionContext, **inputs: object) -> _Result:
        _end_with_run()
        with final_refusals(context.instance, context.run.run_id):
            _require_one_snapshot(context)
            result = function(context, **inputs)
        if isinstance(result, dg.MaterializeResult) and any(map(_stops, result.check_results or ())):
            _make_final(context.instance, context.run.run_id)
        return result

    return step


@contextmanager
def final_refusals(instance: dg.DagsterInstance, run_id: str) -> Generator[None]:
    """A refusal of ours that leaves the block is the last word on its run."""
    try:
        yield
    except SynthPipelineError as refusal:
        if not isinstance(refusal, MAY_PASS):
            _make_final(instance, run_id)
        raise


def journals_of(home: Home) -> Path:
    """Folder of the answer journals of a home: on its own disk, also where values are stored elsewhere."""
    return home.private.root / "journals"


def forget_journals(home: Home, origin: Origin) -> None:
    """Remove the journals of a walk: its generator is stored, and Dagster has noted it, so nothing of it is asked again."""
    for key in (origin.walk, drift_key(origin.walk), drift_key(origin.walk, is_second=True)):
        remove_journals(journals_of(home), key)


def forget_score_journal(home: Home, origin: Origin) -> None:
    """Remove the journal of a walk's published score, which is stored."""
    remove_journals(journals_of(home), score_key(origin.walk))


def forget_other_journals(home: Home, origin: Origin) -> None:
    """Remove what other walks of a snapshot left: it was taken anew, and they can no longer be gone on with."""
    sweep_journals(journals_of(home), origin.walk)


def waits_for_retry(run: dg.DagsterRun) -> bool:
    """Whether the daemon is about to start a failed run again; it cannot, where a command ran it."""
    return run.is_complete_and_waiting_to_retry and run.remote_job_origin is not None


def _require_one_snapshot(context: dg.AssetExecutionContext) -> None:
    """A walk is of one snapshot; Dagster's pages also offer one run for a range of them.

    Raises:
        TableError: for a run of several.
    """
    if context.has_partition_key_range and not context.has_partition_key:
        raise TableError(
            f"{context.asset_key.to_user_string()}: a run of {len(context.partition_keys)} snapshots; a walk is of one, so launch a run for"
            " each, as a backfill over them does by itself"
        )


def _stops(check: dg.AssetCheckResult) -> bool:
    return not check.passed and check.severity == dg.AssetCheckSeverity.ERROR


def _make_final(instance: dg.DagsterInstance, run_id: str) -> None:
    with suppress(
        Exception
    ):  # Dagster's storage may be what is broken; then the refusal is told again, at most three times
        instance.add_run_tags(run_id, {FINAL_TAG: "0"})


def _end_with_run() -> None:
    """End this step's process when that of its run is gone: nobody hears what it does, and the run's retry does it again."""
    parent = multiprocessing.parent_process()
    if parent is None or not _watching.acquire(blocking=False):
        return

    def watch() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="ends with its run", daemon=True).start()
