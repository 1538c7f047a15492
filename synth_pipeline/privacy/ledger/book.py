"""The book: what a sequence of entries says, and which entry may come next.

Belongs here: pure rules on entries, the same for every store. Does not: storage, or what fits under a cap (admission).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from synth_pipeline.errors import LedgerError
from synth_pipeline.privacy.events import event_from_dict
from synth_pipeline.privacy.ledger.contract import (
    Cap,
    Charge,
    Entry,
    Reservation,
    WalkKey,
    WalkRecord,
)

Records = dict[int, WalkRecord]


def read_book(entries: Iterable[Entry]) -> Records:
    """Return the record of every reservation, by number, that the entries tell of.

    Raises:
        LedgerError: when an entry contradicts those before it, which only a damaged ledger holds.
    """
    records: Records = {}
    for entry in entries:
        try:
            records[entry.reservation] = _STEPS[entry.kind](records.get(entry.reservation), entry)
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerError(
                f"ledger: entry {entry.sequence} cannot be read ({type(error).__name__}); "
                "the file is damaged: run `ledger verify` and restore a backup"
            ) from error
    return records


def reserve_body(key: WalkKey, charge: Charge, cap: Cap) -> dict[str, Any]:
    """Return what a reserve entry carries."""
    return {"key": asdict(key), "charge": charge.to_dict(), "cap": asdict(cap)}


def reservation_of(entry: Entry) -> Reservation:
    """Read the reservation that a reserve entry made."""
    body = entry.body
    return Reservation(
        number=entry.sequence,
        key=WalkKey(**body["key"]),
        charge=Charge.from_dict(body["charge"]),
        cap=Cap(**body["cap"]),
        cohort=entry.cohort,
    )


def find_record(records: Records, key: WalkKey) -> WalkRecord | None:
    """Return the latest record under a key, released ones aside."""
    found = [r for r in records.values() if r.reservation.key == key and r.status != "released"]
    return found[-1] if found else None


def reuse(record: WalkRecord | None, charge: Charge, cohort: str) -> Reservation | None:
    """Return the reservation to hand out again for a key, or None when a new one is due.

    Raises:
        LedgerError: when the key was read before, or is reserved for another charge or cohort.
    """
    if record is None:
        return None
    kept = record.reservation
    if record.status != "reserved":
        raise LedgerError(
            f"walk {kept.key.walk_id!r} of dataset {kept.key.dataset!r} has read its snapshot and stays charged "
            f"(reservation {kept.number}, {record.status}); to read again start a new walk with a new walk_id"
        )
    if kept.charge != charge or kept.cohort != cohort:
        raise LedgerError(
            f"walk {kept.key.walk_id!r} of dataset {kept.key.dataset!r} is reserved for another charge "
            f"(reservation {kept.number}); release it first or use a new walk_id"
        )
    return kept


def require_readable(record: WalkRecord, stage: str) -> None:
    """Refuse to announce a stage twice, or a stage of a closed walk.

    Raises:
        LedgerError: when the stage was announced before, or the walk is committed or released.
    """
    number = record.reservation.number
    if record.status in {"committed", "released"}:
        raise LedgerError(f"reservation {number} is {record.status}; nothing more may be read under it: reserve anew")
    if stage in record.stages_read:
        raise LedgerError(
            f"reservation {number}: stage {stage!r} has read its snapshot before; a second read needs a new walk_id"
        )


def require_committable(record: WalkRecord) -> None:
    """Refuse to commit a walk that has not read, or is closed.

    Raises:
        LedgerError: when the walk is not in status read.
    """
    if record.status != "read":
        raise LedgerError(
            f"reservation {record.reservation.number} is {record.status}, and only a walk that has read can be "
            "committed; release one that has not"
        )


def require_releasable(record: WalkRecord) -> None:
    """Refuse to give back what was read, or is closed.

    Raises:
        LedgerError: when the walk is not in status reserved.
    """
    if record.status != "reserved":
        raise LedgerError(
            f"reservation {record.reservation.number} is {record.status}; only one that has not been read can be "
            "released: what was read stays charged"
        )


def _on_reserve(before: WalkRecord | None, entry: Entry) -> WalkRecord:
    if before is not None or entry.reservation != entry.sequence:
        raise ValueError("a reservation made twice")
    made = reservation_of(entry)
    return WalkRecord(made, "reserved", frozenset(), made.charge.events, made.charge.epsilon)


def _on_read(before: WalkRecord | None, entry: Entry) -> WalkRecord:
    record = _existing(before)
    require_readable(record, entry.body["stage"])
    return replace(record, status="read", stages_read=record.stages_read | {entry.body["stage"]})


def _on_commit(before: WalkRecord | None, entry: Entry) -> WalkRecord:
    record = _existing(before)
    require_committable(record)
    events = tuple(event_from_dict(event) for event in entry.body["events"])
    return replace(record, status="committed", events=events, epsilon=entry.body["epsilon"])


def _on_release(before: WalkRecord | None, entry: Entry) -> WalkRecord:
    record = _existing(before)
    require_releasable(record)
    if not isinstance(entry.body["reason"], str):
        raise TypeError("a release without a reason")
    return replace(record, status="released", events=(), epsilon=0.0)


def _existing(record: WalkRecord | None) -> WalkRecord:
    if record is None:
        raise ValueError("an entry of a reservation that was never made")
    return record


_STEPS: Mapping[str, Callable[[WalkRecord | None, Entry], WalkRecord]] = {
    "reserve": _on_reserve,
    "read": _on_read,
    "commit": _on_commit,
    "release": _on_release,
}
