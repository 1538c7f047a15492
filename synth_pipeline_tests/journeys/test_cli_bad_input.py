"""Bad input through the command line: one line on stderr, exit code 2, nothing written, and no value of the table in the line."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from synth_pipeline.cli import main
from synth_pipeline_tests.cli_workspace import Workspace, make_workspace
from synth_pipeline_tests.released_example import EXAMPLE, example_table

# Written into tables where something is wrong with them: none of these may be told.
MARKERS = ("Atlantis-7731", "987654321", "Zyx-Secret")

Case = Callable[[Workspace], list[str]]
CASES: dict[str, tuple[Case, str]] = {}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("bad_input"), fitted=True)


def case(name: str, words: str, make: Case) -> None:
    CASES[name] = (make, words)


def with_data(
    name: str, words: str, change: Callable[[pd.DataFrame], pd.DataFrame], file: str = "changed.parquet"
) -> None:
    case(name, words, lambda at: at.fit("--data", str(at.table_with(file, change(example_table(50)))), out="new"))


def with_bytes(name: str, words: str, file: str, content: Callable[[Workspace], bytes]) -> None:
    def make(at: Workspace) -> list[str]:
        (at.folder / file).write_bytes(content(at))
        return at.fit("--data", str(at.folder / file), out="new")

    case(name, words, make)


def with_spec(name: str, words: str, **changes) -> None:
    case(f"plan: {name}", words, lambda at: ["plan", "--spec", str(at.spec_with("changed", **changes))])
    case(f"fit: {name}", words, lambda at: at.fit("--spec", str(at.spec_with("changed", **changes)), out="new"))


def with_fit(name: str, words: str, *options: str, out: str = "new") -> None:
    case(name, words, lambda at: at.fit(*options, out=out))


def with_sample(name: str, words: str, *options: str) -> None:
    case(
        name, words, lambda at: ["sample", str(at.model), "--rows", "5", "--out", str(at.folder / "rows.csv"), *options]
    )


def with_evaluate(name: str, words: str, *options: str) -> None:
    def make(at: Workspace) -> list[str]:
        tables = [option for role in ("train", "holdout", "synthetic") for option in (f"--{role}", str(at.table))]
        given = [option.replace("AT", str(at.folder)) for option in options]
        return ["evaluate", "--spec", str(at.spec), *tables, "--out", str(at.folder / "scores"), "--quick", *given]

    case(name, words, make)


def columns(**changes) -> dict:
    return {name: declared for name, declared in ({**EXAMPLE["columns"], **changes}).items() if declared is not None}


with_data("a column is missing", "column 'age' is missing", lambda frame: frame.drop(columns="age"))
with_data("a column is not declared", "'extra' is not declared", lambda frame: frame.assign(extra="Atlantis-7731"))
with_data("text where numbers are declared", "'age' holds text", lambda frame: frame.assign(age="Zyx-Secret"))
with_data("a number beyond the bounds", "'age': some rows outside", lambda frame: frame.assign(age=987654321))
with_data(
    "a category that is not listed", "'ward': some rows outside", lambda frame: frame.assign(ward="Atlantis-7731")
)
with_data(
    "a null where none is declared",
    "'ward': some rows are null",
    lambda frame: frame.assign(ward=None).astype({"ward": "str"}),
)
with_data(
    "a fraction where whole numbers are declared",
    "not whole numbers",
    lambda frame: frame.assign(age=frame["age"] + 0.5),
)
with_data("a table without rows", "no rows", lambda frame: frame.head(0))
with_data("a csv without rows", "no rows", lambda frame: frame.head(0), "changed.csv")
with_data(
    "csv text where numbers are declared",
    "do not parse as whole numbers",
    lambda frame: frame.assign(age="Zyx-Secret"),
    "c.csv",
)
with_bytes("an empty file", "empty", "empty.parquet", lambda _: b"")
with_bytes("a truncated parquet file", "truncated", "cut.parquet", lambda at: at.table.read_bytes()[:-200])
with_bytes(
    "a parquet file that is something else", "not a readable parquet", "other.parquet", lambda _: b"Atlantis-7731" * 99
)
with_bytes("an extension that is not read", ".xlsx is not supported", "table.xlsx", lambda _: b"x")
with_fit("a table that is not there", "no such file", "--data", "nowhere.parquet")

with_spec("an unknown key", "unknown key", colour="blue")
with_spec("a category column without list or discover", "discover: true", columns=columns(ward={"kind": "categorical"}))
with_spec("an unknown kind of column", "unknown kind", columns=columns(ward={"kind": "enum"}))
with_spec(
    "bounds the wrong way round", "must be below max", columns=columns(age={"kind": "integer", "min": 9, "max": 1})
)
with_spec("epsilon of zero", "greater than 0", privacy={"epsilon": 0})
with_spec("a negative epsilon", "greater than 0", privacy={"epsilon": -1})
with_spec("no privacy", "privacy: missing", privacy=None)
with_spec("a constraint that does not parse", "age >", constraints=["age > > 3"])
with_spec("a constraint that names no column", "nobody", constraints=["nobody < 3"])
with_spec("a constraint of constants", "column", constraints=["1 = 1"])
with_spec(
    "an invented column that cannot be invented",
    "wizardry",
    columns=columns(patient={"kind": "identifier", "faker": "wizardry"}),
)
with_spec("an unknown generator", "generator.kind", generator={"kind": "magic"})
with_spec("groups without a benchmark", "goes with a benchmark", fairness={"sensitive": ["ward"]})
with_spec("a target that is no column", "no modelled column", benchmark={"target": "nobody"})
case("a spec that is not there", "no such file", lambda at: ["plan", "--spec", str(at.folder / "nowhere.yaml")])
case(
    "a spec that is not yaml",
    "not valid YAML",
    lambda at: ["plan", "--spec", str(_written(at, "broken.yaml", "a: [1,\nb: }"))],
)
case("a spec without a mapping", "mapping", lambda at: ["plan", "--spec", str(_written(at, "list.yaml", "- 1\n- 2\n"))])

with_fit("--epsilon 0", "--epsilon 0", "--epsilon", "0")
with_fit("--epsilon -1", "--epsilon -1", "--epsilon", "-1")
with_fit("--epsilon nan", "--epsilon nan", "--epsilon", "nan")
with_fit("--epsilon that is no number", "not a valid float", "--epsilon", "much")
with_fit("--epsilon above the cap", "cap.epsilon", "--epsilon", "50")
with_fit("--delta 0", "--delta 0", "--delta", "0")
with_fit("--generator unknown", "--generator magic", "--generator", "magic")
with_fit("a model folder that holds something else", "not a model", out="home")
with_fit("a model folder below a file", "cannot be written", out="clinic.yaml/model")
with_fit("a model folder that is a file", "not a model", out="clinic.yaml")

with_sample("no rows", "between 1 and", "--rows", "0")
with_sample("fewer than no rows", "between 1 and", "--rows", "-3")
with_sample("a condition that does not parse", "--where", "--where", "age > > 3")
with_sample("a condition that names no column", "nobody", "--where", "nobody < 3")
with_sample("a condition on an invented column", "patient", "--where", "patient = 'x'")
with_sample("a condition that no row can meet", "--where", "--where", "age > 60 AND age < 50")
with_sample("a condition that compares columns", "--where", "--where", "age < fee")
with_sample("an output that is not written", ".xlsx is not supported", "--out", "rows.xlsx")
with_sample("an output folder that is not there", "no such folder", "--out", "nowhere/rows.csv")
case(
    "a model that is not there",
    "no model there",
    lambda at: ["sample", str(at.home), "--rows", "5", "--out", str(at.folder / "x.csv")],
)
case(
    "a damaged model",
    "damaged",
    lambda at: ["sample", str(_damaged(at)), "--rows", "5", "--out", str(at.folder / "x.csv")],
)

with_evaluate("a synthetic table that is not there", "no such file", "--synthetic", "nowhere.parquet")
with_evaluate("a scored table without a column", "age", "--synthetic", "AT/short.parquet")
with_evaluate("scores into a file", "is a file", "--out", "AT/clinic.yaml")

case("an unknown dataset to run", "'nobody'", lambda at: ["run", "nobody", "--home", str(at.home)])
case(
    "a snapshot that is not there",
    "no such file",
    lambda at: ["run", "gss", "--snapshot", "nowhere.parquet", "--home", str(at.home)],
)
case(
    "an unknown snapshot of the demo",
    "gss_2011_2018",
    lambda at: ["demo", "--snapshot", "gss_2050", "--home", str(at.home)],
)
case("an unknown dataset in the ledger", "'nobody'", lambda at: ["ledger", "show", "nobody", "--home", str(at.home)])
case("a history of an unknown dataset", "'nobody'", lambda at: ["ledger", "history", "nobody", "--home", str(at.home)])
case(
    "a ledger that is something else", "not a database", lambda at: ["ledger", "show", "--home", str(_other_ledger(at))]
)
case("a spec file that is there already", "exists", lambda at: ["init", "--data", str(at.table), "--out", str(at.spec)])
case(
    "a proposal from nothing",
    "no such file",
    lambda at: ["init", "--data", "nowhere.parquet", "--out", str(at.folder / "new.yaml")],
)
case("a port that does not exist", "65535", lambda _: ["ui", "--port", "70000"])


def _written(at: Workspace, name: str, text: str) -> Path:
    path = at.folder / name
    path.write_text(text)
    return path


def _damaged(at: Workspace) -> Path:
    folder = at.folder / "damaged"
    folder.mkdir(exist_ok=True)
    for path in at.model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return folder


def _other_ledger(at: Workspace) -> Path:
    folder = at.folder / "other"
    folder.mkdir(exist_ok=True)
    (folder / "ledger.sqlite").write_bytes(b"not a database, but long enough to look at" * 50)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line_and_changes_nothing(name, workspace, capsys, monkeypatch):
    monkeypatch.chdir(workspace.folder)
    example_table(50).drop(columns="age").to_parquet(workspace.folder / "short.parquet")
    make, words = CASES[name]
    argv = make(workspace)
    before = workspace.contents()
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert words in captured.err
    for marker in MARKERS:
        assert marker not in captured.err
    assert outside_the_private_store(workspace.contents()) == outside_the_private_store(before)


def outside_the_private_store(contents: dict[str, str]) -> dict[str, str]:
    """How many rows were at fault is kept for the owner of the home; nothing else may change."""
    return {name: digest for name, digest in contents.items() if not name.startswith("home/private")}


def test_a_fit_beyond_the_cap_exits_3_before_the_table_is_opened(workspace, capsys):
    (workspace.folder / "unreadable.parquet").write_bytes(b"never opened")
    before = workspace.contents()
    spent = workspace.spec_with(
        "capped", privacy={"epsilon": 1.0, "delta": 1e-6, "cap": {"epsilon": 1.2, "delta": 1e-6}}
    )
    before = workspace.contents()
    code = main(workspace.fit("--spec", str(spent), "--data", str(workspace.folder / "unreadable.parquet"), out="new"))
    captured = capsys.readouterr()
    assert code == 3
    assert captured.err.count("\n") == 1
    assert "Nothing was read" in captured.err
    assert workspace.contents() == before


@pytest.mark.parametrize(
    "argv, code, words",
    [
        (["fit", "--spec", "clinic.yaml", "--data", "cut.parquet", "--out", "new"], 2, "truncated"),
        (["sample", "model", "--rows", "0", "--out", "x.csv"], 2, "between 1 and"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_a_real_process_exits_so_too_and_shows_no_traceback(argv, code, words, workspace):
    (workspace.folder / "cut.parquet").write_bytes(workspace.table.read_bytes()[:-200])
    root = Path(__file__).parents[2]
    environment = {**os.environ, "SYNTH_PIPELINE_HOME": str(workspace.home), "PYTHONPATH": str(root)}
    before = workspace.contents()
    done = subprocess.run(
        [sys.executable, "-m", "synth_pipeline", *argv],
        cwd=workspace.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert workspace.contents() == before
