"""The command `fit` killed with SIGKILL at random instants: its ledger, its model folder, and what can be done afterwards."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import synth_pipeline
from synth_pipeline.cli import main
from synth_pipeline.errors import SynthPipelineError
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.privacy.ledger.book import read_book
from synth_pipeline.release.model import load_model
from synth_pipeline_tests.cli_workspace import make_workspace

pytestmark = pytest.mark.slow

DATASET = "clinic"
# How many entries of its own the fit is let write before the clock of its death starts, and how long that runs at most, in
# seconds: at the start; reserved; in the profile; in training; and while the model is saved.
TIMES = ((0, 4.0), (1, 0.01), (2, 1.5), (3, 0.6), (4, 0.15))
DEATHS = 10
_SECONDS = 300.0


@pytest.fixture
def workspace(tmp_path):
    made = make_workspace(tmp_path, fitted=False)
    made.spec_with("clinic", privacy={"epsilon": 1.0, "cap": {"epsilon": 60.0}})
    return made


def start(workspace, place):
    root = Path(synth_pipeline.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root), "SYNTH_PIPELINE_LEDGER": place, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "synth_pipeline", *workspace.fit()]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_at_random(process, ledger, *, entries, most, rng):
    """Kill a fit a random time after it has written so many entries; it may have ended before."""
    wanted, until = ledger.head().entries + entries, time.monotonic() + _SECONDS
    while ledger.head().entries < wanted and process.poll() is None:
        assert time.monotonic() < until, "the fit hangs: a dead one must have left a lock"
        time.sleep(0.02)
    time.sleep(rng.uniform(0, most))
    process.send_signal(signal.SIGKILL)
    process.wait(_SECONDS)


def statuses(ledger):
    return {number: record.status for number, record in read_book(ledger.history(DATASET)).items()}


def loads(folder):
    try:
        return len(load_model(folder).sample(5, seed=1)) == 5
    except SynthPipelineError:
        return False


def test_a_killed_fit_leaves_a_true_ledger_and_no_half_model_and_the_next_one_works(
    workspace, ledger_place, monkeypatch
):
    monkeypatch.setenv("SYNTH_PIPELINE_LEDGER", ledger_place)
    monkeypatch.setenv("SYNTH_PIPELINE_HOME", str(workspace.home))
    rng, ledger = random.Random(4), open_ledger(ledger_place)
    for death in range(DEATHS):
        before = statuses(ledger)
        entries, most = TIMES[death % len(TIMES)]
        kill_at_random(start(workspace, ledger_place), ledger, entries=entries, most=most, rng=rng)
        new = {number: status for number, status in statuses(ledger).items() if number not in before}
        assert len(new) <= 1
        assert ledger.verify().faults == ()
        if workspace.model.exists():  # there is a model only where its walk is committed, and then a whole one
            assert "committed" in statuses(ledger).values()
            assert loads(workspace.model)
    found = set(statuses(ledger).values())
    assert found & {"read", "committed"}
    release_all_reserved(ledger)
    account = ledger.account(DATASET)
    assert account.reserved_epsilon == 0
    assert account.spent_epsilon > 0
    assert main(workspace.fit()) == 0
    assert loads(workspace.model)
    assert ledger.account(DATASET).spent_epsilon > account.spent_epsilon
    assert main(["ledger", "verify", DATASET, "--home", str(workspace.home)]) == 0


def release_all_reserved(ledger):
    for number, status in statuses(ledger).items():
        if status == "reserved":
            assert main(["ledger", "release", str(number), "--reason", "its process was killed"]) == 0
