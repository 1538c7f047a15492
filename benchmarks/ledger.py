"""Speed of the ledger's two stores: whole walks a second, alone and from several processes, and what a long book costs; run by hand.

    python -m benchmarks.ledger --walks 200 --entries 10000

A walk is reserve, read, commit: three changes, each on disk before the call returns. SQLite and PostgreSQL (a server of its own, from
the binaries that the tests use, its commits flushed to disk) take turns in blocks, so that what else the machine does weighs on both. The
load of the machine is printed beside the figures. Every walk is small beside the cap, so that none is refused.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth_pipeline.privacy.ledger import Cap, Charge

DELTA = 1e-5
ROUNDS = 3


@dataclass(frozen=True)
class Speed:
    """What one store did.

    Attributes:
        store: sqlite or postgresql.
        case: what was asked for.
        value: the median of the rounds.
        unit: walks/s or s.
    """

    store: str
    case: str
    value: float
    unit: str


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ledger", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--walks", type=int, default=96, help="walks a round; default 96")
    parser.add_argument("--entries", type=int, default=10_000, help="length of the long book; 0 leaves it out")
    parser.add_argument("--json", type=Path, help="write the figures here")
    asked = parser.parse_args(argv)
    with _places() as places:
        speeds = [
            *_measure_walks(places, asked.walks),
            *(_measure_long_book(places, asked.entries) if asked.entries else ()),
        ]
    load = os.getloadavg()[0]
    print(
        f"{asked.walks} walks a round, median of {ROUNDS} rounds; {os.cpu_count()} cores, load of the machine {load:.1f}"
    )
    for speed in speeds:
        print(f"{speed.value:>10.4g} {speed.unit:8} {speed.store:11} {speed.case}")
    if asked.json:
        asked.json.write_text(json.dumps({"load": load, "speeds": [asdict(speed) for speed in speeds]}, indent=1))
    return 0


@contextmanager
def _places() -> Iterator[dict[str, list[str]]]:
    """Fresh places for ledgers of each store, as many as there are measurements."""
    from synth_pipeline_tests.postgres_server import running_server

    with tempfile.TemporaryDirectory() as folder, running_server(is_durable=True) as server:
        yield {
            "sqlite": [str(Path(folder) / f"{i}.sqlite") for i in range(2 * ROUNDS + 1)],
            "postgresql": [server.create_database() for _ in range(2 * ROUNDS + 1)],
        }


def _measure_walks(places: dict[str, list[str]], walks: int) -> Iterator[Speed]:
    for number, processes in enumerate((1, 8)):
        rates: dict[str, list[float]] = {store: [] for store in places}
        for turn in range(ROUNDS):
            for store, own in places.items():
                rates[store].append(walks / _race(own[number * ROUNDS + turn], walks, processes))
        for store, found in rates.items():
            yield Speed(
                store,
                f"walks from {processes} process{'es' if processes > 1 else ''}",
                statistics.median(found),
                "walks/s",
            )


def _race(place: str, walks: int, processes: int) -> float:
    """Seconds that so many walks take, from when every process is ready."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "synth_pipeline.privacy.ledger"])
    line = context.Barrier(processes + 1)
    share = walks // processes
    racers = [context.Process(target=_walk_often, args=(place, share, number, line)) for number in range(processes)]
    for racer in racers:
        racer.start()
    line.wait(120)
    begin = time.perf_counter()
    for racer in racers:
        racer.join()
        if racer.exitcode:
            raise SystemExit(f"a process of the benchmark failed on {place.split(':', 1)[0]}")
    return time.perf_counter() - begin


def _walk_often(place: str, walks: int, number: int, line: Any) -> None:
    from synth_pipeline.privacy.ledger import open_ledger

    ledger, (cap, charge) = open_ledger(place), _small_charge()
    line.wait(120)
    for count in range(walks):
        _walk(ledger, f"{number}-{count}", cap, charge)


def _walk(ledger: Any, walk_id: str, cap: "Cap", charge: "Charge") -> None:
    from synth_pipeline.privacy.ledger import WalkKey

    reservation = ledger.reserve(WalkKey("people", "2024", "digest", "1.0", walk_id), charge, cap=cap)
    ledger.mark_read(reservation)
    ledger.commit(reservation, charge.events, charge.epsilon)


def _small_charge() -> "tuple[Cap, Charge]":
    from synth_pipeline.privacy.accounting import gaussian_epsilon, gaussian_mu
    from synth_pipeline.privacy.events import GaussianPoolEvent
    from synth_pipeline.privacy.ledger import Cap, Charge

    cap = Cap(10.0, DELTA)
    cost = gaussian_mu(cap.epsilon, cap.delta) ** 2 / 20_000
    return cap, Charge((GaussianPoolEvent(cost),), gaussian_epsilon(cost**0.5, DELTA) * (1 + 1e-9), DELTA)


def _measure_long_book(places: dict[str, list[str]], entries: int) -> Iterator[Speed]:
    """Fill a book of one dataset with whole walks, then time what people and walks ask of it."""
    from synth_pipeline.privacy.ledger import open_ledger

    cap, charge = _small_charge()
    for store, own in places.items():
        ledger = open_ledger(own[-1])
        for length in (entries // 10, entries):
            _fill(ledger, length, cap, charge)
            questions: dict[str, Callable[[], Any]] = {
                "show": lambda ledger=ledger: ledger.account("people"),
                "history": lambda ledger=ledger: ledger.history("people"),
                "verify": lambda ledger=ledger: ledger.verify(),
                "one more walk": lambda ledger=ledger: _walk(ledger, f"more-{time.monotonic_ns()}", cap, charge),
            }
            for name, ask in questions.items():
                seconds = statistics.median(_timed(ask) for _ in range(ROUNDS))
                yield Speed(store, f"{name}, {length:,} entries", seconds, "s")


def _fill(ledger: Any, length: int, cap: "Cap", charge: "Charge") -> None:
    """Add committed walks until there are so many entries, all in one change: walk by walk it would take hours."""
    from synth_pipeline.privacy.ledger import WalkKey, book
    from synth_pipeline.privacy.ledger.contract import Reservation

    def change(page: Any) -> None:
        def add(kind: Any, about: Reservation, body: Any) -> Any:
            entry = book.next_entry(kind, about, body, head=page.head(), now=page.now())
            page.append(entry)
            return entry

        for count in range(page.head().entries, length - 2, 3):
            key = WalkKey("people", "2024", "digest", "1.0", f"filled-{count}")
            wanted = Reservation(0, key, charge, cap=cap, blocks=("all",))
            made = book.reservation_of(add("reserve", wanted, book.reserve_body(wanted, page.now())))
            add("read", made, {"stage": "walk"})
            add("commit", made, {"events": [event.to_dict() for event in charge.events], "epsilon": charge.epsilon})

    ledger.store.write(change, create=True)


def _timed(ask: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    ask()
    return time.perf_counter() - begin


if __name__ == "__main__":
    raise SystemExit(main())
