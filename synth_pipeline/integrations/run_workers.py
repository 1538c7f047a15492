"""Which runs of this machine still have a process, so that one that was killed stands in nobody's way for long.

Belongs here: a mark that lives as long as a run's process, and Dagster's launcher that looks at it. Does not: what follows for the
ledger (orchestration).

A mark is a locked file `<DAGSTER_HOME>/workers/<run>`. The operating system drops the lock when the process ends, however it ends, a
power cut too; a file that nobody locks is that of a dead process. A mark is removed once its run's end is recorded: where it could not
be (a full disk, a database that was away), the run is one without a process. Where the folder is not shared, a run of another machine has
no mark here, and is taken to be alive: its own launcher (Kubernetes, ECS) watches it.
"""

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

_FOLDER = "workers"
_held: list[int] = []  # descriptors of marks that end with this process


class WatchedLauncher(DefaultRunLauncher):
    """Dagster's local launcher, which by itself cannot tell a killed run from a long one: here the daemon's monitoring can."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes, by the marks."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a started run is there."""
        if is_dead(self._instance, run.run_id):
            return CheckRunHealthResult(
                WorkerStatus.FAILED, "its process is gone (killed, or the machine was restarted)"
            )
        return CheckRunHealthResult(WorkerStatus.RUNNING)


@contextmanager
def marked_alive(instance: DagsterInstance, run_id: str) -> Generator[None]:
    """Hold the mark of a run while the block, at the end of which the run is over, runs; nothing where the instance has no folder."""
    if instance.is_ephemeral:
        yield
        return
    place = _made_place(instance, run_id)
    with held_lock(place) as descriptor:
        os.write(
            descriptor, str(os.getpid()).encode()
        )  # after the lock: an empty file is one that is about to be locked
        try:
            yield
        finally:
            if _has_stopped(instance, run_id):
                place.unlink(missing_ok=True)  # a killed process leaves it


def mark_until_exit(instance: DagsterInstance, run_id: str) -> None:
    """Hold the mark of a run until this process ends: its end is recorded by others in it. A later run removes the mark."""
    if instance.is_ephemeral:
        return
    place = _made_place(instance, run_id)
    for left in place.parent.iterdir():
        if left != place and is_dead(instance, left.name) and _has_stopped(instance, left.name):
            left.unlink(missing_ok=True)
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, str(os.getpid()).encode())
    _held.append(descriptor)


def is_dead(instance: DagsterInstance, run_id: str) -> bool:
    """Whether a run had a process on this machine that is gone."""
    place = _place(instance, run_id)
    try:
        descriptor = os.open(place, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(descriptor).st_size > 0 and place.exists()  # gone in the meantime: the run has just ended well
    except OSError:  # it is locked; or this file system has no locks, and nobody can say
        return False
    finally:
        os.close(descriptor)


@contextmanager
def held_lock(path: Path, *, waiting: Callable[[], None] | None = None) -> Generator[int]:
    """Hold a file's lock, which ends with the process at the latest; its descriptor.

    Args:
        path: the file; made if it is not there.
        waiting: called once if another process holds the lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _has_stopped(instance: DagsterInstance, run_id: str) -> bool:
    try:
        run = instance.get_run_by_id(run_id)
    except Exception:  # noqa: BLE001  (whatever keeps the records is broken, so nothing was recorded)
        return False
    return run is None or run.status != DagsterRunStatus.STARTED


def _made_place(instance: DagsterInstance, run_id: str) -> Path:
    place = _place(instance, run_id)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place


def _place(instance: DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / _FOLDER / run_id
