"""The SQLite store of the ledger: one file, many processes, nobody overspends.

Belongs here: the operations. Does not: rules (book, admission), digests (chain), or tables and locks (sqlite_file).
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_pipeline.errors import LedgerError, PrivacyError
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.ledger import admission, book
from synth_pipeline.privacy.ledger.chain import GENESIS, ChainReport, Head, verify_chain
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
from synth_pipeline.privacy.ledger.sqlite_file import append_entry, connected, select_entries, stored_head, writing


def open_ledger(path: Path | str | None = None) -> "SqliteLedger":
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

    @staticmethod
    def open(path: Path | str | None = None) -> "SqliteLedger":
        """Return the ledger in a file; see `open_ledger`."""
        return open_ledger(path)

    def reserve(self, key: WalkKey, charge: Charge, *, cap: Cap, cohort: str = ALL_COHORTS) -> Reservation:
        """Admit a charge, or refuse it before anything is written; see `Ledger.reserve`."""

        def admit(entries: tuple[Entry, ...]) -> Reservation | None:
            records = book.read_book(entries)
            kept = book.reuse(book.find_record(records, key), charge, cohort)
            if kept is None:
                admission.require_room(key.dataset, charge, cap=cap, cohort=cohort, records=records.values())
            return kept

        admission.require_honest(charge)
        # First without the lock: a refusal writes nothing at all, and the costly part of the composition is remembered.
        kept = admit(self.history(key.dataset))
        if kept is not None:
            return kept
        with writing(self.path, create=True) as connection:
            kept = admit(select_entries(connection, key.dataset))
            if kept is not None:
                return kept
            body = book.reserve_body(key, charge, cap)
            entry = append_entry(connection, "reserve", block=(key.dataset, cohort), reservation=None, body=body)
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
        with connected(self.path) as connection:
            return select_entries(connection, dataset)

    def head(self) -> Head:
        """Return how many entries there are and the last one's digest."""
        if not self.path.exists():
            return Head(0, GENESIS)
        with connected(self.path) as connection:
            return stored_head(connection)

    def verify(self, anchors: Sequence[Head] = ()) -> ChainReport:
        """Check the chain against its head and anchors, and that it tells a possible story; see `chain`."""
        if not self.path.exists():
            return verify_chain((), Head(0, GENESIS), anchors)
        with connected(self.path) as connection:
            connection.execute("BEGIN")
            entries, head = select_entries(connection, None), stored_head(connection)
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
        with writing(self.path, create=False) as connection:
            dataset = reservation.key.dataset
            record = book.read_book(select_entries(connection, dataset)).get(reservation.number)
            if record is None or record.reservation != reservation:
                raise LedgerError(f"ledger {self.path}: it holds no reservation {reservation.number} like this one")
            require(record)
            block = (dataset, reservation.cohort)
            append_entry(connection, kind, block=block, reservation=reservation.number, body=body)
