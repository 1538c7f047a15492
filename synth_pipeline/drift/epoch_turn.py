"""One question at a time under a threshold: two snapshots compared at once could both be answered "above" under one charge."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def epoch_turn(folder: Path | None, dataset: str) -> Generator[None]:
    """Hold a dataset's turn from reading its epoch until the new state is stored; a second process of this machine waits.

    Processes on other machines are kept apart by the dataset's concurrency pool.

    Args:
        folder: folder of the private zone on this machine; None: nobody else can be at it.
        dataset: which dataset.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / f"{dataset}.epoch.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
