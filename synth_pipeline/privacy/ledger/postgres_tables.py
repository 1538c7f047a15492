"""The ledger's tables in PostgreSQL, made whole by whichever process comes first.

Belongs here: the schema, its version and its triggers. Does not: connections and locks (postgres).

The tables lie in a schema of their own, so that a database may serve other purposes too. Triggers forbid to change or remove
entries, and let the head only move on to an entry that follows it. Whoever owns the tables can disable triggers; `ledger verify`
finds what was done then. A role that only writes the ledger needs `USAGE` on the schema, `SELECT, INSERT` on `entry`,
`SELECT, UPDATE` on `head` and `SELECT` on `about`; it then cannot get past them.
"""

from typing import TYPE_CHECKING, Any

from synth_pipeline.privacy.ledger.chain import GENESIS

if TYPE_CHECKING:
    from psycopg import Connection

SCHEMA = "synth_pipeline_ledger"
SCHEMA_VERSION = 1
CREATION_LOCK = 0x53504C47
"""Key of the advisory lock under which the tables are made."""

_STATEMENTS = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"CREATE TABLE {SCHEMA}.about (one integer PRIMARY KEY CHECK (one = 1), version integer NOT NULL)",
    f"""CREATE TABLE {SCHEMA}.entry (
        sequence bigint PRIMARY KEY, at text NOT NULL, kind text NOT NULL, dataset text NOT NULL, cohort text NOT NULL,
        reservation bigint NOT NULL, body text NOT NULL, previous text NOT NULL, digest text NOT NULL)""",
    f"CREATE INDEX entry_of_dataset ON {SCHEMA}.entry (dataset, sequence)",
    f"CREATE INDEX entry_of_reservation ON {SCHEMA}.entry (reservation, sequence)",
    f"CREATE TABLE {SCHEMA}.head (one integer PRIMARY KEY CHECK (one = 1), entries bigint NOT NULL, digest text NOT NULL)",
    f"""CREATE FUNCTION {SCHEMA}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'entries are only added'; END $$""",
    f"""CREATE FUNCTION {SCHEMA}.move_on() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT EXISTS (SELECT FROM {SCHEMA}.entry WHERE sequence = NEW.entries AND digest = NEW.digest
                           AND sequence = OLD.entries + 1 AND previous = OLD.digest) THEN
                RAISE EXCEPTION 'the head only moves on to an entry that follows it';
            END IF;
            RETURN NEW;
        END $$""",
    f"""CREATE TRIGGER entry_is_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON {SCHEMA}.entry
        FOR EACH STATEMENT EXECUTE FUNCTION {SCHEMA}.refuse()""",
    f"""CREATE TRIGGER head_only_moves_on BEFORE UPDATE ON {SCHEMA}.head
        FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.move_on()""",
    f"""CREATE TRIGGER head_is_never_removed BEFORE DELETE OR TRUNCATE ON {SCHEMA}.head
        FOR EACH STATEMENT EXECUTE FUNCTION {SCHEMA}.refuse()""",
)


def stored_version(connection: "Connection[Any]") -> int | None:
    """Return the version of the tables in the database; None when there are none."""
    # Asked of the catalogue's rows: `to_regclass` may answer from a cache that is older than a lock this transaction waited for.
    found = connection.execute(
        "SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = 'about'",
        (SCHEMA,),
    ).fetchone()
    if found is None:
        return None
    row = connection.execute(f"SELECT version FROM {SCHEMA}.about").fetchone()  # noqa: S608  (our own name)
    return 0 if row is None else int(row[0])


def create_tables(connection: "Connection[Any]") -> None:
    """Make the tables, inside the caller's transaction, unless another process has made them meanwhile."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
    if stored_version(connection) is not None:
        return
    for statement in _STATEMENTS:
        connection.execute(statement)
    connection.execute(f"INSERT INTO {SCHEMA}.head VALUES (1, 0, %s)", (GENESIS,))  # noqa: S608  (our own name)
    connection.execute(f"INSERT INTO {SCHEMA}.about VALUES (1, %s)", (SCHEMA_VERSION,))  # noqa: S608  (our own name)
