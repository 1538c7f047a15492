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
ledger = open_ledger(Path(sys.argv[1]))
cap, name = Cap(3.0, 1e-5), sys.argv[2]
charge = Charge((GaussianPoolEvent(gaussian_mu(1.0, 1e-6) ** 2),), 1.0, 1e-6)
key = lambda walk: WalkKey("adult", "2024", "digest", "1.0", walk)
"""
WAIT_FOR_THE_OTHERS = """
Path(sys.argv[1] + "." + name).touch()
while len(list(Path(sys.argv[1]).parent.glob("*.sqlite.racer*"))) < 3:
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


def start(script, path, name):
    return subprocess.Popen([sys.executable, "-c", script, str(path), name], stdout=subprocess.PIPE, text=True)


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


def test_processes_that_race_for_the_same_budget_spend_it_once(tmp_path):
    path = tmp_path / "ledger.sqlite"
    outputs = [finish(p) for p in [start(RACE, path, f"racer{i}") for i in range(3)]]
    ledger = open_ledger(path)
    spent = sum(len(output) for output in outputs)
    assert spent == admitted_one_after_another(tmp_path)
    account = ledger.account("adult")
    assert account.spent_epsilon <= CAP.epsilon
    assert len(account.entries) == 3 * spent
    assert ledger.verify().is_intact


def test_only_one_of_several_processes_on_the_same_walk_gets_to_read(tmp_path):
    path = tmp_path / "ledger.sqlite"
    outputs = [finish(p) for p in [start(SAME_WALK, path, f"racer{i}") for i in range(3)]]
    assert sorted(functools.reduce(operator.iadd, outputs, [])) == ["read", "refused", "refused"]
    assert [entry.kind for entry in open_ledger(path).history()] == ["reserve", "read"]


def test_a_process_that_dies_after_reading_stays_charged_and_one_that_dies_before_does_not(tmp_path):
    path = tmp_path / "ledger.sqlite"
    die = """
ledger.reserve(key("unread"), charge, cap=cap)
ledger.mark_read(ledger.reserve(key("read"), charge, cap=cap))
os._exit(0)
"""
    finish(start(PRELUDE + die, path, "crash"))
    ledger = open_ledger(path)
    account = ledger.account("adult")
    assert account.spent_epsilon > 0.8
    assert 0 < account.reserved_epsilon < account.spent_epsilon
    again = ledger.reserve(WalkKey("adult", "2024", "digest", "1.0", "unread"), pool_charge(), cap=CAP)
    assert again.number == 1
    with pytest.raises(LedgerError, match="new walk_id"):
        ledger.reserve(WalkKey("adult", "2024", "digest", "1.0", "read"), pool_charge(), cap=CAP)


def test_a_process_that_dies_in_the_middle_of_writing_leaves_no_half_entry_and_no_lock(tmp_path):
    path = tmp_path / "ledger.sqlite"
    die = """
from synth_pipeline.privacy.ledger.sqlite_file import append_entry, writing
ledger.reserve(key("whole"), charge, cap=cap)
with writing(ledger.path, create=False) as connection:
    append_entry(connection, "read", block=("adult", "all"), reservation=1, body={"stage": "walk"})
    os._exit(0)
"""
    finish(start(PRELUDE + die, path, "crash"))
    ledger = open_ledger(path)
    assert [entry.kind for entry in ledger.history()] == ["reserve"]
    ledger.mark_read(ledger.reserve(WalkKey("adult", "2024", "digest", "1.0", "whole"), pool_charge(), cap=CAP))
    assert ledger.verify().is_intact
