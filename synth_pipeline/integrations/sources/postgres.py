"""A query to a PostgreSQL database as a source of snapshots: there is a new one when its watermark has grown.

The watermark should be a fact of loads (the number of the last load), not of somebody's row (the latest date of birth): when it moves is
seen in the web page, as the time at which a partition appears. Its value is seen nowhere: it stays in the private store.

Watermark and rows are read in one transaction, which sees the database at one moment. A query may use %(since)s, the watermark of the
snapshot before (null for the first), and %(until)s, its own. Rows that are committed later with a smaller watermark are not seen again.
"""

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from synth_pipeline.errors import SourceError, TableError
from synth_pipeline.integrations.sources.contract import Arrival, keyed_stamp

if TYPE_CHECKING:
    from psycopg import Connection

CONNECT_SECONDS = 10
NAME = "query"
_UNTIL = "%(until)s"
_READERS: Mapping[str, Any] = {
    "int": int,
    "Decimal": Decimal,
    "float": float,
    "str": str,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
}


@dataclass(frozen=True)
class PostgresSource:
    """The rows of one query.

    Attributes:
        uri: the database, without a password.
        query: gives the rows.
        watermark: gives one value that grows with every load.
        key: the home's key, for stamps.
    """

    uri: str
    query: str
    watermark: str
    key: bytes

    @property
    def place(self) -> str:
        """Server and database; neither user nor options."""
        parts = urlsplit(self.uri)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def look(self) -> Iterator[Arrival]:
        """The watermark of now, or nothing while it is null.

        Raises:
            SourceError: if the database cannot be reached or the query fails.
        """
        with self._reading() as connection:
            mark = self._mark(connection)
        if mark is not None:
            now = datetime.now(UTC)
            yield Arrival(
                NAME,
                self._stamp(mark),
                changed=round(now.timestamp() * 1e9),
                title=now.strftime("%Y-%m-%dT%H-%M-%S"),
                mark=mark,
            )

    def fetch(self, arrival: Arrival, folder: Path) -> Path:
        """The rows as a Parquet file in the folder; they are streamed, and never all in memory.

        Raises:
            SourceError: if the database cannot be reached, a query fails, or the watermark has moved and the query is not bounded by it.
            TableError: if a column has a type that a table cannot hold.
        """
        from synth_pipeline.integrations.sources.postgres_rows import write_rows

        path = folder / "snapshot.parquet"
        path.touch(mode=0o600)
        with self._reading() as connection:
            now = self._mark(connection)
            is_bounded = _UNTIL in self.query and now is not None and not is_after(arrival.mark, now)
            if now != arrival.mark and not is_bounded:
                raise SourceError(
                    f"source {self.place}: its watermark has moved since it was seen, and `query` does not end at %(until)s;"
                    " nothing was charged, and the rows of now are another snapshot"
                )
            marks = {"since": read_mark(arrival.since), "until": read_mark(arrival.mark)}
            write_rows(connection, self.query, marks, path)
        return path

    def confirm(self, arrival: Arrival) -> None:
        """Nothing: what was fetched is a copy, made in one transaction."""

    def _mark(self, connection: "Connection[Any]") -> str | None:
        connection.execute("SET LOCAL statement_timeout = '30s'")
        rows = connection.execute(self.watermark.encode()).fetchmany(2)
        connection.execute("SET LOCAL statement_timeout = 0")
        if len(rows) != 1 or len(rows[0]) != 1:
            raise SourceError(f"source {self.place}: `watermark` must give one row of one column")
        value = rows[0][0]
        if value is None:
            return None
        kind = type(value).__name__
        if kind not in _READERS:
            raise SourceError(f"source {self.place}: `watermark` must give a number, a date, a time or a text")
        text = value.isoformat() if isinstance(value, date) else str(value)
        return json.dumps([kind, text])

    def _stamp(self, mark: str) -> str:
        return keyed_stamp(self.key, "watermark", mark)

    @contextmanager
    def _reading(self) -> "Generator[Connection[Any]]":
        """One transaction that can only read, at one moment; an error is told by its kind, for its words may hold a value."""
        import psycopg

        try:
            with psycopg.connect(
                self.uri, connect_timeout=CONNECT_SECONDS, application_name="synth_pipeline"
            ) as connection:
                connection.read_only = True
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                yield connection
        except psycopg.errors.UndefinedTable:
            raise SourceError(
                f"source {self.place}: a query names a table that is not there; correct the query"
            ) from None
        except psycopg.Error as error:
            raise SourceError(f"source {self.place}: {_remedy(error)}") from None
        except TableError as error:
            raise TableError(f"source {self.place}: {error}") from None


def is_after(mark: str | None, other: str | None) -> bool:
    """Whether a watermark is later than another; a text has no order, so any other text is."""
    if mark is None or other is None or mark == other:
        return mark != other and mark is not None
    (kind, _), (other_kind, _) = json.loads(mark), json.loads(other)
    if kind != other_kind or kind == "str":
        return True
    try:
        return bool(read_mark(mark) > read_mark(other))
    except TypeError:  # a time with a zone and one without: the column's type was changed
        return True


def read_mark(mark: str | None) -> Any:
    """The value that a watermark is."""
    if mark is None:
        return None
    kind, text = json.loads(mark)
    return _READERS[kind](text)


def _remedy(error: Any) -> str:
    kind, state = type(error).__name__, getattr(error, "sqlstate", None)
    if state is None:
        return (
            "cannot be reached, or refuses the login; start the database, or check source.uri, PGPASSWORD and ~/.pgpass"
        )
    return f"a query failed ({kind}, {state}); try it with psql"
