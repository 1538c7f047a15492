"""What is particular to the PostgreSQL store: passwords stay hidden, tables are made whole, failures say what they mean."""

import pickle
import subprocess
import sys
import threading
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from synth_pipeline.errors import BudgetRefused, LedgerError
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import Cap, Charge, WalkKey, open_ledger, postgres
from synth_pipeline.privacy.ledger.postgres_address import Address
from synth_pipeline_tests.postgres_server import PASSWORD

CAP = Cap(3.0, 1e-5)
CHARGE = Charge((GaussianPoolEvent(0.01),), 1.0, 1e-6)
SECRET = "pa:ss@w/ord%"


def key(walk):
    return WalkKey("adult", "2024", "digest", "1.0", walk)


def tables(url):
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'synth_pipeline_ledger'"
        ).fetchone()


@pytest.mark.parametrize(
    "url, shown",
    [
        (f"postgresql://me:{quote(SECRET, safe='')}@db.example:5433/books", "postgresql://me@db.example:5433/books"),
        (
            f"postgresql://me@db/books?password={quote(SECRET, safe='')}&sslmode=require",
            "postgresql://me@db/books?sslmode=require",
        ),
        (f"postgresql://:{quote(SECRET, safe='')}@db/books", "postgresql://db/books"),
        (f"postgresql://me:{quote(SECRET, safe='')}@one:1,[::1]:2/books", "postgresql://me@one:1,[::1]:2/books"),
        (
            f"postgresql:///books?host=/var/run/pg&user=me&password={quote(SECRET, safe='')}",
            "postgresql:///books?host=/var/run/pg&user=me",
        ),
    ],
)
def test_an_address_knows_its_password_and_never_shows_it(url, shown):
    address = Address.of(url)
    assert address.password() == SECRET
    assert (address.url, open_ledger(url).place) == (shown, shown)
    for text in (repr(open_ledger(url)), pickle.dumps(open_ledger(url)).decode("latin-1"), str(address)):
        assert SECRET not in text
        assert quote(SECRET, safe="") not in text
    assert address.without_password(f"could not log in with {SECRET}") == "could not log in with …"


def test_a_pickled_ledger_finds_its_password_in_the_environment_again(fresh_database, monkeypatch):
    made = pickle.loads(pickle.dumps(open_ledger(fresh_database)))
    monkeypatch.delenv("SYNTH_PIPELINE_LEDGER", raising=False)
    assert made.store.address.password() is None
    monkeypatch.setenv("SYNTH_PIPELINE_LEDGER", "postgresql://me:else@elsewhere/books")
    assert made.store.address.password() is None
    monkeypatch.setenv("SYNTH_PIPELINE_LEDGER", fresh_database)
    made.reserve(key("a"), CHARGE, cap=CAP)
    assert open_ledger(fresh_database).head().entries == 1


def test_an_address_without_a_host_before_the_path_is_connected_to(fresh_database):
    parts = urlsplit(fresh_database)
    words = f"host={parts.hostname}&port={parts.port}&user={parts.username}&password={PASSWORD}"
    ledger = open_ledger(f"postgresql://{parts.path}?{words}")
    ledger.reserve(key("a"), CHARGE, cap=CAP)
    assert open_ledger(fresh_database).head().entries == 1
    assert PASSWORD not in ledger.place


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@db:port/books",
        "postgresql://me:secret@db:99999999/b",
        "postgresql://me:12#secret@db/b",
        "postgresql://me:12?secret=1@db/b",
        "postgresql://me:12/secret@db/b",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(url):
    with pytest.raises(LedgerError, match="no PostgreSQL URL") as refusal:
        open_ledger(url)
    assert "secret" not in str(refusal.value)


def test_an_address_of_another_kind_is_refused_without_being_repeated():
    with pytest.raises(LedgerError, match="mysql:// is not supported") as refusal:
        open_ledger("mysql://me:secret@db/books")
    assert "secret" not in str(refusal.value)
    with pytest.raises(LedgerError, match="sslpassword has no place"):
        open_ledger("postgresql://db/books?sslpassword=secret")


def test_a_refusal_leaves_an_empty_database_empty_and_an_admission_makes_the_tables(fresh_database):
    ledger = open_ledger(fresh_database)
    with pytest.raises(BudgetRefused):
        ledger.reserve(key("a"), Charge((GaussianPoolEvent(5.0),), 50.0, 1e-6), cap=CAP)
    assert ledger.history() == ()
    assert ledger.verify().is_intact
    assert tables(fresh_database) == (0,)
    ledger.reserve(key("a"), CHARGE, cap=CAP)
    assert tables(fresh_database) == (3,)


def test_threads_that_come_first_at_once_make_the_tables_once(fresh_database):
    ledger, start, faults = open_ledger(fresh_database), threading.Barrier(8), []

    def come(number):
        start.wait()
        try:
            ledger.reserve(key(str(number)), CHARGE, cap=CAP)
        except Exception as fault:  # noqa: BLE001  (whatever it is, the test shows it)
            faults.append(fault)

    threads = [threading.Thread(target=come, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert [entry.sequence for entry in ledger.history()] == list(range(1, 9))
    assert ledger.verify().is_intact


def test_a_step_of_a_walk_whose_ledger_vanished_is_refused(fresh_database):
    ledger = open_ledger(fresh_database)
    reservation = ledger.reserve(key("a"), CHARGE, cap=CAP)
    with psycopg.connect(fresh_database) as connection:
        connection.execute("DROP SCHEMA synth_pipeline_ledger CASCADE")
    with pytest.raises(LedgerError, match="no such ledger"):
        ledger.mark_read(reservation)


def test_tables_of_another_version_are_left_alone(fresh_database):
    ledger = open_ledger(fresh_database)
    ledger.reserve(key("a"), CHARGE, cap=CAP)
    with psycopg.connect(fresh_database) as connection:
        connection.execute("UPDATE synth_pipeline_ledger.about SET version = 7")
    for use in (ledger.history, lambda: ledger.reserve(key("b"), CHARGE, cap=CAP)):
        with pytest.raises(LedgerError, match="version 7"):
            use()


def test_a_wrong_password_and_a_server_that_is_not_there_are_one_clear_line_each(fresh_database, monkeypatch):
    monkeypatch.setattr(postgres, "ATTEMPTS", 2)
    nowhere = fresh_database.rsplit(":", 1)[0] + ":1/books"
    for url in (fresh_database.replace(PASSWORD, "guessed-wrong"), nowhere):
        with pytest.raises(LedgerError, match="nothing was written") as refusal:
            open_ledger(url).history()
        message = str(refusal.value)
        assert "\n" not in message
        assert PASSWORD not in message
        assert "guessed-wrong" not in message


def test_a_writer_that_holds_the_lock_too_long_makes_others_give_up_with_nothing_written(fresh_database, monkeypatch):
    ledger = open_ledger(fresh_database)
    ledger.reserve(key("a"), CHARGE, cap=CAP)
    monkeypatch.setattr(postgres, "_SETTINGS", ("SET LOCAL lock_timeout = '200ms'",))
    with psycopg.connect(fresh_database) as holder:
        holder.execute("SELECT FROM synth_pipeline_ledger.head FOR UPDATE")
        with pytest.raises(LedgerError, match="another process held it"):
            ledger.reserve(key("b"), CHARGE, cap=CAP)
        assert ledger.head().entries == 1  # reading waits for nobody


def test_a_connection_that_the_server_cuts_before_the_commit_is_tried_again(fresh_database):
    ledger, cuts = open_ledger(fresh_database), []
    reservation = ledger.reserve(key("a"), CHARGE, cap=CAP)

    def change(page):
        if not cuts:
            cuts.append(page.connection.info.backend_pid)
            with psycopg.connect(fresh_database) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (cuts[0],))
        return page.head()

    assert ledger.store.write(change, create=False).entries == 1
    ledger.mark_read(reservation)


def test_a_process_killed_while_it_holds_the_lock_leaves_nothing_and_no_lock(fresh_database):
    ledger = open_ledger(fresh_database)
    ledger.reserve(key("a"), CHARGE, cap=CAP)
    die = (
        "import os, sys\n"
        "from synth_pipeline.privacy.ledger import open_ledger\n"
        "ledger = open_ledger(sys.argv[1])\n"
        "entry = ledger.history()[0]\n"
        "from dataclasses import replace\n"
        "ledger.store.write(lambda page: (page.append(replace(entry, sequence=2, previous=entry.digest, digest='x')), os._exit(0)),"
        " create=False)\n"
    )
    assert subprocess.run([sys.executable, "-c", die, fresh_database], check=False).returncode == 0
    assert ledger.head().entries == 1
    ledger.reserve(key("b"), CHARGE, cap=CAP)
    assert ledger.verify().is_intact
