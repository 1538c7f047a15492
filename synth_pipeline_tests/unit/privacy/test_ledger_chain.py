"""The stored chain: ordinary statements cannot change it, and what gets past them shows in verification."""

import sqlite3

import psycopg
import pytest

from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import Cap, Charge, Head, WalkKey, open_ledger
from synth_pipeline.privacy.ledger.chain import entry_digest

SWITCHES = {
    "sqlite": (["DROP TRIGGER entry_is_never_changed", "DROP TRIGGER entry_is_never_removed"], []),
    "postgresql": (
        [f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in ("entry", "head")],
        [f"ALTER TABLE {table} ENABLE TRIGGER ALL" for table in ("entry", "head")],
    ),
}


@pytest.fixture
def ledger(ledger_place):
    made = open_ledger(ledger_place)
    for walk in ("a", "b"):
        key = WalkKey("adult", "2024", "digest", "1.0", walk)
        reservation = made.reserve(key, Charge((GaussianPoolEvent(0.01),), 1.0, 1e-6), cap=Cap(3.0, 1e-5))
        made.mark_read(reservation)
    return made


def execute(place, *statements):
    """As whoever owns the file or the tables, in one transaction."""
    if "://" in place:
        with psycopg.connect(place) as connection:
            connection.execute("SET search_path = synth_pipeline_ledger")
            for statement in statements:
                connection.execute(statement)
        return
    connection = sqlite3.connect(place)
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


def change(place, *statements):
    """As somebody who switches the triggers off."""
    before, after = SWITCHES["postgresql" if "://" in place else "sqlite"]
    execute(place, *before, *statements, *after)


def test_an_untouched_ledger_is_intact_and_so_is_none(ledger, tmp_path):
    report = ledger.verify()
    assert report.is_intact
    assert report.entries == 4
    assert open_ledger(tmp_path / "none.sqlite").verify().is_intact


@pytest.mark.parametrize("statement", ["UPDATE entry SET dataset = 'x'", "DELETE FROM entry WHERE sequence = 4"])
def test_entries_cannot_be_changed_or_removed_by_ordinary_statements(ledger, ledger_place, statement):
    with pytest.raises((sqlite3.IntegrityError, psycopg.errors.RaiseException), match="only added"):
        execute(ledger_place, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE entry",
        "TRUNCATE head",
        "DELETE FROM head",
        "UPDATE head SET entries = 3, digest = (SELECT digest FROM entry WHERE sequence = 3)",
        "UPDATE head SET entries = 5, digest = 'x'",
    ],
)
def test_in_postgresql_the_head_moves_on_only_and_nothing_is_emptied(fresh_database, statement):
    made = open_ledger(fresh_database)
    for walk in "abcd":
        key = WalkKey("adult", "2024", "digest", "1.0", walk)
        made.reserve(key, Charge((GaussianPoolEvent(0.01),), 1.0, 1e-6), cap=Cap(3.0, 1e-5))
    with pytest.raises(psycopg.errors.RaiseException, match="only"):
        execute(fresh_database, statement)
    assert made.verify().is_intact


@pytest.mark.parametrize(
    "statements, fault",
    [
        (["UPDATE entry SET body = replace(body, '0.01', '0.001') WHERE sequence = 1"], "entry 1 was changed"),
        (["UPDATE entry SET body = 'no json' WHERE sequence = 2"], "entry 2 was changed"),
        (["UPDATE entry SET at = '2020-01-01' WHERE sequence = 3"], "entry 3 was changed"),
        (["DELETE FROM entry WHERE sequence = 2"], "entry 2 is missing"),
        (["DELETE FROM entry WHERE sequence = 4"], "head counts 4"),
        (["DELETE FROM entry WHERE sequence = 4", "UPDATE head SET entries = 3"], "not the one that the head names"),
        (
            [
                "UPDATE entry SET sequence = 9 WHERE sequence = 2",
                "UPDATE entry SET sequence = 2 WHERE sequence = 3",
                "UPDATE entry SET sequence = 3 WHERE sequence = 9",
            ],
            "does not follow",
        ),
    ],
)
def test_a_change_of_the_file_is_found_and_named(ledger, ledger_place, statements, fault):
    change(ledger_place, *statements)
    report = ledger.verify()
    assert not report.is_intact
    assert any(fault in line for line in report.faults), report.faults


def test_a_tail_cut_off_with_its_head_rewritten_is_found_by_an_anchor_kept_elsewhere_only(ledger, ledger_place):
    anchor = ledger.head()
    digest = ledger.history()[2].digest
    change(ledger_place, "DELETE FROM entry WHERE sequence = 4", f"UPDATE head SET entries = 3, digest = '{digest}'")
    assert ledger.verify().is_intact
    report = ledger.verify([anchor])
    assert not report.is_intact
    assert "noted elsewhere" in report.faults[0]


def test_a_last_entry_rewritten_with_a_fitting_digest_is_found_by_an_anchor(ledger, ledger_place):
    anchor, last = ledger.head(), ledger.history()[3].to_dict()
    digest = entry_digest(last | {"at": "2020-01-01"})
    change(
        ledger_place,
        f"UPDATE entry SET at = '2020-01-01', digest = '{digest}' WHERE sequence = 4",
        f"UPDATE head SET digest = '{digest}'",
    )
    assert ledger.verify().is_intact
    assert not ledger.verify([anchor]).is_intact


def test_anchors_of_earlier_days_hold_as_the_ledger_grows(ledger):
    earlier = [Head(0, "0" * 64), *(Head(entry.sequence, entry.digest) for entry in ledger.history())]
    assert ledger.verify(earlier).is_intact


def test_a_chain_that_fits_but_tells_an_impossible_story_is_found(ledger, ledger_place):
    entries = [entry.to_dict() for entry in ledger.history()]
    twice = entries[3] | {"reservation": 1, "body": {"stage": "walk"}}
    digest = entry_digest(twice)
    change(
        ledger_place,
        f"UPDATE entry SET reservation = 1, digest = '{digest}' WHERE sequence = 4",
        f"UPDATE head SET digest = '{digest}'",
    )
    report = ledger.verify()
    assert any("read its snapshot before" in fault for fault in report.faults)
