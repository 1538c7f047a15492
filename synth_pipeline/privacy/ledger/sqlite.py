"""The SQLite store of the ledger: one file, many processes, nobody overspends.

Belongs here: transactions and rows. Does not: rules (book, admission) or digests (chain).

Every change runs in one `BEGIN IMMEDIATE` transaction, which admits one writer at a time, and is on disk when the call
returns (`synchronous=FULL`). The file uses a write-ahead log, which needs a local file system, not a network share.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from synth_pipeline.errors import LedgerError, PrivacyError
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.ledger import admission, book
from synth_pipeline.privacy.ledger.chain import (
    GENESIS,
    ChainReport,
    Head,
    canonical_json,
    entry_digest,
    verify_chain,
)
from synth_pipeline.privacy.ledger.contract import (
    ALL_COHORTS,
    EPSILON_TOLERANCE,
    Account,
    Cap,
    Charge,
    Entry,
    Kind,
    Reservation,
    WalkKey,
    WalkRecord,
)

APPLICATION_ID = 0x53504C47
SCHEMA_VERSION = 1
BUSY_SECONDS = 60.0

_COLUMNS = "sequence, at, kind, dataset, cohort, reservation, body, previous, digest"
_SCHEMA = """
CREATE TABLE entry (
    sequence INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, dataset TEXT NOT NULL, cohort TEXT NOT NULL,
    reservation INTEGER NOT NULL, body TEXT NOT NULL, previous TEXT NOT NULL, digest TEXT NOT NULL
);
CREATE INDEX entry_of_dataset ON entry (dataset, sequence);
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), entries INTEGER NOT NULL, digest TEXT NOT NULL);
CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entries are only added'); END;
CREATE TRIGGER entry_is_never_removed BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'entries are only added'); END;
"""


def open_ledger(path: Path | None = None) -> "SqliteLedger":
    """Return the ledger in a file; the file is made by the first reservation that is admitted.

    Args:
        path: the file; without one `ledger.sqlite` in `$SYNTH_PIPELINE_HOME`, or in `.synth_pipeline` where that is unset.
    """
    if path is None:
        path = Path(os.environ.get("SYNTH_PIPELINE_HOME") or ".synth_pipeline") / "ledger.sqlite"
    return SqliteLedger(Path(path))


@dataclass(frozen=True, slots=True)
class SqliteLedger:
    """A ledger in a SQLite file; see `Ledger` for what its operations promise.

    Holds no connection between calls, so it may be pickled, forked and shared between threads.

    Attributes:
        path: the file.
    """

    path: Path

    def reserve(self, key: WalkKey, charge: Charge, *, cap: Cap, cohort: str = ALL_COHORTS) -> Reservation:
        """Admit a charge, or refuse it before anything is written; see `Ledger.reserve`."""

        def admit(entries: tuple[Entry, ...]) -> Reservation | None:
            records = book.read_book(entries)
            kept = book.reuse(book.find_record(records, key), charge, cohort)
            if kept is None:
                admission.require_room(key.dataset, charge, cap=cap, cohort=cohort, records=records.values())
            return kept

        # First without the lock: a refusal writes nothing at all, and the costly part of the composition is remembered.
        kept = admit(self.history(key.dataset))
        if kept is not None:
            return kept
        with self._writing(create=True) as connection:
            kept = admit(_select(connection, key.dataset))
            if kept is not None:
                return kept
            body = book.reserve_body(key, charge, cap)
            entry = _append(connection, "reserve", (key.dataset, cohort), reservation=None, body=body)
        return book.reservation_of(entry)

    def mark_read(self, reservation: Reservation, *, stage: str = "walk") -> None:
        """Announce a stage's first private answer; see `Ledger.mark_read`."""
        self._step(reservation, "read", {"stage": stage}, lambda record: book.require_readable(record, stage))

    def commit(self, reservation: Reservation, realised_events: Sequence[Event], realised_epsilon: float) -> None:
        """Record what a walk did; see `Ledger.commit`."""
        charge = reservation.charge
        if not realised_events:
            raise PrivacyError(f"reservation {reservation.number}: a walk that has read has at least one event")
        epsilon = max(realised_epsilon, composed_epsilon(realised_events, charge.delta))
        body = {"events": [event.to_dict() for event in realised_events], "epsilon": epsilon}
        self._step(reservation, "commit", body, book.require_committable)
        if epsilon > charge.epsilon * (1 + EPSILON_TOLERANCE):
            raise PrivacyError(
                f"reservation {reservation.number} of dataset {reservation.key.dataset!r}: the walk cost ε={epsilon:.6g} "
                f"where ε={charge.epsilon:.6g} was reserved; the ledger holds what it cost: do not release its results"
            )

    def release(self, reservation: Reservation, reason: str) -> None:
        """Give a charge back that has not been read; see `Ledger.release`."""
        self._step(reservation, "release", {"reason": reason}, book.require_releasable)

    def find(self, key: WalkKey) -> WalkRecord | None:
        """Return the latest record under a key, released ones aside."""
        return book.find_record(book.read_book(self.history(key.dataset)), key)

    def account(self, dataset: str, cap: Cap | None = None) -> Account:
        """Return what is spent, reserved and left; see `Ledger.account`."""
        entries = self.history(dataset)
        records = book.read_book(entries)
        if cap is None:
            if not records:
                raise LedgerError(
                    f"dataset {dataset!r} was never charged in {self.path}; check the name, or give its spec for the cap"
                )
            cap = records[max(records)].reservation.cap
        return admission.build_account(dataset, cap, records=records.values(), entries=entries)

    def history(self, dataset: str | None = None) -> tuple[Entry, ...]:
        """Return the entries, oldest first; none when there is no ledger file yet."""
        if not self.path.exists():
            return ()
        with self._connected() as connection:
            return _select(connection, dataset)

    def head(self) -> Head:
        """Return how many entries there are and the last one's digest."""
        if not self.path.exists():
            return Head(0, GENESIS)
        with self._connected() as connection:
            return _head(connection)

    def verify(self, anchors: Sequence[Head] = ()) -> ChainReport:
        """Check the chain against its head and anchors, and that it tells a possible story; see `chain`."""
        if not self.path.exists():
            return verify_chain((), Head(0, GENESIS), anchors)
        with self._connected() as connection:
            connection.execute("BEGIN")
            entries, head = _select(connection, None), _head(connection)
        report = verify_chain([entry.to_dict() for entry in entries], head, anchors)
        try:
            book.read_book(entries)
        except LedgerError as error:
            return ChainReport(report.entries, (*report.faults, str(error)))
        return report

    def _step(
        self, reservation: Reservation, kind: Kind, body: dict[str, Any], require: Callable[[WalkRecord], None]
    ) -> None:
        """Add an entry to a reservation that `require` does not object to."""
        if not self.path.exists():
            raise LedgerError(f"ledger {self.path}: the file is gone; restore it before anything is read")
        with self._writing(create=False) as connection:
            dataset = reservation.key.dataset
            record = book.read_book(_select(connection, dataset)).get(reservation.number)
            if record is None or record.reservation != reservation:
                raise LedgerError(f"ledger {self.path}: it holds no reservation {reservation.number} like this one")
            require(record)
            _append(connection, kind, (dataset, reservation.cohort), reservation=reservation.number, body=body)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                _check_schema(connection, self.path)
                yield connection
        except sqlite3.Error as error:
            raise LedgerError(_translate(error, self.path)) from error

    @contextmanager
    def _writing(self, *, create: bool) -> Iterator[sqlite3.Connection]:
        """Hold the write lock; what the block did is durable when it ends, and undone when it raises."""
        if create and not self.path.exists():
            _create(self.path)
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def _create(path: Path) -> None:
    """Make the file with its tables; safe when several processes do so at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
            _use_write_ahead_log(connection)
            connection.execute("BEGIN EXCLUSIVE")
            if not _is_ledger(connection):
                for statement in _statements():
                    connection.execute(statement)
            connection.execute("COMMIT")
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(_translate(error, path)) from error


def _statements() -> list[str]:
    created = [part.strip() for part in _SCHEMA.strip().split("\n") if part.strip()]
    return created


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the journal; SQLite does not wait for other processes here by itself."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
