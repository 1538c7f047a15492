"""The ledger's SQLite file: tables, connections, the write lock, and rows as entries.

Belongs here: everything that speaks SQL. Does not: what an operation may do (sqlite, book).

Every change runs in one `BEGIN IMMEDIATE` transaction, which admits one writer at a time, and is on disk when it ends
(`synchronous=FULL`). The file uses a write-ahead log, which needs a local file system, not a network share.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from synth_pipeline.errors import LedgerError
from synth_pipeline.privacy.ledger.chain import GENESIS, Head, canonical_json, entry_digest
from synth_pipeline.privacy.ledger.contract import Entry, Kind

APPLICATION_ID = 0x53504C47
SCHEMA_VERSION = 1
BUSY_SECONDS = 60.0

_SCHEMA = (
    """CREATE TABLE entry (
        sequence INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, dataset TEXT NOT NULL, cohort TEXT NOT NULL,
        reservation INTEGER NOT NULL, body TEXT NOT NULL, previous TEXT NOT NULL, digest TEXT NOT NULL)""",
    "CREATE INDEX entry_of_dataset ON entry (dataset, sequence)",
    "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), entries INTEGER NOT NULL, digest TEXT NOT NULL)",
    "CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entries are only added'); END",
    "CREATE TRIGGER entry_is_never_removed BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'entries are only added'); END",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_SELECT_ALL = """
SELECT sequence, at, kind, dataset, cohort, reservation, body, previous, digest FROM entry ORDER BY sequence"""
_SELECT_DATASET = """
SELECT sequence, at, kind, dataset, cohort, reservation, body, previous, digest FROM entry
WHERE dataset = ? ORDER BY sequence"""


@contextmanager
def connected(path: Path) -> Generator[sqlite3.Connection]:
    """Open an existing ledger file for the length of a block.

    Raises:
        LedgerError: when the file is not a ledger, cannot be read, or stays locked for a minute.
    """
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            if not _is_ledger(connection):
                raise LedgerError(f"ledger {path}: the file is not a ledger of this version; give the path of one")
            yield connection
    except sqlite3.Error as error:
        raise _translated(error, path) from error


@contextmanager
def writing(path: Path, *, create: bool) -> Generator[sqlite3.Connection]:
    """Hold the write lock for the length of a block; its changes are durable when it ends, undone when it raises.

    Raises:
        LedgerError: as `connected`; and when the file does not exist and is not to be created.
    """
    if create and not path.exists():
        _create(path)
    if not path.exists():
        raise LedgerError(f"ledger {path}: there is no such file; restore it before anything is read")
    with connected(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def select_entries(connection: sqlite3.Connection, dataset: str | None) -> tuple[Entry, ...]:
    """Return the entries of a dataset, or all, in order."""
    question, parameters = (_SELECT_ALL, ()) if dataset is None else (_SELECT_DATASET, (dataset,))
    rows = connection.execute(question, parameters)
    return tuple(_entry(row) for row in rows)


def stored_head(connection: sqlite3.Connection) -> Head:
    """Return the head as it is stored."""
    row = connection.execute("SELECT entries, digest FROM head").fetchone()
    if row is None:
        raise LedgerError("ledger: its head is missing; the file is damaged: restore a backup")
    return Head(*row)


def append_entry(
    connection: sqlite3.Connection,
    kind: Kind,
    *,
    block: tuple[str, str],
    reservation: int | None,
    body: Mapping[str, Any],
) -> Entry:
    """Add an entry to the chain, inside a transaction that holds the write lock.

    Args:
        connection: from `writing`.
        kind: what the entry says.
        block: dataset and cohort.
        reservation: the reservation it belongs to; None for one that this entry makes.
        body: what the kind carries.
    """
    head = stored_head(connection)
    sequence = head.entries + 1
    fields: dict[str, Any] = {
        "sequence": sequence,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "kind": kind,
        "dataset": block[0],
        "cohort": block[1],
        "reservation": sequence if reservation is None else reservation,
        "body": json.loads(canonical_json(body)),
        "previous": head.digest,
    }
    entry = Entry(**fields, digest=entry_digest(fields))
    row = (*(fields | {"body": canonical_json(body)}).values(), entry.digest)
    connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.execute("UPDATE head SET entries = ?, digest = ?", (sequence, entry.digest))
    return entry


def _entry(row: tuple[Any, ...]) -> Entry:
    sequence, at, kind, dataset, cohort, reservation, body, previous, digest = row
    try:
        content = json.loads(body)
    except ValueError:
        content = {"unreadable": body}  # keeps `verify` going: the digest no longer fits and says so
    return Entry(sequence, at, kind, dataset, cohort, reservation, content, previous, digest)


def _is_ledger(connection: sqlite3.Connection) -> bool:
    identity = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return (identity, version) == (APPLICATION_ID, SCHEMA_VERSION)


def _create(path: Path) -> None:
    """Make the file with its tables, whole or not at all; where another process was faster, its file stays."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("INSERT INTO head VALUES (1, 0, ?)", (GENESIS,))
        with suppress(FileExistsError):
            path.hardlink_to(new)
        _sync_folder(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise _translated(error, path) from error
    finally:
        new.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Have the file's name on disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _translated(error: Exception, path: Path) -> LedgerError:
    text = str(error)
    if "locked" in text or "busy" in text:
        return LedgerError(
            f"ledger {path}: another process held it for {BUSY_SECONDS:g} s; nothing was written: try again"
        )
    return LedgerError(f"ledger {path}: it cannot be used ({text}); check that it is a ledger and may be written")
