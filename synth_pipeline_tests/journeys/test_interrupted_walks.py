"""A walk that is interrupted before anything was read gives its budget back by itself; one that has read stays charged."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from synth_pipeline import reserve
from synth_pipeline import walk as stages
from synth_pipeline.errors import LedgerError
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.orchestration.launch import run_walk
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.dagster_example import clinic_rows, make_place
from synth_pipeline_tests.released_example import example_spec, example_table


class InterruptedTable(pd.DataFrame):
    """A table on whose first use the operator presses Ctrl-C."""

    @property
    def columns(self):
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def heard_interrupts():
    """Ctrl-C as in a terminal, also where the tests run in the background of a shell, which has processes ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def spec():
    return example_spec()


@pytest.fixture
def ledger(ledger_place):
    return open_ledger(ledger_place)


def kinds(ledger):
    return [entry.kind for entry in ledger.history()]


def test_a_fit_that_is_interrupted_before_the_first_answer_gives_its_budget_back(spec, ledger):
    with pytest.raises(KeyboardInterrupt):
        stages.fit(spec, InterruptedTable(example_table(10)), ledger=ledger)
    assert kinds(ledger) == ["reserve", "release"]


def test_a_walk_that_is_interrupted_before_the_first_answer_gives_its_budget_back(spec, ledger, tmp_path):
    table = InterruptedTable(example_table(10))
    with pytest.raises(KeyboardInterrupt):
        stages.run_walk(spec, table, snapshot="s", ledger=ledger, key=b"k" * 32, releases=tmp_path)
    assert kinds(ledger) == ["reserve", "release"]


def test_a_fit_that_is_interrupted_after_an_answer_stays_charged(spec, ledger):
    def press(message, done):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        stages.fit(spec, example_table(200), ledger=ledger, runtime=RuntimeConfig(progress=press))
    assert kinds(ledger) == ["reserve", "read"]


def test_what_ended_the_walk_is_told_even_where_the_ledger_is_gone(spec, tmp_path):
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    walk = reserve.open_walk(spec, snapshot="s", ledger=ledger, walk_id="w")
    (tmp_path / "ledger.sqlite").write_bytes(b"no ledger any more")
    with pytest.raises(ZeroDivisionError), reserve.given_back_unread(walk):
        raise ZeroDivisionError
    with pytest.raises(LedgerError):
        ledger.head()


def test_what_a_killed_save_left_is_removed_by_a_save_to_the_same_place_a_day_later(spec, tmp_path):
    model = stages.fit(spec, example_table(200), ledger=open_ledger(tmp_path / "ledger.sqlite"))
    place = tmp_path / "models"
    for name in (".model.draft.abcd_123", ".model.old.abcd_123", ".model.archived", ".other.draft.abcd_123", "keep"):
        (place / name).mkdir(parents=True)
        os.utime(place / name, (0, 0))
    (place / ".model.draft.of_today").mkdir()
    model.save(place / "model")
    model.save(place / "model")
    left = {"model", ".model.archived", ".model.draft.of_today", ".other.draft.abcd_123", "keep"}
    assert {path.name for path in place.iterdir()} == left


def test_a_walk_through_dagster_that_is_interrupted_stays_charged_and_the_same_command_goes_on_with_it(tmp_path):
    place = make_place(tmp_path, generator={"kind": "mst"})
    place.put("visits", clinic_rows(300))

    def press(message, done):
        if message.startswith("profile"):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_walk("clinic", home=place.home.folder, own=place.own, progress=press)
    assert kinds(open_ledger(place.home.ledger)) == ["reserve", "read"]
    report = run_walk("clinic", home=place.home.folder, own=place.own)
    assert kinds(open_ledger(place.home.ledger)) == ["reserve", "read", "read", "commit"]
    assert report.release.is_dir()
    assert report.mlflow_model is not None


@pytest.mark.slow
@pytest.mark.parametrize("sent, word, code", [(signal.SIGTERM, "terminated", 143), (signal.SIGINT, "interrupted", 130)])
def test_a_run_that_is_ended_while_dagster_executes_says_by_what_and_gives_back_what_it_did_not_read(
    sent, word, code, tmp_path
):
    place = make_place(tmp_path)
    place.put("visits", clinic_rows(3000))
    command = [sys.executable, "-m", "synth_pipeline", "run", "clinic", "--home", str(place.home.folder)]
    environment = {**os.environ, "SYNTH_PIPELINE_DEFS": str(place.own)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        await_entry(place.home, "reserve", process)
        process.send_signal(sent)
        told = process.communicate(timeout=120)[1]
    assert process.returncode == code, told
    assert told.splitlines()[-1].startswith(f"synth-pipeline: {word}; what was read stays charged")
    ledger = open_ledger(place.home.ledger)
    assert ledger.account("clinic").reserved_epsilon == 0.0
    assert kinds(ledger)[-1] in {"release", "read", "close", "commit"}


def await_entry(home, kind, process, patience_seconds=300):
    """Wait until the ledger of a process's home has an entry of a kind."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        assert process.poll() is None
        if home.folder.joinpath("ledger.sqlite").exists() and kind in kinds(open_ledger(home.ledger)):
            return
        time.sleep(0.05)
    raise AssertionError(f"no entry {kind} within {patience_seconds} s")
