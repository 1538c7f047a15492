"""The SQLite store of the ledger: one file, many processes, one writer at a time.

Belongs here: everything that speaks SQLite. Does not: what an operation may do (operations, book).

Every change runs in one `BEGIN IMMEDIATE` transaction, which admits one writer at a time, and is on disk when it ends
(`synchronous=FULL`). The file uses a write-ahead log, which needs a local file system, not a network share.
"""

import os
import secrets
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from synth_pipeline.errors import LedgerError, LedgerUnreachable
from synth_pipeline.privacy.ledger.chain import GENESIS, Head
from synth_pipeline.privacy.ledger.contract import Entry
from synth_pipeline.privacy.ledger.row import COLUMNS, entry_of_row, row_of_entry
from synth_pipeline.privacy.ledger.store import Answer, EmptyPage, Page

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
_SELECT = f"SELECT {COLUMNS} FROM entry"  # noqa: S608  (names of our own columns)


@dataclass(frozen=True, slots=True)
class SqliteStore:
    """A ledger's entries in a SQLite file; see `Store`.

    Attributes:
        path: the file; made, with its folder, by the first change that may create it.
    """

    path: Path

    @property
    def place(self) -> str:
        """The path."""
        return str(self.path)

    def read(self, question: Callable[[Page], Answer]) -> Answer:
        """Answer a question at one moment; see `Store.read`."""
        if not self.path.exists():
            return question(EmptyPage())
        with _transaction(self.path, "BEGIN") as page:
            return question(page)

    def ask_or_write(self, question: Callable[[Page], Answer | None], change: Callable[[Page], Answer]) -> Answer:
        """Answer a question, or run a change where there is no answer; see `Store.ask_or_write`."""
        found = self.read(question)
        return self.write(change, create=True) if found is None else found

    def write(self, change: Callable[[Page], Answer], *, create: bool) -> Answer:
        """Run a change under the write lock; see `Store.write`."""
        if create and not self.path.exists():
            _create(self.path)
        if not self.path.exists():
            raise LedgerError(f"ledger {self.path}: there is no such file; restore it before anything is read")
        with _transaction(self.path, "BEGIN IMMEDIATE") as page:
            return change(page)


@dataclass(frozen=True, slots=True)
class _SqlitePage:
    """A transaction on the file."""

    connection: sqlite3.Connection

    def entries(self, dataset: str | None = None) -> tuple[Entry, ...]:
        where, values = ("", ()) if dataset is None else (" WHERE dataset = ?", (dataset,))
        rows = self.connection.execute(f"{_SELECT}{where} ORDER BY sequence", values)
        return tuple(entry_of_row(row) for row in rows)

    def entries_of(self, reservation: int) -> tuple[Entry, ...]:
        # A reservation's entries come after the one that made it and bears its number.
        where = " WHERE sequence >= ? AND reservation = ? ORDER BY sequence"
        rows = self.connection.execute(f"{_SELECT}{where}", (reservation, reservation))
        return tuple(entry_of_row(row) for row in rows)

    def head(self) -> Head:
        row = self.connection.execute("SELECT entries, digest FROM head").fetchone()
        if row is None:
            raise LedgerError("ledger: its head is missing; the file is damaged: restore a backup")
        return Head(*row)

    def last_time(self) -> str | None:
        row = self.connection.execute("SELECT at FROM entry ORDER BY sequence DESC LIMIT 1").fetchone()
        return None if row is None else row[0]

    def now(self) -> datetime:
        return datetime.now(UTC)

    def append(self, entry: Entry) -> None:
        self.connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row_of_entry(entry))
        self.connection.execute("UPDATE head SET entries = ?, digest = ?", (entry.sequence, entry.digest))


@contextmanager
def _transaction(path: Path, begin: str) -> Generator[_SqlitePage]:
    """Open an existing ledger file for one transaction, which ends with the block.

    Raises:
        LedgerError: when the file is not a ledger, cannot be used, or stays locked for a minute.
    """
    try:
        # By its URI, for a file that vanishes meanwhile must not be made anew, empty.
        place = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(place, timeout=BUSY_SECONDS, isolation_level=None, uri=True)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            if not _is_ledger(connection):
                raise LedgerError(f"ledger {path}: the file is not a ledger of this version; give the path of one")
            connection.execute(begin)
            try:
                yield _SqlitePage(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
    except sqlite3.Error as error:
        raise _translated(error, path) from error


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
        return LedgerUnreachable(
            f"ledger {path}: another process held it for {BUSY_SECONDS:g} s; nothing was written: try again"
        )
    return LedgerUnreachable(f"ledger {path}: it cannot be used ({text}); check that it is a ledger and may be written")
