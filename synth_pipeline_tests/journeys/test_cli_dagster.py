"""`run` and `demo`: a walk through Dagster from the command line."""

import json
from pathlib import Path

import pytest
import yaml

from synth_pipeline.cli import main
from synth_pipeline_tests.cli_workspace import Workspace, make_workspace

CAPPED = {"epsilon": 1.0, "delta": 1e-6, "cap": {"epsilon": 1.1, "delta": 1e-6}}


def ledger_bytes(workspace: Workspace) -> list[dict]:
    import sqlite3

    with sqlite3.connect(f"file:{workspace.home / 'ledger.sqlite'}?mode=ro", uri=True) as database:
        return database.execute("SELECT * FROM entry").fetchall()


def test_a_run_beyond_the_cap_exits_3_before_the_file_is_opened_and_leaves_the_ledger_as_it_was(
    tmp_path, monkeypatch, capsys
):
    workspace = make_workspace(tmp_path, fitted=False)
    capped = workspace.spec_with("capped", privacy=CAPPED)
    assert main(workspace.fit("--spec", str(capped))) == 0
    component = {
        "type": "synth_pipeline.orchestration.SyntheticDataset",
        "attributes": yaml.safe_load(capped.read_text()),
    }
    folder = tmp_path / "defs" / "clinic"
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(yaml.safe_dump(component, sort_keys=False))
    monkeypatch.setenv("SYNTH_PIPELINE_DEFS", str(folder.parent))
    unreadable = tmp_path / "second.parquet"
    unreadable.write_bytes(b"whoever opens this fails in another way")
    before = ledger_bytes(workspace)
    capsys.readouterr()
    assert main(["run", "clinic", "--snapshot", str(unreadable), "--home", str(workspace.home)]) == 3
    told = capsys.readouterr()
    assert told.err.count("\n") == 1, told.err
    assert "Nothing was read" in told.err
    assert told.out == ""
    assert ledger_bytes(workspace) == before
    assert main(["ledger", "verify", "--home", str(workspace.home)]) == 0


@pytest.mark.slow
def test_the_demo_ends_with_a_scorecard_and_the_places_of_everything(tmp_path, capsys):
    home = tmp_path / "home"
    assert main(["demo", "--snapshot", "gss_1974_1984", "--home", str(home), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["epsilon"] == pytest.approx(1.0, rel=1e-3)
    assert report["checks"]["passed"] == report["checks"]["of"] > 20
    for score in ("tvd_2way", "c2st_auc", "tstr_gradient_boosting_auc"):
        assert report["scores"][f"{score}_low"] <= report["scores"][score] <= report["scores"][f"{score}_high"]
    for place in ("release", "synthetic_table", "scorecard", "data_docs"):
        assert Path(report[place]).exists()
    assert (Path(report["release"]) / "certificate.json").exists()
    assert report["mlflow_run"].startswith("http")
    assert report["budget"]["spent_epsilon"] == pytest.approx(1.0, rel=1e-2)
