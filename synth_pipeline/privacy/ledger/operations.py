"""The operations of the ledger, the same for every store: reserve, mark_read, commit, close, release, record, and reading.

Belongs here: the order of steps in one transaction. Does not: rules (book, admission), digests (chain), or storage (sqlite, postgres).
"""

import os
import pwd
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from synth_pipeline.errors import LedgerError, PrivacyError
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.ledger import admission, book
from synth_pipeline.privacy.ledger.account import Account
from synth_pipeline.privacy.ledger.admission import Holdings
from synth_pipeline.privacy.ledger.chain import ChainReport, Head, verify_chain
from synth_pipeline.privacy.ledger.contract import (
    ALL_COHORTS,
    EPSILON_TOLERANCE,
    Cap,
    Charge,
    Entry,
    Kind,
    Reservation,
    Said,
    WalkKey,
    WalkRecord,
)
from synth_pipeline.privacy.ledger.cover import covering
from synth_pipeline.privacy.ledger.store import Page, Store

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class StoredLedger:
    """A ledger in a store; see `Ledger` for what its operations promise.

    Attributes:
        store: where its entries are.
        clock: tells the time, in UTC; None: the store does. Time never runs backwards along the chain: an entry is as late as
            the one before it or later, so a clock that is put back brings no old period's budget again.
    """

    store: Store
    clock: Clock | None = None

    @staticmethod
    def open(place: Path | str | None = None) -> "StoredLedger":
        """Return the ledger in a file or on a PostgreSQL server; see `place.open_ledger`."""
        from synth_pipeline.privacy.ledger.place import open_ledger

        return open_ledger(place)

    @property
    def place(self) -> str:
        """Where it is, for people: a path, or an address without its password."""
        return self.store.place

    def reserve(
        self, key: WalkKey, charge: Charge, *, cap: Cap, cohort: str | Sequence[str] = ALL_COHORTS
    ) -> Reservation:
        """Admit a charge, or refuse it before anything is written; see `Ledger.reserve`."""
        admission.require_honest(charge)
        wanted = Reservation(0, key, charge, cap=cap, blocks=book.named_blocks(cohort), by=_account_of_this_process())

        def change(page: Page) -> Reservation:
            kept = self._kept(page, wanted)
            if kept is not None:
                return kept
            body = book.reserve_body(wanted, self._now(page))
            return book.reservation_of(self._append(page, "reserve", wanted, body))

        # First without the lock: a refusal writes nothing at all, and the costly part of the composition is remembered.
        return self.store.ask_or_write(lambda page: self._kept(page, wanted), change)

    def require_room(
        self, dataset: str, charge: Charge, *, cap: Cap, cohort: str | Sequence[str] = ALL_COHORTS
    ) -> None:
        """Refuse a charge that `reserve` would refuse now; see `Ledger.require_room`."""
        admission.require_honest(charge)
        blocks = book.named_blocks(cohort)
        records, now = self.store.read(lambda page: (book.read_book(page.entries(dataset)), self._now(page)))
        holdings = Holdings.at(now, dataset=dataset, cap=cap, records=records.values())
        admission.require_room(charge, blocks, holdings)

    def mark_read(self, reservation: Reservation, *, stage: str = "walk") -> None:
        """Announce a stage's first private answer; see `Ledger.mark_read`."""
        self._step(reservation, "read", {"stage": stage}, lambda record: book.require_readable(record, stage))

    def commit(self, reservation: Reservation, realised_events: Sequence[Event], realised_epsilon: float) -> None:
        """Record what a walk did and close it; see `Ledger.commit`."""
        charge = reservation.charge
        if not realised_events:
            raise PrivacyError(f"reservation {reservation.number}: a walk that has read has at least one event")
        epsilon = max(realised_epsilon, composed_epsilon(covering(charge.events, realised_events), charge.delta))
        body = {"events": [event.to_dict() for event in realised_events], "epsilon": epsilon}
        self._step(reservation, "commit", body, book.require_committable)
        if epsilon > charge.epsilon * (1 + EPSILON_TOLERANCE):
            raise PrivacyError(
                f"reservation {reservation.number} of dataset {reservation.key.dataset!r}: the walk cost ε={epsilon:.6g} "
                f"where ε={charge.epsilon:.6g} was reserved; the ledger holds what it cost: do not release its results"
            )

    def close(self, reservation: Reservation, reason: str) -> None:
        """Close a walk that read rows and will never be committed; see `Ledger.close`."""
        charge = reservation.charge
        events = [event.to_dict() for event in charge.events]
        body = {"events": events, "epsilon": charge.epsilon, "reason": reason}
        self._step(reservation, "commit", body, book.require_committable)

    def release(self, reservation: Reservation, reason: str) -> None:
        """Give a charge back that has not been read; see `Ledger.release`."""
        self._step(reservation, "release", {"reason": reason}, book.require_releasable)

    def record(
        self, dataset: str, body: Mapping[str, Any], *, reservation: int = 0, unless: Said | None = None
    ) -> Entry:
        """Keep in the chain what changes no budget; see `Ledger.record`."""

        def change(page: Page) -> Entry:
            entries = page.entries(dataset)
            if reservation and all(entry.reservation != reservation for entry in entries):
                raise LedgerError(f"ledger {self.place}: it holds no reservation {reservation} of dataset {dataset!r}")
            said = None if unless is None else unless(entries)
            if said is not None:
                return said
            entry = book.record_entry(dataset, body, reservation, head=page.head(), now=self._now(page))
            page.append(entry)
            return entry

        return self.store.write(change, create=False)

    def find(self, key: WalkKey) -> WalkRecord | None:
        """Return the latest record under a key, released ones aside."""
        return book.find_record(book.read_book(self.history(key.dataset)), key)

    def walks(self, dataset: str | None = None) -> tuple[WalkRecord, ...]:
        """Return the record of every reservation, oldest first."""
        return tuple(book.read_book(self.history(dataset)).values())

    def account(self, dataset: str, cap: Cap | None = None) -> Account:
        """Return what is spent, reserved and left; see `Ledger.account`."""
        entries, now = self.store.read(lambda page: (page.entries(dataset), self._now(page)))
        records = tuple(book.read_book(entries).values())
        if cap is None:
            if not records:
                raise LedgerError(
                    f"dataset {dataset!r} was never charged in {self.place}; check the name, or give its spec for the cap"
                )
            cap = records[-1].reservation.cap
        holdings = Holdings.at(now, dataset=dataset, cap=cap, records=records)
        return admission.build_account(holdings, records=records, entries=entries)

    def history(self, dataset: str | None = None) -> tuple[Entry, ...]:
        """Return the entries, oldest first; none where no ledger was made yet."""
        return self.store.read(lambda page: page.entries(dataset))

    def head(self) -> Head:
        """Return how many entries there are and the last one's digest."""
        return self.store.read(lambda page: page.head())

    def verify(self, anchors: Sequence[Head] = ()) -> ChainReport:
        """Check the chain against its head and anchors, and that it tells a possible story; see `chain`."""
        entries, head = self.store.read(lambda page: (page.entries(), page.head()))
        report = verify_chain([entry.to_dict() for entry in entries], head, anchors)
        try:
            book.read_book(entries)
        except LedgerError as error:
            return ChainReport(report.entries, (*report.faults, str(error)))
        return report

    def _kept(self, page: Page, wanted: Reservation) -> Reservation | None:
        """Return the reservation that a walk has already, or None where a new one is admitted."""
        records = book.read_book(page.entries(wanted.key.dataset))
        kept = book.reuse(book.find_record(records, wanted.key), wanted.charge, wanted.blocks)
        if kept is None:
            holdings = Holdings.at(
                self._now(page), dataset=wanted.key.dataset, cap=wanted.cap, records=records.values()
            )
            admission.require_room(wanted.charge, wanted.blocks, holdings)
        return kept

    def _step(
        self,
        reservation: Reservation,
        kind: Kind,
        body: Mapping[str, Any],
        require: Callable[[WalkRecord], None],
    ) -> None:
        """Add an entry to a reservation that `require` does not object to."""

        def change(page: Page) -> None:
            record = book.read_book(page.entries_of(reservation.number)).get(reservation.number)
            if record is None or record.reservation != reservation:
                raise LedgerError(f"ledger {self.place}: it holds no reservation {reservation.number} like this one")
            require(record)
            self._append(page, kind, reservation, body)

        self.store.write(change, create=False)

    def _append(self, page: Page, kind: Kind, about: Reservation, body: Mapping[str, Any]) -> Entry:
        """Add the next entry of the chain; one about reservation 0 makes a reservation of its own number."""
        entry = book.next_entry(kind, about, body, head=page.head(), now=self._now(page))
        page.append(entry)
        return entry

    def _now(self, page: Page) -> datetime:
        """Return the time, never earlier than the last entry's."""
        now, last = (page.now() if self.clock is None else self.clock()), page.last_time()
        return now if last is None else max(now, datetime.fromisoformat(last))


def _account_of_this_process() -> str:
    """Return the operating system's account that this process runs as; asked of the system, not of the environment."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
