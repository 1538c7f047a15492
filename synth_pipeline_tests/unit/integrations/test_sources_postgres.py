import datetime as dt
import os
from urllib.parse import urlsplit

import pandas as pd
import psycopg
import pytest

from synth_pipeline.errors import SourceError, TableError
from synth_pipeline.integrations.sources import postgres_rows, read_book
from synth_pipeline.integrations.sources.news import Position, Watched, watch
from synth_pipeline.integrations.sources.postgres import PostgresSource, is_after, read_mark
from synth_pipeline.integrations.stores import Home

QUERY = "SELECT id, name FROM visit WHERE (%(since)s IS NULL OR load > %(since)s) AND load <= %(until)s ORDER BY id"
WATERMARK = "SELECT max(load) FROM visit"


@pytest.fixture
def database(fresh_database, monkeypatch):
    """A database with loads of visits, reached without a password in its address."""
    parts = urlsplit(fresh_database)
    monkeypatch.setenv("PGPASSWORD", parts.password)
    uri = f"postgresql://{parts.username}@{parts.hostname}:{parts.port}{parts.path}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("CREATE TABLE visit (id int, name text, load bigint)")
        yield uri, connection


@pytest.fixture
def home(tmp_path):
    return Home.at(tmp_path)


def load(connection, number, rows=3):
    connection.cursor().executemany(
        "INSERT INTO visit VALUES (%s, %s, %s)", [(number * 100 + row, f"Harker {row}", number) for row in range(rows)]
    )


def source_at(database, home, query=QUERY, watermark=WATERMARK):
    return PostgresSource(database[0], query, watermark, home.key())


def look(source, home, position=None):
    return watch(Watched(source, home, "d", lambda _: None), position or Position())


def fetch(source, home, partition, folder):
    name, version = read_book(home, "d").find(partition)
    (arrival,) = source.look()
    arrival = type(arrival)(name, version.stamp, mark=version.mark, since=version.since)
    folder.mkdir()
    return pd.read_parquet(source.fetch(arrival, folder))


def test_there_is_a_snapshot_when_the_watermark_has_grown_and_not_before(database, home):
    source = source_at(database, home)
    empty = look(source, home)
    assert (empty.seen, empty.fresh) == (0, ())
    load(database[1], 1)
    first = look(source, home, empty.position)
    assert len(first.fresh) == 1
    assert look(source, home, first.position).fresh == ()
    load(database[1], 2)
    assert len(look(source, home, first.position).fresh) == 1


def test_each_snapshot_holds_the_rows_between_its_watermark_and_the_one_before(database, home, tmp_path):
    source = source_at(database, home)
    load(database[1], 1)
    first = look(source, home)
    load(database[1], 2, rows=2)
    second = look(source, home, first.position)
    load(database[1], 3)
    partitions = [found.fresh[0].partition for found in (first, second)]
    assert fetch(source, home, partitions[0], tmp_path / "1")["id"].tolist() == [100, 101, 102]
    assert fetch(source, home, partitions[1], tmp_path / "2")["id"].tolist() == [200, 201]


def test_a_query_that_does_not_end_at_the_watermark_is_refused_once_that_has_moved(database, home, tmp_path):
    source = source_at(database, home, query="SELECT id, name FROM visit WHERE name LIKE 'Harker%'")
    load(database[1], 1)
    found = look(source, home)
    assert len(fetch(source, home, found.fresh[0].partition, tmp_path / "1")) == 3
    load(database[1], 2)
    with pytest.raises(SourceError, match="its watermark has moved since it was seen"):
        fetch(source, home, found.fresh[0].partition, tmp_path / "2")


def test_a_watermark_that_goes_back_is_no_new_snapshot(database, home):
    source = source_at(database, home)
    load(database[1], 10)
    first = look(source, home)
    database[1].execute("DELETE FROM visit")
    load(database[1], 9)
    back = look(source, home, first.position)
    assert back.fresh == ()
    load(database[1], 10)
    assert look(source, home, back.position).fresh == ()
    load(database[1], 11)
    assert len(look(source, home, back.position).fresh) == 1


def test_partition_cursor_run_key_and_words_hold_no_watermark(database, home):
    load(database[1], 7_919_191)
    source = source_at(database, home)
    found = look(source, home)
    (arrival,) = source.look()
    assert "7919191" not in f"{found!r} {found.position} {found.fresh[0].run_key} {arrival!r} {read_book(home, 'd')!r}"
    dt.datetime.strptime(found.fresh[0].partition, "%Y-%m-%dT%H-%M-%S").replace(tzinfo=dt.UTC)


def test_two_watermarks_of_one_second_are_two_partitions(database, home):
    source, partitions, position = source_at(database, home), set(), None
    for number in range(1, 6):
        load(database[1], number)
        found = look(source, home, position)
        partitions |= {version.partition for version in found.fresh}
        position = found.position
    assert len(partitions) == 5


def test_column_types_come_from_the_database_and_rows_are_written_in_pieces(database, home, tmp_path, monkeypatch):
    monkeypatch.setattr(postgres_rows, "PIECE_ROWS", 2)
    query = (
        "SELECT n AS id, CASE WHEN n > 3 THEN n END AS late, n::numeric(8, 2) / 4 AS fee, n % 2 = 0 AS is_even, 'w' || n AS ward,"
        " date '2026-01-01' + n AS day, timestamptz '2026-01-01 12:00+02' AS seen, NULL::float4 AS none"
        " FROM generate_series(1, 5) AS n"
    )
    frame = fetch_all(source_at(database, home, query=query, watermark="SELECT 1"), home, tmp_path)
    assert frame["id"].tolist() == [1, 2, 3, 4, 5]
    assert frame["late"].isna().tolist() == [True, True, True, False, False]
    assert frame["fee"].tolist() == [0.25, 0.5, 0.75, 1.0, 1.25]
    assert frame["is_even"].dtype == bool
    assert frame["ward"].tolist() == ["w1", "w2", "w3", "w4", "w5"]
    assert frame["day"].iloc[0] == pd.Timestamp("2026-01-02")
    assert frame["seen"].iloc[0] == pd.Timestamp("2026-01-01 10:00", tz="UTC")
    assert str(frame["none"].dtype) == "float32"


def fetch_all(source, home, folder):
    found = look(source, home)
    return fetch(source, home, found.fresh[0].partition, folder / "rows")


@pytest.mark.parametrize(
    "column, words",
    [("'{1,2}'::int[]", "is an array"), ("'{}'::jsonb", "is jsonb"), ("interval '1 day'", "is interval")],
)
def test_a_column_of_a_type_that_no_table_holds_is_refused_by_name(database, home, tmp_path, column, words):
    source = source_at(database, home, query=f"SELECT {column} AS odd", watermark="SELECT 1")
    with pytest.raises(TableError, match=f"column 'odd' {words}; cast it to text"):
        fetch_all(source, home, tmp_path)


def test_an_outage_or_a_wrong_query_is_told_in_one_line_without_values_or_credentials(database, home):
    word = os.environ["PGPASSWORD"]
    away = PostgresSource("postgresql://keeper@127.0.0.1:9/d", QUERY, WATERMARK, home.key())
    wrong = source_at(database, home, watermark="SELECT 'Harker'::int")
    absent = source_at(database, home, watermark="SELECT max(load) FROM visits")
    two = source_at(database, home, watermark="SELECT load, id FROM visit")
    load(database[1], 1, rows=1)
    told = []
    for source in (away, wrong, absent, two):
        with pytest.raises(SourceError) as error:
            list(source.look())
        assert error.value.__suppress_context__ or error.value.__context__ is None
        told.append(str(error.value))
    assert "source postgresql://127.0.0.1:9/d: cannot be reached, or refuses the login; start the database" in told[0]
    assert "a query failed (InvalidTextRepresentation, 22P02)" in told[1]
    assert "names a table that is not there" in told[2]
    assert "`watermark` must give one row of one column" in told[3]
    assert not any("Harker" in line or word in line or "\n" in line for line in told)


def test_a_wrong_password_is_told_as_that(database, home, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "another")
    with pytest.raises(SourceError, match="refuses the login; start the database, or check") as error:
        list(source_at(database, home).look())
    assert "another" not in str(error.value)


def test_a_source_cannot_write(database, home):
    source = source_at(
        database, home, watermark="WITH gone AS (DELETE FROM visit RETURNING 1) SELECT count(*) FROM gone"
    )
    load(database[1], 1)
    with pytest.raises(SourceError, match="ReadOnlySqlTransaction"):
        list(source.look())


@pytest.mark.parametrize(
    "earlier, later",
    [
        ('["int", "9"]', '["int", "10"]'),
        ('["Decimal", "9.5"]', '["Decimal", "10"]'),
        ('["date", "2026-01-31"]', '["date", "2026-02-01"]'),
        ('["datetime", "2026-01-31T10:00:00+00:00"]', '["datetime", "2026-01-31T11:30:00+01:00"]'),
    ],
)
def test_watermarks_are_ordered_as_values_not_as_text(earlier, later):
    assert is_after(later, earlier)
    assert not is_after(earlier, later)
    assert not is_after(later, later)
    assert read_mark(later) > read_mark(earlier)
