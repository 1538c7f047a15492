"""How a command ends when it does not end well."""

import json
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from synth_pipeline.cli import entry
from synth_pipeline.cli.options import home_option
from synth_pipeline.cli.refusal import refusing
from synth_pipeline.errors import BudgetRefused, CheckFailed, SpecError

SECRET = "PRIVATE-4711"


def run_raising(error: BaseException, home: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    @click.command()
    @home_option
    @refusing
    def broken(home: str | None) -> None:
        raise error

    monkeypatch.setitem(entry.program.commands, "broken", broken)
    return entry.main(["broken", "--home", str(home)])


@pytest.mark.parametrize("error, code", [(SpecError("no"), 2), (BudgetRefused("no"), 3), (CheckFailed("no"), 4)])
def test_a_refusal_is_one_line_and_its_own_exit_code(error, code, tmp_path, monkeypatch, capsys):
    assert run_raising(error, tmp_path / "home", monkeypatch) == code
    captured = capsys.readouterr()
    assert captured.err == "synth-pipeline broken: no\n"
    assert captured.out == ""
    assert not (tmp_path / "home").exists()


def test_a_refusal_of_many_lines_is_told_in_one(tmp_path, monkeypatch, capsys):
    run_raising(SpecError("first\n  second\n"), tmp_path, monkeypatch)
    assert capsys.readouterr().err == "synth-pipeline broken: first second\n"


def test_a_crash_says_its_type_and_place_and_keeps_its_message_private(tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    assert run_raising(KeyError(SECRET), home, monkeypatch) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert SECRET not in told
    assert "KeyError" in told
    kept = list((home / "private" / "logs").iterdir())
    assert [str(path) in told for path in kept] == [True]
    assert SECRET in kept[0].read_text()


def test_what_a_crash_keeps_is_readable_by_its_owner_alone(tmp_path, monkeypatch):
    home = tmp_path / "home"
    run_raising(KeyError(SECRET), home, monkeypatch)
    for place in (home / "private").rglob("*"):
        assert not place.stat().st_mode & 0o077
    assert not (home / "private").stat().st_mode & 0o077


def test_a_crash_is_told_even_where_the_home_cannot_be_written(tmp_path, monkeypatch, capsys):
    blocked = tmp_path / "home"
    blocked.write_text("a file")
    assert run_raising(ValueError(SECRET), blocked / "below", monkeypatch) == 1
    told = capsys.readouterr().err
    assert "could not be kept" in told
    assert SECRET not in told


def test_an_interruption_is_one_line(tmp_path, monkeypatch, capsys):
    assert run_raising(KeyboardInterrupt(), tmp_path, monkeypatch) == 130
    assert capsys.readouterr().err.strip().count("\n") == 0


_WAITING = """
import pathlib, signal, sys, time
import click
from synth_pipeline.cli import entry
from synth_pipeline.cli.refusal import refusing

@click.command()
@refusing
def waiting():
    try:
        pathlib.Path(sys.argv[1], "started").touch()
        time.sleep(60)
    except BaseException:
        pathlib.Path(sys.argv[1], "cleaned-up").touch()
        raise

entry.program.add_command(waiting)
code = entry.main(["waiting"])
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
sys.exit(code)
"""


def test_a_termination_is_one_line_and_what_is_under_way_is_cleaned_up(tmp_path):
    # A process of its own: Dagster, where a test ran it in this one, has left SIGTERM meaning what SIGINT means.
    process = subprocess.Popen([sys.executable, "-c", _WAITING, tmp_path], stderr=subprocess.PIPE, text=True)
    try:
        while not (tmp_path / "started").exists() and process.poll() is None:
            time.sleep(0.05)
        process.terminate()
        told = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert told == "synth-pipeline: terminated; what was read stays charged: see `synth-pipeline ledger show`\n"
    assert process.returncode == 143
    assert (tmp_path / "cleaned-up").exists()


@pytest.mark.parametrize(
    "argv, words",
    [
        (["sample"], "MODEL_DIR"),
        (["sampling", "x"], "sampling"),
        (["sample", "m", "--rows", "many", "--out", "x.csv"], "many"),
        (["sample", "m", "--rows", "5", "--out", "x.csv", "--seed", "-1"], "--seed"),
        (["ledger", "shoe"], "shoe"),
        (["audit"], "audit"),
    ],
)
def test_a_wrong_command_line_is_one_line_that_names_the_help(argv, words, capsys):
    assert entry.main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert "--help" in captured.err


def test_without_a_command_the_help_is_printed(capsys):
    assert entry.main([]) == 0
    assert "Commands:" in capsys.readouterr().out


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
    return found


@pytest.mark.parametrize("path", commands(entry.program), ids=" ".join)
def test_every_command_has_help_with_examples(path, capsys):
    assert entry.main([*path, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"Usage: synth-pipeline {' '.join(path)}" in told
    assert "Examples:" in told


ANSWERING = [
    path for path in commands(entry.program) if path not in {("ledger",), ("keys",), ("ui",)}
]  # groups, and a server


@pytest.mark.parametrize("path", ANSWERING, ids=" ".join)
def test_every_command_that_answers_does_so_in_json_too(path, capsys):
    entry.main([*path, "--help"])
    assert "--json" in capsys.readouterr().out


def test_the_schema_is_json_schema_of_every_key(capsys):
    assert entry.main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"dataset", "columns", "privacy"} <= set(schema["properties"])
