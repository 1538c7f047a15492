"""What a store of the ledger's entries offers: consistent reading, and changes by one writer at a time.

Belongs here: the protocols that the SQLite and the PostgreSQL store fulfil. Does not: what an entry may say (book, operations).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from synth_pipeline.errors import LedgerError
from synth_pipeline.privacy.ledger.chain import GENESIS, Head
from synth_pipeline.privacy.ledger.contract import Entry

Answer = TypeVar("Answer")


class Page(Protocol):
    """An open transaction: what it reads is of one moment, and what it adds is kept whole or not at all."""

    def entries(self, dataset: str | None = None) -> tuple[Entry, ...]:
        """Return the entries of a dataset, or all, in order."""
        ...

    def entries_of(self, reservation: int) -> tuple[Entry, ...]:
        """Return the entries of one reservation, in order."""
        ...

    def head(self) -> Head:
        """Return the head as it is stored.

        Raises:
            LedgerError: when it is missing.
        """
        ...

    def last_time(self) -> str | None:
        """Return the time of the last entry; None when there is none."""
        ...

    def now(self) -> datetime:
        """Return the time by the store's clock, in UTC."""
        ...

    def append(self, entry: Entry) -> None:
        """Add an entry and move the head to it."""
        ...


class EmptyPage:
    """What is read where no ledger was made yet: nothing."""

    def entries(self, dataset: str | None = None) -> tuple[Entry, ...]:
        """Return no entries."""
        return ()

    def entries_of(self, reservation: int) -> tuple[Entry, ...]:
        """Return no entries."""
        return ()

    def head(self) -> Head:
        """Return the head of an empty chain."""
        return Head(0, GENESIS)

    def last_time(self) -> str | None:
        """Return None: there is no last entry."""
        return None

    def now(self) -> datetime:
        """Return the time by this machine's clock, in UTC."""
        return datetime.now(UTC)

    def append(self, entry: Entry) -> None:
        """Refuse to add.

        Raises:
            LedgerError: always; a ledger is made before it is written.
        """
        raise LedgerError("ledger: there is none yet to write to; reserve first")


class Store(Protocol):
    """A place of entries. Holds no connection between calls, so it may be pickled, forked and shared between threads."""

    @property
    def place(self) -> str:
        """Where it is, for people, without a password."""
        ...

    def read(self, question: Callable[[Page], Answer]) -> Answer:
        """Return a question's answer at one moment; where no ledger was made yet it is asked of an empty page.

        Raises:
            LedgerError: when the place is no ledger or cannot be read.
        """
        ...

    def ask_or_write(self, question: Callable[[Page], Answer | None], change: Callable[[Page], Answer]) -> Answer:
        """Return a question's answer, or, where that is None, run a change as `write` does, which may make the ledger."""
        ...

    def write(self, change: Callable[[Page], Answer], *, create: bool) -> Answer:
        """Run a change while no other process writes; it is durable when this returns, and undone when it raises.

        Args:
            change: reads the page, and adds to it. It may be run again where nothing of the first run was kept.
            create: whether to make the ledger first where there is none; only then may the place be empty.

        Raises:
            LedgerError: when the place is no ledger, cannot be written, or another process held it too long.
        """
        ...
