"""The book: what a sequence of entries says, and which entry may come next.

Belongs here: pure rules on entries, the same for every store. Does not: storage, or what fits under a cap (admission).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from synth_pipeline.errors import LedgerError
from synth_pipeline.privacy.events import event_from_dict
from synth_pipeline.privacy.ledger.chain import Head, canonical_json, entry_digest
from synth_pipeline.privacy.ledger.contract import (
    ALL_COHORTS,
    Cap,
    Charge,
    Entry,
    Kind,
    Reservation,
    WalkKey,
    WalkRecord,
)
from synth_pipeline.privacy.ledger.cover import covering
from synth_pipeline.spec.period import Period

Records = dict[int, WalkRecord]
RECORD: Kind = "record"
"""The kind of entries that change no budget."""


def read_book(entries: Iterable[Entry]) -> Records:
    """Return the record of every reservation, by number, that the entries tell of; what was only recorded changes none.

    Raises:
        LedgerError: when an entry contradicts those before it, which only a damaged ledger holds.
    """
    records: Records = {}
    for entry in entries:
        try:
            if entry.kind == RECORD:
                _require_record(entry, records)
                continue
            records[entry.reservation] = _STEPS[entry.kind](records.get(entry.reservation), entry)
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerError(
                f"ledger: entry {entry.sequence} cannot be read ({type(error).__name__}); "
                "the file is damaged: run `ledger verify` and restore a backup"
            ) from error
    return records


def named_blocks(cohort: str | Sequence[str]) -> tuple[str, ...]:
    """Return the blocks that a caller named, sorted and once each; everyone, where "all" is among them.

    Raises:
        LedgerError: when none is named.
    """
    blocks = {cohort} if isinstance(cohort, str) else set(cohort)
    if not blocks or not all(blocks):
        raise LedgerError(f"cohort: a charge touches at least one block of people; name it, or use {ALL_COHORTS!r}")
    return (ALL_COHORTS,) if ALL_COHORTS in blocks else tuple(sorted(blocks))


def reserve_body(reservation: Reservation, now: datetime) -> dict[str, Any]:
    """Return what a reserve entry carries; its digest thus covers blocks, cap and period too."""
    period = reservation.cap.period
    bounds = None if period is None else [moment.isoformat() for moment in Period(period).around(now)]
    return {
        "key": asdict(reservation.key),
        "charge": reservation.charge.to_dict(),
        "cap": asdict(reservation.cap),
        "blocks": list(reservation.blocks),
        "by": reservation.by,
        "period": bounds,
    }


def next_entry(kind: Kind, about: Reservation, body: Mapping[str, Any], *, head: Head, now: datetime) -> Entry:
    """Return the entry that follows a chain's head.

    Args:
        kind: what it says.
        about: the reservation that it belongs to; number 0: the one that it makes.
        body: what the kind carries.
        head: the chain's head.
        now: the time.
    """
    number = about.number or head.entries + 1
    fields = {"kind": kind, "dataset": about.key.dataset, "cohort": about.cohort, "reservation": number}
    return _linked(fields, body, head=head, now=now)


def record_entry(dataset: str, body: Mapping[str, Any], reservation: int, *, head: Head, now: datetime) -> Entry:
    """Return the entry that follows a chain's head and records what changes no budget.

    Args:
        dataset: which dataset.
        body: what happened; a word for it under `what`.
        reservation: the walk's number; 0: of no walk in this ledger.
        head: the chain's head.
        now: the time.

    Raises:
        LedgerError: when the body says no `what`.
    """
    if not _says_what(body):
        raise LedgerError("ledger: a record says what happened, in a word under 'what'")
    fields = {"kind": RECORD, "dataset": dataset, "cohort": "", "reservation": reservation}
    return _linked(fields, body, head=head, now=now)


def _linked(fields: Mapping[str, Any], body: Mapping[str, Any], *, head: Head, now: datetime) -> Entry:
    whole: dict[str, Any] = {
        "sequence": head.entries + 1,
        "at": now.astimezone(UTC).isoformat(timespec="microseconds"),
        **fields,
        "body": json.loads(canonical_json(body)),
        "previous": head.digest,
    }
    return Entry(**whole, digest=entry_digest(whole))


def reservation_of(entry: Entry) -> Reservation:
    """Read the reservation that a reserve entry made; the first version's entries name one block, outside the body."""
    body = entry.body
    return Reservation(
        number=entry.sequence,
        key=WalkKey(**body["key"]),
        charge=Charge.from_dict(body["charge"]),
        cap=Cap(**body["cap"]),
        blocks=tuple(body.get("blocks", (entry.cohort,))),
        by=body.get("by"),
    )


def find_record(records: Records, key: WalkKey) -> WalkRecord | None:
    """Return the latest record under a key, released ones aside."""
    found = [r for r in records.values() if r.reservation.key == key and r.status != "released"]
    return found[-1] if found else None


def reuse(record: WalkRecord | None, charge: Charge, blocks: tuple[str, ...]) -> Reservation | None:
    """Return the reservation to hand out again for a key, or None when a new one is due.

    Raises:
        LedgerError: when the key was read before, or is reserved for another charge or other blocks.
    """
    if record is None:
        return None
    kept = record.reservation
    if record.status != "reserved":
        raise LedgerError(
            f"walk {kept.key.walk_id!r} of dataset {kept.key.dataset!r} has read its snapshot and stays charged "
            f"(reservation {kept.number}, {record.status}); to read again start a new walk with a new walk_id"
        )
    if kept.charge != charge or kept.blocks != blocks:
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
        remedy = "it has read nothing: release it" if record.status == "reserved" else "nothing is left to do"
        raise LedgerError(
            f"reservation {record.reservation.number} is {record.status}, and only a walk that has read and is open can be "
            f"committed or closed; {remedy}"
        )


def require_releasable(record: WalkRecord) -> None:
    """Refuse to give back what was read, or is closed.

    Raises:
        LedgerError: when the walk is not in status reserved.
    """
    if record.status == "released":
        raise LedgerError(f"reservation {record.reservation.number} was released before; nothing is left to do")
    if record.status != "reserved":
        raise LedgerError(
            f"reservation {record.reservation.number} is {record.status}; only one that has not been read can be "
            "released: what was read stays charged"
        )


def _on_reserve(before: WalkRecord | None, entry: Entry) -> WalkRecord:
    if before is not None or entry.reservation != entry.sequence:
        raise ValueError("a reservation made twice")
    made = reservation_of(entry)
    return WalkRecord(made, "reserved", frozenset(), made.charge.events, made.charge.epsilon, since=entry.at)


def _on_read(before: WalkRecord | None, entry: Entry) -> WalkRecord:
    record = _existing(before)
    require_readable(record, entry.body["stage"])
    return replace(record, status="read", stages_read=record.stages_read | {entry.body["stage"]})


def _on_commit(before: WalkRecord | None, entry: Entry) -> WalkRecord:
    record = _existing(before)
    require_committable(record)
    realised = tuple(event_from_dict(event) for event in entry.body["events"])
    events = covering(record.reservation.charge.events, realised)
    epsilon = entry.body["epsilon"]
    return replace(record, status="committed", events=events, epsilon=epsilon, closed=entry.at, realised=realised)


def _on_release(before: WalkRecord | None, entry: Entry) -> WalkRecord:
    record = _existing(before)
    require_releasable(record)
    if not isinstance(entry.body["reason"], str):
        raise TypeError("a release without a reason")
    return replace(record, status="released", events=(), epsilon=0.0, closed=entry.at)


def _require_record(entry: Entry, records: Records) -> None:
    if not _says_what(entry.body) or (entry.reservation and entry.reservation not in records):
        raise ValueError("a record of nothing, or of a reservation that was never made")


def _says_what(body: Mapping[str, Any]) -> bool:
    return isinstance(body.get("what"), str) and bool(body["what"])


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
