"""What people outside rely on (design 5, marked fixed): it may be extended, and this file is where that shows."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

import synth_pipeline
from synth_pipeline import errors
from synth_pipeline.cli.entry import program

HEAVY = (
    "torch", "dagster", "mlflow", "great_expectations", "opacus", "opendp", "dp_accounting", "sklearn", "scipy", "plotly",
    "pandas", "pyarrow", "sqlglot", "faker",
)  # fmt: skip

COMMANDS = {
    "demo": {"--home", "--snapshot", "--live", "--port", "--keep", "--json"},
    "init": {"--data", "--out", "--json"},
    "schema": {"--json"},
    "plan": {"--spec", "--json"},
    "run": {"DATASET", "--snapshot", "--home", "--json"},
    "fit": {"--spec", "--data", "--out", "--generator", "--epsilon", "--delta", "--home", "--json"},
    "sample": {"MODEL_DIR", "--rows", "--out", "--where", "--given", "--null-token", "--seed", "--json"},
    "rebalance": {"MODEL_DIR", "--rows", "--by", "--shares", "--out", "--seed", "--json"},
    "evaluate": {"--spec", "--train", "--holdout", "--synthetic", "--out", "--attacks", "--quick", "--json"},
    "frontier": {
        "DATASET",
        "--model",
        "--table",
        "--spec",
        "--released",
        "--epsilons",
        "--repeats",
        "--rows",
        "--out",
        "--seed",
        "--home",
        "--json",
    },
    "audit": {"--spec", "--data", "--released", "--generator", "--epsilon", "--delta", "--runs", "--seed", "--json"},
    "ledger": set(),
    "ledger show": {"DATASET", "--home", "--json"},
    "ledger history": {"DATASET", "--home", "--json"},
    "ledger verify": {"DATASET", "--anchor", "--home", "--json"},
    "ledger release": {"WALK", "--reason", "--home", "--json"},
    "ledger close": {"WALK", "--reason", "--home", "--json"},
    "lineage": {"RELEASE", "--html", "--home", "--json"},
    "keys": set(),
    "keys new": {"--out", "--passphrase-file", "--json"},
    "keys show": {"FILE.pub", "--json"},
    "approve": {
        "RELEASE",
        "--purpose",
        "--conditions",
        "--expires",
        "--key",
        "--passphrase-file",
        "--sign-only",
        "--out",
        "--statement",
        "--home",
        "--json",
    },
    "withdraw": {
        "RELEASE",
        "--reason",
        "--key",
        "--passphrase-file",
        "--sign-only",
        "--out",
        "--statement",
        "--home",
        "--json",
    },
    "verify": {"BUNDLE", "--key", "--approver", "--json"},
    "ui": {"--home", "--port"},
}


def test_the_python_api_is_these_names():
    assert set(synth_pipeline.__all__) == {
        "BudgetRefused",
        "Ledger",
        "ReleasedModel",
        "Spec",
        "SynthPipelineError",
        "fit",
        "load",
    }
    assert dir(synth_pipeline) == synth_pipeline.__all__
    for name in synth_pipeline.__all__:
        assert getattr(synth_pipeline, name) is not None


def test_a_name_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(AttributeError, match="fit, load"):
        synth_pipeline.train  # noqa: B018


@pytest.mark.parametrize(
    "call, parameters",
    [
        ("fit", ["spec", "data", "ledger", "key", "runtime"]),
        ("load", ["folder"]),
        ("ReleasedModel.sample", ["self", "rows", "where", "seed", "given", "null_token"]),
        ("ReleasedModel.rebalance", ["self", "rows", "shares", "seed"]),
        ("ReleasedModel.save", ["self", "folder"]),
        ("Spec.from_yaml", ["path"]),
        ("Spec.from_mapping", ["content", "where"]),
    ],
)
def test_the_python_api_is_called_so(call, parameters):
    target = synth_pipeline
    for part in call.split("."):
        target = getattr(target, part)
    assert list(inspect.signature(target).parameters) == parameters


def test_a_ledger_is_opened_by_its_class(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_HOME", str(tmp_path))
    assert synth_pipeline.Ledger.open().history() == ()
    assert list(tmp_path.iterdir()) == []


def listed(group: click.Group, path: str = "") -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, command in group.commands.items():
        place = f"{path} {name}".strip()
        found[place] = {
            parameter.opts[-1] if isinstance(parameter, click.Option) else parameter.human_readable_name
            for parameter in command.params
        }
        if isinstance(command, click.Group):
            found |= listed(command, place)
    return found


def test_the_commands_and_their_options_are_these():
    assert listed(program) == COMMANDS


def test_the_exit_codes_are_these():
    assert (errors.EXIT_DONE, errors.EXIT_BAD_INPUT, errors.EXIT_BUDGET_REFUSED, errors.EXIT_CHECK_FAILED) == (
        0,
        2,
        3,
        4,
    )
    assert errors.BudgetRefused.exit_code == 3
    assert errors.CheckFailed.exit_code == 4
    for error in (
        errors.SpecError,
        errors.TableError,
        errors.PredicateError,
        errors.PrivacyError,
        errors.ModelError,
        errors.LedgerError,
    ):
        assert error.exit_code == 2


def heavy_modules_after(code: str) -> list[str]:
    """Which heavy libraries a fresh process has loaded after some code."""
    probe = f"import sys, json\n{code}\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", probe],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(synth_pipeline.__file__).parents[1],
    )
    return json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    "code",
    [
        "import synth_pipeline",
        "from synth_pipeline.cli import main; main(['--help'])",
        "from synth_pipeline.cli import main; main(['fit', '--help'])",
        "from synth_pipeline.cli import main; main(['run', '--help'])",
    ],
)
def test_neither_the_import_nor_the_help_loads_a_heavy_library(code):
    assert heavy_modules_after(code) == []


def test_the_module_runs_as_the_program():
    done = subprocess.run(
        [sys.executable, "-m", "synth_pipeline", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: synth-pipeline")
