"""From a file to synthetic rows and their scores through the command line, without Dagster."""

import json
import sqlite3

import pandas as pd
import pytest
import yaml

from synth_pipeline.cli import main
from synth_pipeline_tests.cli_workspace import ROWS, Workspace, make_workspace
from synth_pipeline_tests.released_example import example_table


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("fitted"), fitted=True)


@pytest.fixture
def tell(capsys):
    """A command that has to work: what it prints, as plain data where it is JSON."""

    def run(*argv: object) -> object:
        capsys.readouterr()
        assert main([str(part) for part in argv]) == 0
        said = capsys.readouterr().out
        return json.loads(said) if "--json" in argv else said

    return run


def draw(tell, workspace: Workspace, *options: object, name: str = "drawn.parquet") -> pd.DataFrame:
    path = workspace.folder / name
    tell("sample", workspace.model, "--rows", 200, "--out", path, *options)
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def test_a_plan_charges_the_epsilon_of_the_spec_and_reads_nothing(tell, workspace):
    before = workspace.contents()
    plan = tell("plan", "--spec", workspace.spec, "--json")
    assert plan["epsilon"] == pytest.approx(1.0, rel=1e-6)
    assert plan["delta"] == 1e-6
    assert {"stage", "purpose", "mechanism", "epsilon"} == set(plan["charges"][0])
    assert {line["stage"] for line in plan["charges"]} == {"profile", "generator"}
    assert "Together: ε = 1 " in tell("plan", "--spec", workspace.spec)
    assert workspace.contents() == before


def test_a_sample_has_the_real_tables_columns_order_and_dtypes(tell, workspace):
    drawn, real = draw(tell, workspace), example_table(ROWS)
    assert len(drawn) == 200
    assert drawn.dtypes.to_dict() == pd.read_parquet(workspace.table).dtypes.to_dict()
    assert list(drawn.columns) == list(real.columns)
    assert not set(drawn["patient"]) & set(real["patient"])


def test_a_sample_may_be_csv(tell, workspace):
    assert list(draw(tell, workspace, name="drawn.csv").columns) == list(example_table(1).columns)


def test_every_row_of_a_conditional_sample_meets_the_condition(tell, workspace):
    drawn = draw(tell, workspace, "--where", "age BETWEEN 30 AND 60 AND ward IN ('A', 'B')")
    assert drawn["age"].between(30, 60).all()
    assert drawn["ward"].isin(["A", "B"]).all()


def test_no_row_breaks_a_constraint(tell, workspace):
    drawn = draw(tell, workspace)
    assert ((drawn["age"] >= 18) | drawn["insured"]).all()
    assert not (drawn["ward"].eq("C") & drawn["fee"].ge(400)).any()


def test_a_seed_draws_the_same_rows_again_and_no_seed_others(tell, workspace):
    first = draw(tell, workspace, "--seed", 7)
    pd.testing.assert_frame_equal(first, draw(tell, workspace, "--seed", 7))
    assert not first.equals(draw(tell, workspace))


def test_the_home_folder_is_made_for_its_owner_alone(workspace):
    assert not workspace.home.stat().st_mode & 0o077


def test_sampling_charges_nothing(tell, workspace):
    before = tell("ledger", "show", "clinic", "--home", workspace.home, "--json")
    draw(tell, workspace)
    assert tell("ledger", "show", "clinic", "--home", workspace.home, "--json") == before


def test_the_ledger_shows_the_fit_in_the_promised_shape(tell, workspace):
    shown = tell("ledger", "show", "clinic", "--home", workspace.home, "--json")
    assert {"dataset", "cap", "spent_epsilon", "reserved_epsilon", "left_epsilon", "entries"} <= set(shown)
    assert {"epsilon": 10.0, "delta": 1e-6}.items() <= shown["cap"].items()
    assert shown["spent_epsilon"] == pytest.approx(1.0, rel=1e-3)
    assert shown["reserved_epsilon"] == 0
    assert 9 < shown["left_epsilon"] < 10
    assert [entry["kind"] for entry in shown["entries"]] == ["reserve", "read", "read", "commit"]


def test_the_ledger_answers_on_one_screen(tell, workspace):
    shown = tell("ledger", "show", "clinic", "--home", workspace.home)
    assert len(shown.splitlines()) <= 24
    assert "ε = 1 spent, 0 reserved, 9." in shown
    assert "profile + generator" in shown
    assert "for good" in shown


def test_the_ledger_lists_every_dataset_and_every_entry(tell, workspace):
    listed = tell("ledger", "show", "--home", workspace.home, "--json")
    assert [account["dataset"] for account in listed["datasets"]] == ["clinic"]
    entries = tell("ledger", "history", "clinic", "--home", workspace.home, "--json")["entries"]
    assert [entry["sequence"] for entry in entries] == [1, 2, 3, 4]
    assert "commit" in tell("ledger", "history", "--home", workspace.home)


def test_a_dataset_that_was_never_charged_has_its_whole_cap(tell, tmp_path):
    shown = tell("ledger", "show", "gss", "--home", tmp_path, "--json")
    assert (shown["spent_epsilon"], shown["left_epsilon"], shown["entries"]) == (0, 4.0, [])
    assert list(tmp_path.iterdir()) == []


def test_an_intact_ledger_is_verified_and_a_changed_one_exits_4(tell, tmp_path, workspace, capsys):
    assert tell("ledger", "verify", "--home", workspace.home, "--json")["is_intact"] is True
    with (
        sqlite3.connect(workspace.home / "ledger.sqlite") as source,
        sqlite3.connect(tmp_path / "ledger.sqlite") as copy,
    ):
        source.backup(copy)
        copy.execute("DROP TRIGGER entry_is_never_changed")
        copy.execute("UPDATE entry SET body = replace(body, '\"epsilon\":1.0', '\"epsilon\":0.1') WHERE sequence = 1")
    assert main(["ledger", "verify", "--home", str(tmp_path)]) == 4
    assert "entry 1 was changed" in capsys.readouterr().err


def test_the_home_folder_may_come_from_the_environment(tell, workspace, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_HOME", str(workspace.home))
    assert "clinic" in tell("ledger", "show")


def test_a_fit_replaces_an_older_model_and_charges_again(tell, tmp_path):
    other = make_workspace(tmp_path, fitted=True)
    made = tell(*other.fit("--epsilon", "0.5", "--json"))
    assert made["epsilon"] == pytest.approx(0.5, rel=1e-6)
    assert made["generator"] == "maxent"
    shown = tell("ledger", "show", "clinic", "--home", other.home, "--json")
    assert 1.0 < shown["spent_epsilon"] < 1.5  # composed, not added
    assert len(draw(tell, other)) == 200


def test_a_csv_is_fitted_as_well(tell, tmp_path):
    made = make_workspace(tmp_path, fitted=False)
    csv = made.table_with("clinic.csv", example_table(200))
    tell(*made.fit("--data", str(csv)))
    assert list(draw(tell, made).columns) == list(example_table(1).columns)


def test_a_proposal_filled_in_by_hand_can_be_planned(tell, workspace, tmp_path):
    path = tmp_path / "proposed.yaml"
    proposed = tell("init", "--data", workspace.table, "--out", path, "--json")
    assert proposed["columns"]["patient"] == "categorical"
    assert main(["plan", "--spec", str(path)]) == 2
    content = yaml.safe_load(path.read_text())
    content["columns"] = yaml.safe_load(workspace.spec.read_text())["columns"]
    content["privacy"]["epsilon"] = 1.0
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    assert tell("plan", "--spec", path, "--json")["epsilon"] == pytest.approx(1.0)


def test_an_evaluation_leaves_a_scorecard_and_a_page_that_its_owner_alone_may_read(tell, workspace):
    real = example_table(600, seed=5)
    train, holdout = (
        workspace.table_with(f"{name}.parquet", part) for name, part in (("seen", real[:300]), ("unseen", real[300:]))
    )
    draw(tell, workspace)
    out = workspace.folder / "scores"
    tables = ["--train", train, "--holdout", holdout, "--synthetic", workspace.folder / "drawn.parquet"]
    said = tell("evaluate", "--spec", workspace.spec, *tables, "--out", out, "--quick", "--json")
    assert said["zone"] == "internal"
    assert {path.name for path in out.iterdir()} == {"scorecard.json", "report.html"}
    assert [path.stat().st_mode & 0o077 for path in (out, *out.iterdir())] == [0, 0, 0]
    assert json.loads((out / "scorecard.json").read_text())["fidelity"] == said["fidelity"]
