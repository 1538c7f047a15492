"""Whether the ledger of a home is still the one under which its snapshots were walked; a lost one would give every budget anew.

Belongs here: comparing what is stored with the ledger. Does not: the chain's own verification (privacy.ledger), which sees no other file.

What is stored names its walk and the number of its reservation, and a reservation is never removed from a ledger. So a ledger that lacks
one was deleted, put back to an earlier day, or is another one. A home whose stores were emptied too has nothing to be compared with: an
anchor noted elsewhere (`ledger verify --anchor`) still tells.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synth_pipeline.errors import LedgerError
from synth_pipeline.integrations.stores import Home, Store
from synth_pipeline.privacy.ledger import Ledger, WalkRecord, open_ledger
from synth_pipeline.reserve import DRIFT_SUFFIX, root_walk_id

_NOTE, _NOTE_FILE, _ORIGIN = "release.in_force", "release.json", "origin.json"
_ANSWERED = ("profile", "drift_report")
"""Stored results that rest on rows which were read."""


def require_same_ledger(home: Home, dataset: str) -> None:
    """Refuse a walk of a dataset whose ledger lacks walks that this home holds results of.

    Raises:
        LedgerError: if it does; nothing was read or written.
    """
    origin = next(_origins(home, dataset), None)
    if origin is None:
        return
    ledger = open_ledger(home.ledger)
    if not _is_held(ledger, dataset, origin):
        raise LedgerError(
            f"ledger {ledger.place}: it does not hold walk {origin['walk']['walk_id']!r} of {dataset}, whose results are in this home,"
            " so it was deleted, put back to an earlier day, or is not the ledger of this home. Nothing was read. Put it back from a"
            " copy, or set $SYNTH_PIPELINE_LEDGER to its place"
        )


def _is_held(ledger: Ledger, dataset: str, origin: dict[str, Any]) -> bool:
    return any(
        record.reservation.number == origin["reservation"] and _is_of(record, origin["walk"]["walk_id"])
        for record in ledger.walks(dataset)
    )


def _is_of(record: WalkRecord, walk_id: str) -> bool:
    """Whether a reservation is a walk's own, or that of a threshold which answers for later walks too."""
    reserved = record.reservation.key.walk_id
    return root_walk_id(reserved) == walk_id or reserved.endswith(DRIFT_SUFFIX)


def _origins(home: Home, dataset: str) -> Iterator[dict[str, Any]]:
    """The walk of the release in force, then those that answered something."""
    store = home.released
    if store.has(dataset, _NOTE):
        note = store.read(lambda folder: _read(folder / _NOTE_FILE), dataset, _NOTE)
        yield from _origin(store, dataset, note["snapshot"], "release")
    for partition in reversed(store.names(dataset)):
        for answered in _ANSWERED:
            yield from _origin(store, dataset, partition, answered)


def _origin(store: Store, *place: str) -> Iterator[dict[str, Any]]:
    if store.has(*place):
        yield store.read(lambda folder: _read(folder / _ORIGIN), *place)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
