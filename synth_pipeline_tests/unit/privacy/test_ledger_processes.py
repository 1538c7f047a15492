"""The ledger under several real processes, and under processes that die."""

import functools
import operator
import subprocess
import sys

import pytest

from synth_pipeline.errors import LedgerError
from synth_pipeline.privacy.accounting import gaussian_mu
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import Cap, Charge, WalkKey, open_ledger

CAP = Cap(3.0, 1e-5)
PRELUDE = """
import os, sys, time
from pathlib import Path
from synth_pipeline.errors import BudgetRefused, LedgerError
from synth_pipeline.privacy.accounting import gaussian_mu
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import Cap, Charge, WalkKey, open_ledger
ledger = open_ledger(sys.argv[1])
cap, name, folder = Cap(3.0, 1e-5), sys.argv[2], Path(sys.argv[3])
charge = Charge((GaussianPoolEvent(gaussian_mu(1.0, 1e-6) ** 2),), 1.0, 1e-6)
key = lambda walk: WalkKey("adult", "2024", "digest", "1.0", walk)
"""
WAIT_FOR_THE_OTHERS = """
(folder / name).touch()
while len(list(folder.glob("racer*"))) < 3:
    time.sleep(0.005)
"""
RACE = (
    PRELUDE
    + WAIT_FOR_THE_OTHERS
    + """
for attempt in range(6):
    try:
        reservation = ledger.reserve(key(f"{name}-{attempt}"), charge, cap=cap)
    except BudgetRefused:
        break
    ledger.mark_read(reservation)
    ledger.commit(reservation, charge.events, 1.0)
    print("spent")
"""
)
SAME_WALK = (
    PRELUDE
    + WAIT_FOR_THE_OTHERS
    + """
try:
    ledger.mark_read(ledger.reserve(key("shared"), charge, cap=cap))
    print("read")
except LedgerError:
    print("refused")
"""
)


def start(script, place, name, folder):
    return subprocess.Popen([sys.executable, "-c", script, place, name, str(folder)], stdout=subprocess.PIPE, text=True)


def finish(process):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output.split()


def pool_charge():
    return Charge((GaussianPoolEvent(gaussian_mu(1.0, 1e-6) ** 2),), 1.0, 1e-6)


def admitted_one_after_another(tmp_path):
    alone = open_ledger(tmp_path / "alone" / "ledger.sqlite")
    count = 0
    while alone.account("adult", CAP).left_epsilon > 0.9:
        alone.reserve(WalkKey("adult", "2024", "digest", "1.0", str(count)), pool_charge(), cap=CAP)
        count += 1
    return count


def test_processes_that_race_for_the_same_budget_spend_it_once(ledger_place, tmp_path):
    outputs = [finish(p) for p in [start(RACE, ledger_place, f"racer{i}", tmp_path) for i in range(3)]]
    ledger = open_ledger(ledger_place)
    spent = sum(len(output) for output in outputs)
    assert spent == admitted_one_after_another(tmp_path)
    account = ledger.account("adult")
    assert account.spent_epsilon <= CAP.epsilon
    assert len(account.entries) == 3 * spent
    assert ledger.verify().is_intact


def test_only_one_of_several_processes_on_the_same_walk_gets_to_read(ledger_place, tmp_path):
    outputs = [finish(p) for p in [start(SAME_WALK, ledger_place, f"racer{i}", tmp_path) for i in range(3)]]
    assert sorted(functools.reduce(operator.iadd, outputs, [])) == ["read", "refused", "refused"]
    assert [entry.kind for entry in open_ledger(ledger_place).history()] == ["reserve", "read"]


def test_a_process_that_dies_after_reading_stays_charged_and_one_that_dies_before_does_not(ledger_place, tmp_path):
    die = """
ledger.reserve(key("unread"), charge, cap=cap)
ledger.mark_read(ledger.reserve(key("read"), charge, cap=cap))
os._exit(0)
"""
    finish(start(PRELUDE + die, ledger_place, "crash", tmp_path))
    ledger = open_ledger(ledger_place)
    account = ledger.account("adult")
    assert account.spent_epsilon > 0.8
    assert 0 < account.reserved_epsilon < account.spent_epsilon
    again = ledger.reserve(WalkKey("adult", "2024", "digest", "1.0", "unread"), pool_charge(), cap=CAP)
    assert again.number == 1
    with pytest.raises(LedgerError, match="new walk_id"):
        ledger.reserve(WalkKey("adult", "2024", "digest", "1.0", "read"), pool_charge(), cap=CAP)


def test_a_process_that_dies_in_the_middle_of_writing_leaves_no_half_entry_and_no_lock(ledger_place, tmp_path):
    die = """
reservation = ledger.reserve(key("whole"), charge, cap=cap)

def write_and_die(page):
    ledger._append(page, "read", reservation, {"stage": "walk"})
    os._exit(0)

ledger.store.write(write_and_die, create=False)
"""
    finish(start(PRELUDE + die, ledger_place, "crash", tmp_path))
    ledger = open_ledger(ledger_place)
    assert [entry.kind for entry in ledger.history()] == ["reserve"]
    ledger.mark_read(ledger.reserve(WalkKey("adult", "2024", "digest", "1.0", "whole"), pool_charge(), cap=CAP))
    assert ledger.verify().is_intact
