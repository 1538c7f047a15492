"""The stored chain: ordinary statements cannot change it, and what gets past them shows in verification."""

import sqlite3

import pytest

from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import Cap, Charge, Head, WalkKey, open_ledger
from synth_pipeline.privacy.ledger.chain import entry_digest


@pytest.fixture
def ledger(tmp_path):
    made = open_ledger(tmp_path / "ledger.sqlite")
    for walk in ("a", "b"):
        key = WalkKey("adult", "2024", "digest", "1.0", walk)
        reservation = made.reserve(key, Charge((GaussianPoolEvent(0.01),), 1.0, 1e-6), cap=Cap(3.0, 1e-5))
        made.mark_read(reservation)
    return made


def change(ledger, *statements):
    connection = sqlite3.connect(ledger.path)
    for trigger in ("entry_is_never_changed", "entry_is_never_removed"):
        connection.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_an_untouched_ledger_is_intact_and_so_is_none(ledger, tmp_path):
    report = ledger.verify()
    assert report.is_intact
    assert report.entries == 4
    assert open_ledger(tmp_path / "none.sqlite").verify().is_intact


@pytest.mark.parametrize("statement", ["UPDATE entry SET dataset = 'x'", "DELETE FROM entry WHERE sequence = 4"])
def test_entries_cannot_be_changed_or_removed_by_ordinary_statements(ledger, statement):
    connection = sqlite3.connect(ledger.path)
    with pytest.raises(sqlite3.IntegrityError, match="only added"):
        connection.execute(statement)
    connection.close()


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
def test_a_change_of_the_file_is_found_and_named(ledger, statements, fault):
    change(ledger, *statements)
    report = ledger.verify()
    assert not report.is_intact
    assert any(fault in line for line in report.faults), report.faults


def test_a_tail_cut_off_with_its_head_rewritten_is_found_by_an_anchor_kept_elsewhere_only(ledger):
    anchor = ledger.head()
    digest = ledger.history()[2].digest
    change(ledger, "DELETE FROM entry WHERE sequence = 4", f"UPDATE head SET entries = 3, digest = '{digest}'")
    assert ledger.verify().is_intact
    report = ledger.verify([anchor])
    assert not report.is_intact
    assert "noted elsewhere" in report.faults[0]


def test_a_last_entry_rewritten_with_a_fitting_digest_is_found_by_an_anchor(ledger):
    anchor, last = ledger.head(), ledger.history()[3].to_dict()
    digest = entry_digest(last | {"at": "2020-01-01"})
    change(
        ledger,
        f"UPDATE entry SET at = '2020-01-01', digest = '{digest}' WHERE sequence = 4",
        f"UPDATE head SET digest = '{digest}'",
    )
    assert ledger.verify().is_intact
    assert not ledger.verify([anchor]).is_intact


def test_anchors_of_earlier_days_hold_as_the_ledger_grows(ledger):
    earlier = [Head(0, "0" * 64), *(Head(entry.sequence, entry.digest) for entry in ledger.history())]
    assert ledger.verify(earlier).is_intact


def test_a_chain_that_fits_but_tells_an_impossible_story_is_found(ledger):
    entries = [entry.to_dict() for entry in ledger.history()]
    twice = entries[3] | {"reservation": 1, "body": {"stage": "walk"}}
    digest = entry_digest(twice)
    change(
        ledger,
        f"UPDATE entry SET reservation = 1, digest = '{digest}' WHERE sequence = 4",
        f"UPDATE head SET digest = '{digest}'",
    )
    report = ledger.verify()
    assert any("read its snapshot before" in fault for fault in report.faults)
