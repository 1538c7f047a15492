"""The PostgreSQL store of the ledger: one database, many machines, one writer at a time.

Belongs here: connections, locks, and what an error means. Does not: the tables (postgres_tables), or operations (operations, book).

Every change runs in one transaction that first locks the head's row (`FOR UPDATE`), which admits one writer at a time, and is on
the server's disk when it ends (`synchronous_commit`). A writer that hangs is cut off by the server. What failed before the commit was
sent wrote nothing and is tried again where that may help; a connection that breaks during the commit leaves its outcome unknown, which
the message says.
"""

import random
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString

from synth_pipeline.errors import LedgerError, LedgerUnreachable
from synth_pipeline.privacy.ledger.chain import Head
from synth_pipeline.privacy.ledger.contract import Entry
from synth_pipeline.privacy.ledger.postgres_address import Address
from synth_pipeline.privacy.ledger.postgres_tables import SCHEMA, SCHEMA_VERSION, create_tables, stored_version
from synth_pipeline.privacy.ledger.row import COLUMNS, entry_of_row, row_of_entry
from synth_pipeline.privacy.ledger.store import Answer, EmptyPage, Page

if TYPE_CHECKING:
    from psycopg import Connection

CONNECT_SECONDS = 10
LOCK_SECONDS = 60
ATTEMPTS = 6

_SETTINGS: tuple[LiteralString, ...] = (
    "SET LOCAL synchronous_commit = on",
    "SET LOCAL lock_timeout = '60s'",
    "SET LOCAL statement_timeout = '120s'",
    # A writer that holds the lock and says nothing for so long is cut off, and what it had begun is undone.
    "SET LOCAL idle_in_transaction_session_timeout = '300s'",
)
_INSERT = f"INSERT INTO {SCHEMA}.entry VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"  # noqa: S608  (our own names)
_SELECT = f"SELECT {COLUMNS} FROM {SCHEMA}.entry"  # noqa: S608  (our own names)


@dataclass(frozen=True, slots=True)
class PostgresStore:
    """A ledger's entries in a PostgreSQL database; see `Store`.

    Attributes:
        address: where, without the password.
    """

    address: Address

    @classmethod
    def at(cls, url: str) -> "PostgresStore":
        """Return the store at a URL; nothing is connected yet.

        Raises:
            LedgerError: when it is no URL of a PostgreSQL database.
        """
        return cls(Address.of(url))

    @property
    def place(self) -> str:
        """The URL without its password."""
        return self.address.url

    def read(self, question: Callable[[Page], Answer]) -> Answer:
        """Answer a question at one moment; see `Store.read`."""
        return self._attempt(lambda connection: self._ask(connection, question), is_change=False)

    def ask_or_write(self, question: Callable[[Page], Answer | None], change: Callable[[Page], Answer]) -> Answer:
        """Answer a question, or run a change where there is no answer; see `Store.ask_or_write`.

        Two transactions on one connection: to connect costs more than all that is asked.
        """

        def run(connection: "Connection[Any]") -> Answer:
            found = self._ask(connection, question)
            if found is not None:
                return found
            connection.rollback()
            return self._change(connection, change, create=True)

        return self._attempt(run, is_change=True)

    def write(self, change: Callable[[Page], Answer], *, create: bool) -> Answer:
        """Run a change under the write lock; see `Store.write`."""
        return self._attempt(lambda connection: self._change(connection, change, create=create), is_change=True)

    def _ask(self, connection: "Connection[Any]", question: Callable[[Page], Answer]) -> Answer:
        _begin(connection, "REPEATABLE READ, READ ONLY")
        return question(_PostgresPage(connection) if self._has_tables(connection) else EmptyPage())

    def _change(self, connection: "Connection[Any]", change: Callable[[Page], Answer], *, create: bool) -> Answer:
        # Read committed: once the lock is held, every statement sees all that the writer before has committed.
        _begin(connection, "READ COMMITTED, READ WRITE")
        if not self._has_tables(connection):
            if not create:
                raise LedgerError(f"ledger {self.place}: there is no such ledger; restore it before anything is read")
            create_tables(connection)
        connection.execute(f"SELECT FROM {SCHEMA}.head FOR UPDATE")
        return change(_PostgresPage(connection))

    def _has_tables(self, connection: "Connection[Any]") -> bool:
        version = stored_version(connection)
        if version not in {None, SCHEMA_VERSION}:
            raise LedgerError(
                f"ledger {self.place}: its tables are of version {version}, and this program knows {SCHEMA_VERSION}; "
                "use the program that made them"
            )
        return version is not None

    def _attempt(self, run: Callable[["Connection[Any]"], Answer], *, is_change: bool) -> Answer:
        """Run a transaction, again after a failure that wrote nothing and may pass."""
        for attempt in range(1, ATTEMPTS):
            try:
                return self._transact(run, is_change=is_change)
            except _MayPassError:
                time.sleep(random.uniform(0.5, 1.5) * 0.1 * 2**attempt)  # noqa: S311  (spreads processes out, hides nothing)
        try:
            return self._transact(run, is_change=is_change)
        except _MayPassError as failure:
            raise LedgerUnreachable(str(failure)) from None

    def _transact(self, run: Callable[["Connection[Any]"], Answer], *, is_change: bool) -> Answer:
        with self._connected() as connection:
            is_committing = False
            try:
                answer = run(connection)
                is_committing = is_change
                if is_change:
                    connection.commit()
            except _psycopg().Error as error:
                raise self._translated(error, is_committing=is_committing) from None
            return answer

    @contextmanager
    def _connected(self) -> "Generator[Connection[Any]]":
        """Open a connection, whose unfinished transaction is undone when the block ends."""
        psycopg = _psycopg()
        try:
            connection = psycopg.connect(
                self.address.url,
                password=self.address.password(),
                connect_timeout=CONNECT_SECONDS,
                application_name="synth_pipeline ledger",
                prepare_threshold=None,
                keepalives_idle=30,
            )
        except psycopg.Error as error:
            raise self._translated(error, is_committing=False) from None
        try:
            yield connection
        finally:
            connection.close()

    def _translated(self, error: Exception, *, is_committing: bool) -> LedgerError:
        errors = _psycopg().errors
        reason = self.address.without_password(" ".join(str(error).split())) or type(error).__name__
        if is_committing:
            return LedgerUnreachable(
                f"ledger {self.place}: the connection broke while a change was being committed ({reason}); whether it was "
                "written shows in `ledger history`; do not go on with this walk unless it was"
            )
        if isinstance(error, errors.LockNotAvailable):
            return LedgerUnreachable(
                f"ledger {self.place}: another process held it for {LOCK_SECONDS:g} s; nothing was written: try again"
            )
        message = (
            f"ledger {self.place}: it cannot be used ({reason}); nothing was written: check the address and the server"
        )
        may_pass = getattr(error, "sqlstate", "") in _PASSING_STATES and not any(word in reason for word in _LASTING)
        return (_MayPassError if may_pass else LedgerUnreachable)(message)


class _MayPassError(LedgerError):
    """A failure that wrote nothing, and may be gone at the next attempt."""


# Connection lost or refused (also None, where libpq gives no state), server stopping or starting, too many clients, conflict, deadlock.
_PASSING_STATES = (
    None,
    "08000",
    "08001",
    "08003",
    "08004",
    "08006",
    "57P01",
    "57P02",
    "57P03",
    "53300",
    "40001",
    "40P01",
)
_LASTING = ("authentication", "does not exist", "pg_hba", "could not translate host name", "no password supplied")


@dataclass(frozen=True, slots=True)
class _PostgresPage:
    """A transaction on the database."""

    connection: "Connection[Any]"

    def entries(self, dataset: str | None = None) -> tuple[Entry, ...]:
        where, values = ("", ()) if dataset is None else (" WHERE dataset = %s", (dataset,))
        rows = self.connection.execute(f"{_SELECT}{where} ORDER BY sequence", values)
        return tuple(entry_of_row(row) for row in rows)

    def entries_of(self, reservation: int) -> tuple[Entry, ...]:
        where = " WHERE reservation = %s ORDER BY sequence"
        rows = self.connection.execute(f"{_SELECT}{where}", (reservation,))
        return tuple(entry_of_row(row) for row in rows)

    def head(self) -> Head:
        row = self.connection.execute(f"SELECT entries, digest FROM {SCHEMA}.head").fetchone()  # noqa: S608
        if row is None:
            raise LedgerError("ledger: its head is missing; the database is damaged: restore a backup")
        return Head(*row)

    def last_time(self) -> str | None:
        row = self.connection.execute(
            f"SELECT at FROM {SCHEMA}.entry ORDER BY sequence DESC LIMIT 1"  # noqa: S608
        ).fetchone()
        return None if row is None else row[0]

    def now(self) -> datetime:
        row = self.connection.execute("SELECT clock_timestamp()").fetchone()
        return datetime.now(UTC) if row is None else row[0].astimezone(UTC)

    def append(self, entry: Entry) -> None:
        self.connection.execute(_INSERT, row_of_entry(entry))
        self.connection.execute(
            f"UPDATE {SCHEMA}.head SET entries = %s, digest = %s",  # noqa: S608
            (entry.sequence, entry.digest),
        )


def _begin(connection: "Connection[Any]", mode: LiteralString) -> None:
    """Set the transaction's mode and limits; psycopg begins it with the first statement."""
    for setting in (f"SET TRANSACTION ISOLATION LEVEL {mode}", *_SETTINGS):
        connection.execute(setting)


def _psycopg() -> Any:
    """Return the driver.

    Raises:
        LedgerError: when it is not installed.
    """
    try:
        import psycopg
    except ImportError:
        raise LedgerError(
            "ledger: a PostgreSQL ledger needs the package psycopg; install it with `pip install 'psycopg[binary]'`"
        ) from None
    return psycopg
