"""Rows of a PostgreSQL query as a Parquet file, piece by piece.

Column types come from the database, never from the values, so they do not depend on what happens to be in the rows.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from synth_pipeline.errors import TableError

if TYPE_CHECKING:
    from psycopg import Connection

PIECE_ROWS = 10_000
_TYPES: Mapping[str, Any] = {
    "bool": pa.bool_(),
    "int2": pa.int64(),
    "int4": pa.int64(),
    "int8": pa.int64(),
    "oid": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "numeric": pa.float64(),
    "text": pa.string(),
    "varchar": pa.string(),
    "bpchar": pa.string(),
    "name": pa.string(),
    "uuid": pa.string(),
    "date": pa.timestamp("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}


def write_rows(connection: "Connection[Any]", query: str, marks: Mapping[str, Any], path: Path) -> None:
    """Write what a query gives to a Parquet file.

    Args:
        connection: in a transaction.
        query: the query; %(since)s and %(until)s stand for the marks.
        marks: their values.
        path: the file.

    Raises:
        TableError: for a column type that a table cannot hold.
    """
    import psycopg

    # Marks are put in by the client: a null would otherwise have no type in `%(since)s IS NULL OR ...`.
    is_marked = any(f"%({name})s" in query for name in marks)
    text = psycopg.ClientCursor(connection).mogrify(query.encode(), marks) if is_marked else query
    with connection.cursor(name="snapshot") as cursor:
        cursor.execute(text.encode())
        schema = _schema(connection, cursor.description or ())
        with pq.ParquetWriter(path, schema) as writer:
            while rows := cursor.fetchmany(PIECE_ROWS):
                writer.write_table(_table(rows, schema))


def _schema(connection: "Connection[Any]", columns: Any) -> Any:
    fields = [pa.field(column.name, _type(connection, column)) for column in columns]
    names = [column.name for column in columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TableError(f"query: columns that share a name: {', '.join(twice)}; give each its own with AS")
    return pa.schema(fields)


def _type(connection: "Connection[Any]", column: Any) -> Any:
    info = connection.adapters.types.get(column.type_code)
    kind = _TYPES.get(info.name) if info is not None and info.oid == column.type_code else None
    if kind is None:
        held = (
            "an array"
            if info is not None and info.name in _TYPES
            else info.name
            if info is not None
            else "a type of its own"
        )
        raise TableError(
            f"query: column {column.name!r} is {held}; cast it to text, a number, a date or a time in the query"
        )
    return kind


def _table(rows: list[Any], schema: Any) -> Any:
    arrays = [_array([row[place] for row in rows], field.type) for place, field in enumerate(schema)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: list[Any], kind: Any) -> Any:
    if pa.types.is_string(kind):
        values = [None if value is None else str(value) for value in values]
    elif pa.types.is_floating(kind):
        values = [None if value is None else float(value) for value in values]
    is_day = any(type(value) is date for value in values)
    return pa.array(values, type=pa.date32()).cast(kind) if is_day else pa.array(values, type=kind)
