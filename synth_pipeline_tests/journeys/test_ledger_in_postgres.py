"""The whole product with its ledger in PostgreSQL, chosen by one variable: a Dagster walk, the ledger's commands, and what they show."""

import json
import sqlite3

import pytest

from synth_pipeline.cli import main
from synth_pipeline.errors import BudgetRefused
from synth_pipeline.orchestration.launch import run_walk
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.cli_workspace import make_workspace
from synth_pipeline_tests.dagster_example import clinic_rows, make_place
from synth_pipeline_tests.postgres_server import PASSWORD


@pytest.fixture
def url(fresh_database, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_LEDGER", fresh_database)
    return fresh_database


def command(capsys, *words, code=0):
    """The JSON that a command prints; every word of its output is looked through for the password."""
    assert main([*words]) == code
    shown = capsys.readouterr()
    assert PASSWORD not in shown.out + shown.err
    return json.loads(shown.out) if "--json" in words else shown.out + shown.err


@pytest.mark.slow
def test_a_walk_through_dagster_is_charged_in_postgresql_and_the_commands_agree(url, tmp_path, capsys):
    place = make_place(tmp_path)
    place.put("visits_2024", clinic_rows(300))
    home = ["--home", str(place.home.folder)]
    report = run_walk("clinic", home=place.home.folder, own=place.own)
    ledger = open_ledger(url)
    assert [entry.kind for entry in ledger.history("clinic")] == ["reserve", "read", "read", "commit"]
    assert not (place.home.folder / "ledger.sqlite").exists()

    shown = command(capsys, "ledger", "show", "clinic", "--json", *home)
    account = json.loads(json.dumps(ledger.account("clinic").to_dict()))
    assert shown == account
    assert shown["spent_epsilon"] == pytest.approx(report.account.spent_epsilon)
    assert 0.95 * report.epsilon < shown["spent_epsilon"] <= report.epsilon * (1 + 1e-9)
    assert len(command(capsys, "ledger", "history", "clinic", "--json", *home)["entries"]) == 4
    verified = command(capsys, "ledger", "verify", "--json", *home)
    assert verified["is_intact"]
    assert verified["head"] == ledger.head().digest
    assert "127.0.0.1" in verified["ledger"]

    place.put("visits_2025", clinic_rows(300, seed=1))
    with pytest.raises(BudgetRefused):
        run_walk("clinic", home=place.home.folder, own=place.own)
    assert ledger.head().digest == verified["head"]
    assert [path for path in files_of(place.home.folder) if PASSWORD.encode() in path.read_bytes()] == []


def test_a_fit_is_charged_in_postgresql_and_shows_no_password(url, tmp_path, capsys):
    workspace = make_workspace(tmp_path, fitted=False)
    fitted = command(capsys, *workspace.fit("--json"))
    assert "127.0.0.1" in fitted["ledger"]
    assert "127.0.0.1" in command(capsys, "ledger", "verify", "--home", str(workspace.home))
    assert open_ledger(url).account("clinic").spent_epsilon > 0
    assert not (workspace.home / "ledger.sqlite").exists()
    assert [path for path in files_of(tmp_path) if PASSWORD.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("spoilt", ["user", "database", "port"])
def test_a_server_that_cannot_be_used_is_one_line_without_the_password(spoilt, url, tmp_path, capsys, monkeypatch):
    changed = {
        "user": url.replace("//keeper", "//nobody-of-this-name"),
        "database": url.rsplit("/", 1)[0] + "/no_such_database",
        "port": url.replace(url.rsplit(":", 1)[1].split("/")[0], "1"),
    }
    monkeypatch.setenv("SYNTH_PIPELINE_LEDGER", changed[spoilt])
    told = command(capsys, "ledger", "show", "--home", str(tmp_path), code=2)
    assert "ledger postgresql://" in told
    assert len(told.strip().splitlines()) == 1


def test_the_ledger_of_a_home_is_a_file_in_it_unless_the_variable_names_another(tmp_path, monkeypatch, capsys):
    workspace = make_workspace(tmp_path, fitted=False)
    monkeypatch.setenv("SYNTH_PIPELINE_LEDGER", "kept/elsewhere.sqlite")
    assert main(workspace.fit()) == 0
    capsys.readouterr()
    path = workspace.home / "kept" / "elsewhere.sqlite"
    with sqlite3.connect(path) as connection:
        assert connection.execute("select count(*) from entry").fetchone() == (4,)
    assert command(capsys, "ledger", "show", "--json", "--home", str(workspace.home))["ledger"] == str(path)


def files_of(folder):
    return [path for path in folder.rglob("*") if path.is_file()]
