"""Whose turn it is: walks of one dataset never overlap, though not all of them come through Dagster's queue.

Belongs here: waiting. Does not: the queue's own rule, which is a setting (`dagster.yaml`), and budgets, which the ledger guards anyway.

Three fences, each for what the one before does not see (adr/0016):
the queue lets one run with the tag of a dataset go at a time; the command line, which runs a walk in its own process, waits here until no
such run is on its way, and the queue then counts it like its own; the pool of the charged stages holds for runs that got past both, also
from other machines. A stage of a killed run may outlive it by a moment: its lock on the home's file makes the next one wait for it.
"""

import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from synth_pipeline.integrations.run_queue import DATASET_TAG, training_pool
from synth_pipeline.integrations.run_workers import held_lock, is_dead, marked_alive
from synth_pipeline.integrations.stores import Home

_ON_THEIR_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_LOOK_SECONDS = 1.0


@contextmanager
def walk_turn(
    instance: dg.DagsterInstance, home: Home, dataset: str, *, tell: Callable[[str], None] | None = None
) -> Generator[str]:
    """Wait until no other run of a dataset is on its way, and hold the turn of the command line while the block runs.

    Args:
        instance: which knows the runs.
        home: whose command line it is.
        dataset: whose walk it is.
        tell: told once what it waits for.

    Yields:
        Id of the run that may start now.
    """
    with _waited_for(_lock_file(home, f"{dataset}.walk"), f"{dataset}: waiting for another walk of this home", tell):
        told = False
        while others := runs_under_way(instance, dataset):
            if not told and tell is not None:
                tell(
                    f"{dataset}: waiting for run {others[0].run_id[:8]} to end; walks of a dataset go one after another"
                )
            told = True
            time.sleep(_LOOK_SECONDS)
        _free_places(instance, training_pool(dataset))
        run_id = str(uuid.uuid4())
        with marked_alive(instance, run_id):
            yield run_id


@contextmanager
def stage_turn(home: Home, dataset: str, *, tell: Callable[[str], None] | None = None) -> Generator[None]:
    """Let one charged stage of a dataset run at a time on this home, that of a killed run, which may outlive it, included."""
    with _waited_for(
        _lock_file(home, f"{dataset}.stage"), f"{dataset}: waiting for a stage of an earlier run to end", tell
    ):
        yield


def runs_under_way(instance: dg.DagsterInstance, dataset: str) -> list[dg.DagsterRun]:
    """The runs of a dataset that have started and not ended; one whose process is gone is set down as failed first."""
    found = instance.get_runs(dg.RunsFilter(tags={DATASET_TAG: dataset}, statuses=_ON_THEIR_WAY))
    alive: list[dg.DagsterRun] = []
    for run in found:
        if run.status == dg.DagsterRunStatus.STARTED and is_dead(instance, run.run_id):
            instance.report_run_failed(
                run, "The process of this run is gone: it was killed, or the machine was restarted."
            )
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        else:
            alive.append(run)
    return alive


def _free_places(instance: dg.DagsterInstance, pool: str) -> None:
    """Take a pool's places back from runs that are over: a daemon does so by itself, but there may be none."""
    for run_id in instance.event_log_storage.get_concurrency_info(pool).active_run_ids:
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)


@contextmanager
def _waited_for(path: Path, reason: str, tell: Callable[[str], None] | None) -> Generator[None]:
    with held_lock(path, waiting=None if tell is None else lambda: tell(reason)):
        yield


def _lock_file(home: Home, name: str) -> Path:
    folder = home.dagster / "turns"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / name
