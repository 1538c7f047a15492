"""Entries as rows of a table, the same in every store: the body as its canonical JSON text.

Belongs here: the map between the two. Does not: statements (sqlite, postgres), or what a body says (book).
"""

import json
from typing import Any

from synth_pipeline.privacy.ledger.chain import canonical_json
from synth_pipeline.privacy.ledger.contract import Entry

COLUMNS = "sequence, at, kind, dataset, cohort, reservation, body, previous, digest"


def entry_of_row(row: tuple[Any, ...]) -> Entry:
    """Return a row's entry; a body that is no JSON is kept as it is, so that `verify` goes on and says that it was changed."""
    sequence, at, kind, dataset, cohort, reservation, body, previous, digest = row
    try:
        content = json.loads(body)
    except ValueError:
        content = {"unreadable": body}
    return Entry(sequence, at, kind, dataset, cohort, reservation, content, previous, digest)


def row_of_entry(entry: Entry) -> tuple[Any, ...]:
    """Return an entry's row, in the order of `COLUMNS`."""
    return (
        entry.sequence,
        entry.at,
        entry.kind,
        entry.dataset,
        entry.cohort,
        entry.reservation,
        canonical_json(entry.body),
        entry.previous,
        entry.digest,
    )
