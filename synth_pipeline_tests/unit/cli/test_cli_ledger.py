"""The `ledger` commands on either store: what they show, and how a walk that will not end is ended."""

import io
import json
import os
import pwd

import pytest
from rich.console import Console

from synth_pipeline.cli import main
from synth_pipeline.cli.ledger_report import render_account, render_history
from synth_pipeline.privacy.accounting import gaussian_mu
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import Cap, Charge, ChargeLine, WalkKey, open_ledger
from synth_pipeline_tests.postgres_server import PASSWORD

DELTA = 1e-6
CAP = Cap(4.0, DELTA, "year", lifetime_epsilon=10.0)
ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def ledger(ledger_place, monkeypatch, tmp_path):
    monkeypatch.setenv("SYNTH_PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("SYNTH_PIPELINE_LEDGER", ledger_place)
    return open_ledger()


@pytest.fixture
def run(capsys):
    def call(*argv, code=0):
        capsys.readouterr()
        assert main([str(part) for part in argv]) == code
        said = capsys.readouterr()
        assert PASSWORD not in said.out + said.err
        if code:
            return said.err
        return json.loads(said.out) if "--json" in argv else said.out

    return call


def reserve(ledger, walk, epsilon=1.0, cohort="all", cap=CAP):
    lines = (ChargeLine("profile", "age", "discrete Gaussian", 0.5), ChargeLine("generator", "x", "y", 0.5))
    charge = Charge((GaussianPoolEvent(gaussian_mu(epsilon, DELTA) ** 2),), epsilon, DELTA, lines)
    return ledger.reserve(WalkKey("people", "2026-06", "digest", "1.0", walk), charge, cap=cap, cohort=cohort)


def test_one_screen_says_how_much_by_whom_on_whom_for_what_and_until_when(run, ledger):
    walk = reserve(ledger, "walk-of-the-first", cohort=("q1", "q2"))
    ledger.mark_read(walk)
    ledger.commit(walk, walk.charge.events, 1.0)
    reserve(ledger, "second", cohort="q2")
    shown = run("ledger", "show", "people")
    assert len(shown.splitlines()) <= 24
    assert "people: ε = 1 spent, 0." in shown
    assert "left of the cap ε = 4 (δ = 1e-06), which renews at " in shown
    assert "-01-01 00:00 UTC (period: year)" in shown
    assert "cap ε = 10" in shown
    assert "██████████▒" in shown.splitlines()[1]
    for word in (ME, "walk-of-the-", "2026-06", "q1, q2", "profile + generator", "for good", "read or released"):
        assert word in shown


def test_the_json_says_the_same_and_keeps_the_promised_names(run, ledger):
    reserve(ledger, "first", cohort=("q1", "q2"))
    shown = run("ledger", "show", "people", "--json")
    assert {"dataset", "cap", "spent_epsilon", "reserved_epsilon", "left_epsilon", "entries"} <= set(shown)
    assert {block["cohort"] for block in shown["blocks"]} == {"q1", "q2"}
    assert shown["walks"][0].items() >= {"by": ME, "status": "reserved", "blocks": ["q1", "q2"], "closed": None}.items()
    assert shown["period"]["until"].endswith("-01-01T00:00:00+00:00")
    (listed,) = run("ledger", "show", "--json")["datasets"]
    assert listed["dataset"] == "people"
    assert "never" not in run("ledger", "show")


def test_a_reservation_that_read_nothing_is_released_by_number_or_walk_id(run, ledger):
    first, second = reserve(ledger, "first"), reserve(ledger, "a-walk-with-a-long-id")
    assert "given back" in run("ledger", "release", first.number, "--reason", "its machine is gone")
    assert run("ledger", "release", "a-walk-with", "--reason", "x", "--json")["reservation"] == second.number
    assert ledger.account("people").reserved_epsilon == 0.0
    assert "its machine is gone" in run("ledger", "history", "people")


def test_what_was_read_is_not_released_but_may_be_closed(run, ledger):
    walk = reserve(ledger, "first")
    ledger.mark_read(walk, stage="profile")
    assert "stays charged" in run("ledger", "release", "first", "--reason", "I want it back", code=2)
    assert ledger.account("people").spent_epsilon == pytest.approx(1.0, rel=1e-6)
    assert "closed" in run("ledger", "close", "first", "--reason", "its machine is gone")
    assert ledger.account("people").spent_epsilon == pytest.approx(1.0, rel=1e-6)
    assert "closed at ε = 1: its machine is gone" in run("ledger", "history", "people")
    assert "committed" in run("ledger", "close", "first", "--reason", "again", code=2)


def test_a_walk_that_there_is_not_is_refused(run, ledger):
    reserve(ledger, "first")
    for word in ("99", "firs", "nobody-knows-it"):
        assert "no such walk" in run("ledger", "release", word, "--reason", "x", code=2)


def test_a_prefix_of_several_walks_is_refused_with_their_numbers(run, ledger):
    reserve(ledger, "same-beginning-1")
    reserve(ledger, "same-beginning-2")
    assert "(#1, #2)" in run("ledger", "release", "same-beg", "--reason", "x", code=2)


def test_anchors_that_the_chain_holds_pass_and_others_exit_4(run, ledger):
    reserve(ledger, "first")
    anchor = ledger.head()
    word = f"{anchor.entries}:{anchor.digest}"
    assert word in run("ledger", "verify")
    reserve(ledger, "second")
    assert "1 anchor held" in run("ledger", "verify", "--anchor", word)
    assert run("ledger", "verify", "--anchor", word, "--anchor", f"0:{'0' * 64}", "--json")["anchors"] == 2
    assert "noted elsewhere after 2" in run("ledger", "verify", "--anchor", f"2:{anchor.digest}", code=4)
    for text in ("x", "1", f"one:{anchor.digest}", "1:abc"):
        assert "ENTRIES:DIGEST" in run("ledger", "verify", "--anchor", text, code=2)


@pytest.mark.parametrize("reason", ["", "  ", "a\x1b[31mb", "a\udcffb", "x" * 301])
def test_a_reason_is_one_printable_line(run, ledger, reason):
    reserve(ledger, "first")
    assert "--reason" in run("ledger", "release", "1", "--reason", reason, code=2)
    assert ledger.account("people").reserved_epsilon > 0


def test_a_walk_that_is_over_is_neither_released_nor_closed_again(run, ledger):
    reserve(ledger, "first")
    assert "it has read nothing: release it" in run("ledger", "close", "1", "--reason", "x", code=2)
    run("ledger", "release", "1", "--reason", "two\nlines")
    assert "two lines" in run("ledger", "history")
    assert "was released before" in run("ledger", "release", "1", "--reason", "x", code=2)
    assert "nothing is left to do" in run("ledger", "close", "1", "--reason", "x", code=2)


def test_a_ledger_that_is_not_there_is_not_called_intact(run, ledger):
    assert "no ledger yet, or it was moved" in run("ledger", "verify")
    assert "after 1 entries" in run("ledger", "verify", "--anchor", f"1:{'a' * 64}", code=4)


def test_older_walks_that_are_open_are_named_beside_the_newest(run, ledger):
    for number in range(14):
        reserve(ledger, f"walk-{number}", epsilon=0.1)
    shown = run("ledger", "show", "people")
    assert "(12 newest of 14 walks; of the others 2 are open: #1, #2; `ledger history people` lists all)" in shown


@pytest.mark.parametrize("columns", [80, 140])
def test_a_walk_fits_on_a_narrow_screen_too(ledger, columns):
    walk = reserve(ledger, "walk-of-the-first", cohort=("q1", "q2"))
    ledger.mark_read(walk)
    console = Console(file=io.StringIO(), width=columns)
    render_account(console, ledger.account("people"))
    render_history(console, ledger.history("people"))
    shown = console.file.getvalue()
    assert len(shown.splitlines()) <= 24
    for word in (ME, "walk-of-the-", "2026-06", "q1, q2", "profile + generator", "for good"):
        assert word in shown
