"""Light processes that race for one ledger: started once, then sent round after round to the same line."""

import multiprocessing
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Barrier
from typing import Any, Self

from synth_pipeline.errors import BudgetRefused, LedgerError
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import Cap, Charge, WalkKey, open_ledger

DELTA = 1e-5
_START_SECONDS = 120.0


@dataclass(frozen=True)
class Walk:
    """One racer's errand: reserve, read, commit.

    Attributes:
        dataset: whose budget.
        walk_id: racers with the same one are attempts at the same walk.
        mu_squared: what it costs.
        epsilon: what it states.
        cap: the dataset's.
        pauses: seconds before each of the three steps.
    """

    dataset: str
    walk_id: str
    mu_squared: float
    epsilon: float
    cap: Cap
    pauses: tuple[float, float, float]

    @property
    def charge(self) -> Charge:
        """What it asks for."""
        return Charge((GaussianPoolEvent(self.mu_squared),), self.epsilon, DELTA)

    @property
    def key(self) -> WalkKey:
        """Under which key."""
        return WalkKey(self.dataset, "2024", "digest", "1.0", self.walk_id)


class Racers:
    """A number of processes that wait for walks.

    Args:
        place: the ledger's path or URL.
        count: how many.
    """

    def __init__(self, place: str, count: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._line = context.Barrier(count)
        self._racers: list[tuple[Any, Connection]] = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(place, theirs, self._line), daemon=True)
            process.start()
            theirs.close()
            self._racers.append((process, ours))
        for _, ours in self._racers:
            if not ours.poll(_START_SECONDS):
                raise TimeoutError("a racer did not start")
            ours.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process, ours in self._racers:
            ours.close()
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()

    def race(self, walks: Sequence[Walk], *, seconds: float) -> list[str]:
        """Start every racer at once, each on its walk; return how each ended, in order.

        Raises:
            TimeoutError: when one has not ended after `seconds`, which is what a deadlock looks like.
        """
        for (_, ours), walk in zip(self._racers, walks, strict=True):
            ours.send(walk)
        ended: dict[int, str] = {}
        places = {ours: place for place, (_, ours) in enumerate(self._racers)}
        until = time.monotonic() + seconds
        while len(ended) < len(places):
            waiting = [ours for ours, place in places.items() if place not in ended]
            ready = wait(waiting, timeout=max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError(f"{len(waiting)} of {len(places)} racers did not come back in {seconds:g} s")
            for ours in ready:
                ended[places[ours]] = ours.recv()  # type: ignore[index, union-attr]
        return [ended[place] for place in range(len(places))]


def random_pauses(rng: random.Random) -> tuple[float, float, float]:
    """Up to three milliseconds each, about what a step of the ledger takes."""
    return rng.uniform(0, 0.003), rng.uniform(0, 0.003), rng.uniform(0, 0.003)


def _serve(place: str, theirs: Connection, line: Barrier) -> None:
    ledger = open_ledger(place)
    theirs.send("here")
    while True:
        try:
            walk: Walk = theirs.recv()
        except EOFError:
            return
        line.wait(_START_SECONDS)
        theirs.send(_go(ledger, walk))


def _go(ledger: Any, walk: Walk) -> str:
    """How it ended: spent, refused (no budget), second (another attempt at the walk has read), or the error that must not be."""
    before_reserve, before_read, before_commit = walk.pauses
    charge = walk.charge
    try:
        time.sleep(before_reserve)
        try:
            reservation = ledger.reserve(walk.key, charge, cap=walk.cap)
            time.sleep(before_read)
            ledger.mark_read(reservation)
        except BudgetRefused:
            return "refused"
        except LedgerError as error:
            return (
                "second" if "has read its snapshot" in str(error) or "is committed" in str(error) else f"error: {error}"
            )
        time.sleep(before_commit)
        ledger.commit(reservation, charge.events, walk.epsilon)
    except Exception as error:  # noqa: BLE001  (whatever it is, the test shows it)
        return f"error: {type(error).__name__}: {error}"
    return "spent"
