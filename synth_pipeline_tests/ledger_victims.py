"""Walks that are killed with SIGKILL at a random instant, and what can be seen of how far they had come.

A victim says before each step what it is about to do, and between the ledger's word that a read is announced and the commit it writes
a proof that it read: a file, flushed to disk strictly after `mark_read` returned. A ledger that under-counts would show a walk with
a proof and without a charge.
"""

import contextlib
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.ledger_racers import Walk

PHASES = ("reserve", "mark_read", "proof", "commit", "over")
_LANES = 4
_SECONDS = 120.0


@dataclass(frozen=True)
class Death:
    """How far a killed walk had come.

    Attributes:
        walk: which one.
        phase: the step it was at when it died.
        has_proof: whether the file is there that is written after `mark_read` returned.
    """

    walk: Walk
    phase: str
    has_proof: bool


def kill_all(walks: Sequence[Walk], place: str, *, proofs: Path, seed: int) -> list[Death]:
    """Start the walks, four at a time, and kill each at a random instant after a random step has begun; everyone dies."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    # Starting a process asks how the others ended; two threads that ask at once would leave one of them without the answer.
    one_at_a_time = threading.Lock()

    def kill_one(number: int) -> Death:
        rng, walk = random.Random(seed * 100_003 + number), walks[number]
        ours, theirs = context.Pipe(duplex=False)
        victim = context.Process(target=_live, args=(walk, place, proofs, theirs), daemon=True)
        with one_at_a_time:
            victim.start()
        theirs.close()
        phase = _follow(ours, until=rng.choice(PHASES))
        time.sleep(rng.uniform(0.0, 0.006))
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        wait([victim.sentinel], timeout=_SECONDS)
        with one_at_a_time:
            victim.join(_SECONDS)
        assert victim.exitcode == -signal.SIGKILL, f"walk {walk.walk_id}: ended by itself ({victim.exitcode})"
        with contextlib.suppress(EOFError):
            while True:
                phase = ours.recv()
        return Death(walk, phase, (proofs / walk.walk_id).exists())

    with ThreadPoolExecutor(_LANES) as lanes:
        return list(lanes.map(kill_one, range(len(walks))))


def _follow(ours: Connection, *, until: str) -> str:
    """Listen until the victim is at a step."""
    phase = ""
    while phase != until:
        if not ours.poll(_SECONDS):
            raise TimeoutError(f"a victim hangs after {phase!r}: a dead one must have left a lock")
        try:
            phase = ours.recv()
        except EOFError:
            raise AssertionError(f"a walk that was let live stopped by itself after {phase!r}") from None
    return phase


def _live(walk: Walk, place: str, proofs: Path, told: Connection) -> None:
    ledger, charge = open_ledger(place), walk.charge
    told.send("reserve")
    reservation = ledger.reserve(walk.key, charge, cap=walk.cap)
    told.send("mark_read")
    ledger.mark_read(reservation)
    told.send("proof")
    _write_proof(proofs / walk.walk_id)
    told.send("commit")
    ledger.commit(reservation, charge.events, walk.epsilon)
    told.send("over")
    time.sleep(_SECONDS)


def _write_proof(path: Path) -> None:
    """Make a file that survives this process, and the machine."""
    for place, flags in ((path, os.O_WRONLY | os.O_CREAT), (path.parent, os.O_RDONLY)):
        descriptor = os.open(place, flags, 0o600)
        os.fsync(descriptor)
        os.close(descriptor)
