"""A file that the first version of the ledger wrote: it opens, verifies, and counts for no less than it did."""

import json
import sqlite3

import pytest

from synth_pipeline.privacy.accounting import filter_epsilon
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import Cap, Charge, WalkKey, open_ledger

# Written by the first version itself: kind, cohort, reservation, at (hour of 2026-11-22), body, digest.
_CHARGE = (
    '{"cap":{"delta":1e-05,"epsilon":3.0},"charge":{"delta":1e-06,"epsilon":1.0,"events":[{"kind":"gaussian_pool",'
    '"mu_squared":MU,"purpose":"","stage":""}],"lines":[{"epsilon":1.0,"mechanism":"discrete Gaussian","purpose":"age",'
    '"stage":"profile"}]},"key":{"code_version":"1.0","dataset":"adult","snapshot":"1974","spec_digest":"digest","walk_id":"WALK"}}'
)
_RAN = (
    '{"epsilon":0.9,"events":[{"count":1,"kind":"discrete_gaussian","purpose":"n","sensitivity":1,"sigma":5.1,'
    '"stage":"profile"}]}'
)


def _reserved(mu, walk):
    return _CHARGE.replace("MU", mu).replace("WALK", walk)


ROWS = [
    ("reserve", "1974", 1, "12:48:35.902", _reserved("0.04", "a"), "a85e6fdcefdeff5b9817fb700172e8bbb39b3499589cdebc47af4a2d8276d0d9"),
    ("read", "1974", 1, "12:48:35.946", '{"stage":"profile"}', "ef20af96a66194bf92e0ea04aa633908897fa34fb869bb03430b07ee17173d7c"),
    ("commit", "1974", 1, "12:48:39.481", _RAN, "f49901c47aaf30d44a5fa44c843c2e94657927fbe67c423bab1ee62c973a3695"),
    ("reserve", "all", 4, "12:48:39.528", _reserved("0.01", "b"), "427f6030295226e6be7d733a53b1017e1e5e18ef9da7d7488b6d74dee16b8d22"),
    ("read", "all", 4, "12:48:39.566", '{"stage":"profile"}', "8fcc54983b05f69767940ba71876f33f6fd4775e173ba4731c445a25282c82ea"),
    ("reserve", "1985", 6, "12:48:39.591", _reserved("0.01", "c"), "ad61ff4b86a6a5fc5cbba15c3414a55613b33901223703cb6036da237ecadc4b"),
    ("release", "1985", 6, "12:48:39.614", '{"reason":"not read"}', "914537eb2592234bb8c16125bb691321003442e3560c010b7c1dba312dc94ba9"),
    ("reserve", "1985", 8, "12:48:39.655", _reserved("0.02", "d"), "a6fb1171759fbf2bd896fba2203e636e11cefd3f8f9c36ea6fbfaac458e00155"),
]  # fmt: skip


@pytest.fixture
def ledger(tmp_path):
    """The first version's tables, filled with what it wrote."""
    path, previous = tmp_path / "ledger.sqlite", "0" * 64
    connection = sqlite3.connect(path)
    connection.executescript("""
        CREATE TABLE entry (sequence INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, dataset TEXT NOT NULL,
            cohort TEXT NOT NULL, reservation INTEGER NOT NULL, body TEXT NOT NULL, previous TEXT NOT NULL, digest TEXT NOT NULL);
        CREATE INDEX entry_of_dataset ON entry (dataset, sequence);
        CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), entries INTEGER NOT NULL, digest TEXT NOT NULL);
        CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entries are only added'); END;
        CREATE TRIGGER entry_is_never_removed BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'entries are only added'); END;
        PRAGMA application_id = 1397771335; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;""")
    for sequence, (kind, cohort, reservation, hour, body, digest) in enumerate(ROWS, start=1):
        at = f"2026-11-22T{hour}+00:00"
        row = (sequence, at, kind, "adult", cohort, reservation, body, previous, digest)
        connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        previous = digest
    connection.execute("INSERT INTO head VALUES (1, 8, ?)", (previous,))
    connection.commit()
    connection.close()
    return open_ledger(path)


def test_it_opens_and_its_chain_is_intact(ledger):
    report = ledger.verify()
    assert report.faults == ()
    assert report.entries == 8


def test_walks_are_counted_as_planned_so_for_no_less_than_what_ran(ledger):
    account = ledger.account("adult")
    spent = {block.cohort: block.spent_epsilon for block in account.blocks}
    planned, other = GaussianPoolEvent(0.04), GaussianPoolEvent(0.01)
    assert (
        spent["1974"] == filter_epsilon([(planned,), (other,)], 1e-5) > 0.8068257708567828
    )  # what that version counted
    assert spent["1985"] == spent["all"] == filter_epsilon([(other,)], 1e-5)
    assert [(walk.status, walk.reservation.blocks, walk.reservation.by) for walk in account.walks] == [
        ("committed", ("1974",), None),
        ("read", ("all",), None),
        ("released", ("1985",), None),
        ("reserved", ("1985",), None),
    ]


def test_its_walks_go_on_and_new_ones_follow_in_the_same_chain(ledger):
    key = WalkKey("adult", "1974", "digest", "1.0", "d")
    ledger.mark_read(ledger.find(key).reservation)
    charge = Charge((GaussianPoolEvent(0.01),), 1.0, 1e-6)
    cap = Cap(3.0, 1e-5, "year")
    ledger.reserve(WalkKey("adult", "1990", "digest", "1.1", "e"), charge, cap=cap, cohort=("1974", "1985"))
    assert ledger.verify().is_intact
    assert json.dumps(ledger.account("adult").to_dict())
