"""What is recorded in the chain and changes no budget, in either store."""

import json
import sqlite3
import threading

import pytest

from synth_pipeline.errors import BudgetRefused, LedgerError
from synth_pipeline.privacy.accounting import gaussian_mu
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import Cap, Charge, WalkKey, open_ledger

CAP, DELTA = Cap(3.0, 1e-5), 1e-6
BODY = {"what": "approve", "release": "adult/a", "key": "ab" * 16, "words": "teaching"}


@pytest.fixture
def ledger(ledger_place):
    return open_ledger(ledger_place)


def reserve(ledger, walk="first"):
    charge = Charge((GaussianPoolEvent(gaussian_mu(1.0, DELTA) ** 2),), 1.0, DELTA)
    return ledger.reserve(WalkKey("adult", "2024", "digest", "1.0", walk), charge, cap=CAP)


def test_a_record_is_an_entry_of_the_chain_and_changes_no_budget(ledger):
    walk = reserve(ledger)
    before = ledger.account("adult")
    entry = ledger.record("adult", BODY, reservation=walk.number)
    after = ledger.account("adult")
    assert (entry.kind, entry.dataset, entry.cohort, entry.reservation) == ("record", "adult", "", walk.number)
    assert dict(entry.body) == BODY
    assert ledger.history("adult")[-1] == entry
    assert (after.blocks, after.walks) == (before.blocks, before.walks)
    assert ledger.verify([ledger.head()]).is_intact


def test_a_walk_goes_on_after_something_was_recorded_about_it(ledger):
    walk = reserve(ledger)
    ledger.record("adult", BODY, reservation=walk.number)
    ledger.mark_read(walk)
    ledger.record("adult", BODY, reservation=walk.number)
    ledger.commit(walk, walk.charge.events, 1.0)
    assert [entry.kind for entry in ledger.history()] == ["reserve", "record", "read", "record", "commit"]
    assert ledger.account("adult").walks[0].status == "committed"


def test_what_is_about_no_walk_of_the_ledger_has_reservation_0(ledger):
    reserve(ledger)
    entry = ledger.record("other", BODY)
    assert entry.reservation == 0
    assert ledger.walks("other") == ()
    assert ledger.verify().is_intact


def test_what_says_it_already_is_found_again_instead(ledger):
    reserve(ledger)

    def said(entries):
        return next((entry for entry in entries if entry.kind == "record"), None)

    first = ledger.record("adult", BODY, unless=said)
    assert ledger.record("adult", {**BODY, "words": "other"}, unless=said) == first
    assert ledger.head().entries == 2


def test_an_objection_writes_nothing(ledger):
    reserve(ledger)
    before = ledger.head()

    def objects(entries):
        raise LedgerError("no")

    with pytest.raises(LedgerError, match=r"^no$"):
        ledger.record("adult", BODY, unless=objects)
    assert ledger.head() == before


def test_of_many_who_record_the_same_at_once_one_does(ledger):
    reserve(ledger)
    made = []

    def said(entries):
        return next((entry for entry in entries if entry.kind == "record"), None)

    threads = [
        threading.Thread(target=lambda: made.append(ledger.record("adult", BODY, unless=said).sequence))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [2] * 8
    assert ledger.head().entries == 2


@pytest.mark.parametrize("what", ["reserve", "read", "commit", "release", "close"])
def test_a_record_that_speaks_like_a_step_of_a_walk_is_none(ledger, what):
    walk = reserve(ledger)
    ledger.mark_read(walk)
    before = ledger.account("adult")
    forged = {
        "what": what,
        "reason": "x",
        "stage": "walk",
        "events": [],
        "epsilon": 0.0,
        "cap": {"epsilon": 99.0, "delta": 1.0},
    }
    ledger.record("adult", forged, reservation=walk.number)
    after = ledger.account("adult")
    assert (after.blocks, after.walks, after.cap) == (before.blocks, before.walks, before.cap)
    assert ledger.verify().is_intact


def test_who_records_while_others_reserve_brings_nobody_past_the_cap(ledger):
    reserve(ledger)
    outcomes = []

    def attempt(number):
        try:
            reserve(ledger, f"walk {number}")
            outcomes.append("admitted")
        except BudgetRefused:
            outcomes.append("refused")

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(10)]
    threads += [threading.Thread(target=ledger.record, args=("adult", {**BODY, "words": str(n)})) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    account = ledger.account("adult")
    assert len(outcomes) == 10
    assert "refused" in outcomes
    assert len(account.walks) == 1 + outcomes.count("admitted")
    assert account.reserved_epsilon + account.spent_epsilon <= CAP.epsilon
    assert [entry.sequence for entry in ledger.history()] == list(range(1, 12 + outcomes.count("admitted")))
    assert ledger.verify().is_intact


@pytest.mark.parametrize("body", [{}, {"what": ""}, {"what": 5}])
def test_a_record_says_what_happened(ledger, body):
    reserve(ledger)
    with pytest.raises(LedgerError, match="what happened"):
        ledger.record("adult", body)


def test_a_record_of_a_reservation_that_there_is_not_is_refused(ledger):
    reserve(ledger)
    with pytest.raises(LedgerError, match="holds no reservation 7"):
        ledger.record("adult", BODY, reservation=7)


def test_where_there_is_no_ledger_nothing_is_recorded(ledger):
    with pytest.raises(LedgerError, match="there is no such"):
        ledger.record("adult", BODY)


def test_a_record_that_is_edited_or_removed_shows(tmp_path):
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    reserve(ledger)
    ledger.record("adult", BODY)
    ledger.record("adult", {**BODY, "what": "withdraw"})
    with sqlite3.connect(tmp_path / "ledger.sqlite") as file:
        file.execute("DROP TRIGGER entry_is_never_changed")
        file.execute("UPDATE entry SET body = ? WHERE sequence = 2", (json.dumps({**BODY, "words": "anything"}),))
    assert "entry 2 was changed after it was written" in ledger.verify().faults
    with sqlite3.connect(tmp_path / "ledger.sqlite") as file:
        file.execute("DROP TRIGGER entry_is_never_removed")
        file.execute("DELETE FROM entry WHERE sequence = 3")
    assert any("head counts 3" in fault for fault in ledger.verify().faults)


def test_a_record_that_no_program_wrote_is_damage(tmp_path):
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    reserve(ledger)
    ledger.record("adult", BODY)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as file:
        file.execute("DROP TRIGGER entry_is_never_changed")
        file.execute("UPDATE entry SET reservation = 9 WHERE sequence = 2")
    with pytest.raises(LedgerError, match="entry 2 cannot be read"):
        ledger.account("adult")
