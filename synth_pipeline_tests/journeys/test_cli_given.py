"""Given rows filled through the command line: from a file to a file, and one clear line where that cannot be."""

import json

import pandas as pd
import pytest

from synth_pipeline.cli import main
from synth_pipeline_tests.cli_workspace import Workspace, make_workspace
from synth_pipeline_tests.released_example import example_table

PARTIAL = "age,ward,fee,visit,patient\n30,A,,2020-03-04,me\n,B,NA,,\n45,,17.25,2020-12-31,you\n"


@pytest.fixture(scope="module", params=["mixture", "maxent"])
def workspace(tmp_path_factory, request) -> Workspace:
    made = make_workspace(tmp_path_factory.mktemp(request.param), fitted=False)
    assert main(made.fit("--generator", request.param)) == 0
    return made


def fill(workspace: Workspace, *options: str, text: str = PARTIAL, out: str = "filled.csv") -> int:
    path = workspace.folder / "partial.csv"
    path.write_text(text)
    target = str(workspace.folder / out)
    return main(["sample", str(workspace.model), "--given", str(path), "--out", target, *options])


def test_a_csv_of_partial_rows_is_filled(workspace, capsys) -> None:
    capsys.readouterr()
    assert fill(workspace, "--null-token", "NA", "--seed", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 3
    filled = pd.read_csv(workspace.folder / "filled.csv")
    assert list(filled.columns) == list(example_table(1).columns)
    assert filled["age"].iloc[[0, 2]].tolist() == [30, 45]
    assert filled["ward"].iloc[:2].tolist() == ["A", "B"]
    assert filled["fee"].isna().iloc[1]
    assert filled["fee"].iloc[2] == 17.25
    assert filled["visit"].iloc[[0, 2]].tolist() == ["2020-03-04", "2020-12-31"]
    assert filled["patient"].iloc[[0, 2]].tolist() == ["me", "you"]
    assert filled[["age", "ward", "insured", "visit", "town", "patient"]].notna().all().all()


def test_a_parquet_of_partial_rows_is_filled(workspace) -> None:
    whole = example_table(40, seed=9)
    path = workspace.folder / "partial.parquet"
    whole.drop(columns=["insured", "town"]).to_parquet(path)
    out = workspace.folder / "filled.parquet"
    assert main(["sample", str(workspace.model), "--given", str(path), "--out", str(out)]) == 0
    filled = pd.read_parquet(out)
    assert filled.dtypes.to_dict() == whole.dtypes.to_dict()
    for name in ("age", "ward", "visit", "patient"):
        pd.testing.assert_series_equal(filled[name], whole[name])


def test_filling_charges_nothing_and_keeps_nothing_of_the_rows(workspace, capsys) -> None:
    before = {path: digest for path, digest in workspace.contents().items() if path.startswith(("home", "model"))}
    assert fill(workspace, "--null-token", "NA") == 0
    assert {path: d for path, d in workspace.contents().items() if path.startswith(("home", "model"))} == before


@pytest.mark.parametrize(
    "text, options, words",
    [
        pytest.param(
            "age\n654\n", (), "--given: row 1: column 'age' is outside the declared range 0 to 99", id="range"
        ),
        pytest.param(
            "ward\nZyx654\n", (), "--given: row 1: column 'ward' is outside the declared categories", id="category"
        ),
        pytest.param("age\n65x4\n", (), "column 'age': 1 rows do not parse as whole numbers", id="text"),
        pytest.param("visit\n654-1\n", (), "column 'visit': 1 rows do not parse as ISO dates", id="date"),
        pytest.param("aeg\n30\n", (), "--given: column 'aeg' is not declared", id="column"),
        pytest.param("age,age\n1,2\n", (), "share a name", id="twice"),
        pytest.param("age\n", (), "the table has no rows", id="no rows"),
        pytest.param("", (), "is empty", id="empty file"),
        pytest.param("age\n30\n", ("--where", "age > 3"), "--where: does not go with --given", id="where"),
        pytest.param("age\n30\n", ("--rows", "5"), "--rows, --given: give one of them", id="rows"),
        pytest.param(
            "age\nNA\n", ("--null-token", "NA"), "holds the null mark and is not declared as nullable", id="null"
        ),
        pytest.param("age,insured\n12,false\n", (), "have no completion", id="rule"),
    ],
)
def test_bad_given_rows_are_refused_in_one_line(workspace, capsys, text, options, words) -> None:
    capsys.readouterr()
    assert fill(workspace, *options, text=text, out="refused.csv") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert len(said.err.splitlines()) == 1
    assert "654" not in said.err
    assert not (workspace.folder / "refused.csv").exists()


def test_a_missing_file_and_a_stray_mark_are_refused(workspace, capsys) -> None:
    model, out = str(workspace.model), str(workspace.folder / "refused.csv")
    for options, words in (
        (("--given", "nowhere.csv"), "no such file"),
        (("--rows", "5", "--null-token", "NA"), "--null-token: marks known nulls in the --given rows"),
        ((), "--rows, --given: give one of them"),
    ):
        capsys.readouterr()
        assert main(["sample", model, "--out", out, *options]) == 2
        assert words in capsys.readouterr().err
