"""`audit` and `evaluate --attacks` through the command line."""

import json
import stat

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_pipeline.cli import main
from synth_pipeline.privacy import desk as desk_module
from synth_pipeline.privacy.mechanisms.discrete_gaussian import add_noise
from synth_pipeline_tests.cli_workspace import Workspace, make_workspace
from synth_pipeline_tests.released_example import example_table

CHEAP = ("--generator", "independent", "--runs", "2000")


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return make_workspace(tmp_path, fitted=False)


def audited(workspace: Workspace, capsys, *options: str) -> tuple[int, dict]:
    code = main(["audit", "--spec", str(workspace.spec), *CHEAP, *options, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_an_audit_without_data_invents_rows_and_charges_nothing(workspace, capsys):
    before = workspace.contents()
    code, found = audited(workspace, capsys, "--epsilon", "3")
    assert code == 0
    assert found["engine"] == "independent"
    assert found["claimed_epsilon"] == 3
    assert 1 < found["lower_bound"]["epsilon"] <= 3
    assert found["lower_bound"]["confidence"] == 0.95
    assert found["findings"] == []
    assert not found["is_contradiction"]
    assert workspace.contents() == before


def test_an_audit_on_given_rows_says_which(workspace, capsys):
    code = main(["audit", "--spec", str(workspace.spec), "--data", str(workspace.table), *CHEAP])
    said = capsys.readouterr().out
    assert code == 0
    assert str(workspace.table) in said
    assert "nothing contradicts the claim" in said
    assert "internal, unless the rows are released" in said


def test_an_audit_of_rows_that_are_released_says_so(workspace, capsys):
    stated = pa.table(example_table(200)).replace_schema_metadata({"synth_pipeline.certificate_digest": "ab" * 32})
    pq.write_table(stated, workspace.folder / "released.parquet")
    assert audited(workspace, capsys, "--data", str(workspace.folder / "released.parquet"))[1]["zone"] == "released"
    assert audited(workspace, capsys, "--data", str(workspace.table), "--released")[1]["zone"] == "released"
    assert audited(workspace, capsys)[1]["zone"] == "released"


def test_a_fit_of_rows_that_are_released_says_that_its_charge_bought_nothing(workspace, capsys):
    stated = pa.table(example_table(400)).replace_schema_metadata({"synth_pipeline.certificate_digest": "ab" * 32})
    pq.write_table(stated, workspace.table)
    assert main([*workspace.fit("--generator", "independent"), "--json"]) == 0
    assert any("this charge bought nothing" in warning for warning in json.loads(capsys.readouterr().out)["warnings"])


def test_an_audit_ends_with_code_4_where_a_quarter_of_the_noise_is_drawn(workspace, capsys, monkeypatch):
    monkeypatch.setattr(desk_module, "add_noise", lambda counts, sigma, noise: add_noise(counts, sigma / 4, noise))
    code, found = audited(workspace, capsys, "--epsilon", "3")
    assert code == 4
    assert found["is_contradiction"]
    assert found["alarm_bound"]["epsilon"] > 3 or found["findings"]


def test_attacks_are_written_beside_the_scores_for_their_owner_alone(workspace, capsys):
    rows = example_table(1200)
    paths = {}
    for name, part in {"train": rows[:800], "holdout": rows[800:], "synthetic": rows[:800]}.items():
        paths[name] = workspace.table_with(f"{name}.parquet", pd.DataFrame(part).reset_index(drop=True))
    out = workspace.folder / "scores"
    tables = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    assert (
        main(["evaluate", "--spec", str(workspace.spec), *tables, "--out", str(out), "--quick", "--attacks", "--json"])
        == 0
    )
    attacks = json.loads(capsys.readouterr().out)["attacks"]
    found = {figure["attack"] for figure in attacks["figures"] if figure["verdict"] == "found"}
    assert {"exact_copies", "membership_distance"} <= found  # the synthetic table is the training table
    for name in ("attacks.json", "attacks.html"):
        assert stat.S_IMODE((out / name).stat().st_mode) == 0o600
    assert "internal" in (out / "attacks.html").read_text()
