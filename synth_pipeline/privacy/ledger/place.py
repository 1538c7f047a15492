"""Where a ledger is: a file, or a PostgreSQL database; given, or by the environment, or in the home folder.

Belongs here: from a word of the operator to a store. Does not: stores (sqlite, postgres).
"""

import os
from pathlib import Path

from synth_pipeline.errors import LedgerError
from synth_pipeline.privacy.ledger.operations import Clock, StoredLedger
from synth_pipeline.privacy.ledger.sqlite import SqliteStore

LEDGER_VARIABLE = "SYNTH_PIPELINE_LEDGER"
_SCHEMES = ("postgresql://", "postgres://")


def open_ledger(place: Path | str | None = None, *, clock: Clock | None = None) -> StoredLedger:
    """Return a ledger; its file or tables are made by the first reservation that is admitted.

    Args:
        place: path of a SQLite file, or `postgresql://user@host/database`. Without one, what `$SYNTH_PIPELINE_LEDGER` says, a
            relative path lying in the home folder; else `ledger.sqlite` in it. The home folder is `$SYNTH_PIPELINE_HOME`, or
            `.synth_pipeline` where that is unset.
        clock: tells the time in UTC; default: this machine's clock for a file, the server's for PostgreSQL.

    Raises:
        LedgerError: for a URL that cannot be read, or of anything but PostgreSQL.
    """
    if place is None:
        word = os.environ.get(LEDGER_VARIABLE) or "ledger.sqlite"
        place = word if "://" in word else Path(os.environ.get("SYNTH_PIPELINE_HOME") or ".synth_pipeline") / word
    if isinstance(place, str) and place.startswith(_SCHEMES):
        from synth_pipeline.privacy.ledger.postgres import PostgresStore

        return StoredLedger(PostgresStore.at(place), clock)
    if isinstance(place, str) and "://" in place:
        scheme = place.partition("://")[0]
        raise LedgerError(
            f"ledger: {scheme}:// is not supported; use the path of a file, or postgresql://user:password@host:port/database"
        )
    return StoredLedger(SqliteStore(Path(place)), clock)
