"""The lint of `gate_rules` over the package, and for each rule snippets that it must catch and a snippet that it must not."""

import subprocess
import sys
from pathlib import Path

import pytest

import synth_pipeline
from synth_pipeline_tests.gate_rules import CLAIMS, REVIEWED, found_in, found_in_package

PACKAGE = Path(synth_pipeline.__file__).parent


def test_nothing_leaves_around_the_gate():
    assert found_in_package(PACKAGE) == []


def test_every_reviewed_module_of_the_lint_is_there():
    """A list of exceptions that outlives its modules would let new ones through unread."""
    assert [place for place in {*REVIEWED, *CLAIMS} if not (PACKAGE / place).is_file()] == []


MUTANTS = {
    "a claim in a private room": (
        "profile/build.py",
        "from synth_pipeline.privacy.gate import Released\nshown = Released(frame['income'].max())",
    ),
    "a claim under another name": (
        "snapshot/take.py",
        "from synth_pipeline.privacy.gate import Released as R\nshown = R(3)",
    ),
    "a claim through the module": ("cli/run.py", "from synth_pipeline.privacy import gate\nshown = gate.Released(3)"),
    "metadata handed to Dagster directly": (
        "orchestration/private_assets.py",
        "result = dg.MaterializeResult(metadata={'rows': len(frame)})",
    ),
    "metadata added to an output": ("orchestration/io_managers.py", "context.add_output_metadata({'rows': 3})"),
    "a check with figures of its own": (
        "orchestration/checks.py",
        "dg.AssetCheckResult(passed=True, metadata={'n': 3})",
    ),
    "an observation": ("orchestration/sensors.py", "dg.AssetObservation('a', metadata={'n': 3})"),
    "a failure with metadata": ("orchestration/private_assets.py", "raise dg.Failure(f'{row}', metadata={'row': row})"),
    "a line in Dagster's log": ("orchestration/private_assets.py", "context.log.info(f'{frame.head()}')"),
    "a line in Dagster's log, kept in a class": ("orchestration/tracking.py", "self._context.log.warning(str(error))"),
    "Dagster's other logger": ("orchestration/launch.py", "dg.get_dagster_logger().info('x')"),
    "MLflow beside its adapter": (
        "orchestration/tracking.py",
        "def f():\n    import mlflow\n    mlflow.log_metric('n', 3)",
    ),
    "an MLflow client beside its adapter": ("benchmark/measure.py", "from mlflow import MlflowClient"),
    "an MLflow function that takes bare values": (
        "integrations/mlflow.py",
        "def note(client, n: float) -> None:\n    client.log_metric('n', n)",
    ),
    "Great Expectations beside its adapter": ("validate/suite.py", "import great_expectations as gx"),
    "a suite on a bare table": (
        "integrations/great_expectations.py",
        "def run_suite(frame: pd.DataFrame):\n    source.add_dataframe_asset(frame)",
    ),
    "a print in a private room": ("profile/build.py", "print(frame.head())"),
    "a warning in a private room": ("encode/encoder.py", "warnings.warn(f'{cell}')"),
    "a log line in a private room": ("snapshot/take.py", "logging.getLogger(__name__).info('%d rows', len(frame))"),
    "an unreviewed log line beside a reviewed one": ("profile/build.py", "_LOG.warning('%s', frame)"),
    "stderr in a private room": ("audit/canary.py", "sys.stderr.write(str(row))"),
    "a cell in an error": ("snapshot/native.py", "raise TableError(f'column {name!r}: {cell!r} is no number')"),
    "a cell in an error, by percent": ("profile/build.py", "raise TableError('bad cell %r' % cell)"),
    "a cell in an error, by str": ("encode/encoder.py", "raise TableError('bad cell ' + str(cell))"),
    "a library's message in an error": (
        "snapshot/read.py",
        "try:\n    x()\nexcept ValueError as error:\n    raise TableError(f'{error}')",
    ),
    "a fault with a cell": ("snapshot/check.py", "faults.append(f'column {name!r} holds {values.iloc[0]!r}')"),
    "a value in progress": ("generate/mst.py", "runtime.report(f'mst: {values[0]}', 0.5)"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_way_around_the_gate_is_found(mutant):
    place, source = MUTANTS[mutant]
    assert found_in(source, place)


@pytest.mark.parametrize(
    "place, source",
    [
        (
            "orchestration/private_assets.py",
            "from synth_pipeline.privacy.gate import Released\nx = Released(plan.epsilon)",
        ),
        ("orchestration/metadata.py", "dg.MaterializeResult(metadata={})\ncontext.log.info('x')"),
        (
            "integrations/mlflow.py",
            "import mlflow\ndef note(n: Released[float]) -> None:\n    client.log_metric('n', n)",
        ),
        ("integrations/great_expectations.py", "import great_expectations as gx"),
        ("cli/run.py", "print('done')"),
        ("validate/fidelity.py", "class Released: ...\nshares = Released()"),
        ("snapshot/read.py", "raise TableError(f'{what}: {path}: cannot be read ({type(error).__name__})')"),
        ("generate/neural/heads.py", "x = torch.log(shares)"),
    ],
)
def test_the_ways_that_are_meant_are_not_found(place, source):
    assert found_in(source, place) == []


TYPES = """
import pandas as pd
from synth_pipeline.integrations.great_expectations import run_suite
from synth_pipeline.integrations.mlflow import log_artifacts, log_facts, log_lineage
from synth_pipeline.orchestration.metadata import Gate, check_result, event_log
from synth_pipeline.privacy.gate import Internal, Released
from synth_pipeline.snapshot.take import PrivateCounts, Snapshot
from synth_pipeline.benchmark.scorecard import Scorecard
from typing import Any
def f(g: Gate, t: Any, frame: pd.DataFrame, snapshot: Snapshot, counts: PrivateCounts, card: Scorecard, context: Any, p: Any) -> None:
    score = card.fidelity.tvd_1way.synthetic.value
    g.materialized(frame, {"epsilon": Released(1.0), "counts": Internal(vars(counts))})
    log_facts(t, t, metrics={"epsilon": Released(1.0)}, params={"name": Released("x")})
    run_suite(Released(frame), (), docs_dir=p, suite_name="s", run_name="r")
    event_log(context)(Released("10 %"))
    g.materialized(frame, {"score": score})  # wrong
    g.materialized(frame, {"counts": counts})  # wrong
    g.materialized(frame, {"rows": frame})  # wrong
    g.materialized(frame, {"rows": Released(frame)})  # wrong
    g.pass_through({"snapshot": Released(snapshot)})  # wrong
    g.pass_through({"counts": Released(counts)})  # wrong
    g.pass_through({"counts": vars(counts)})  # wrong
    check_result("c", passed=True, is_blocking=True, description="d", observed={"score": score})  # wrong
    event_log(context)("10 %")  # wrong
    log_facts(t, t, metrics={"score": score})  # wrong
    log_facts(t, t, metrics={"score": Internal(score)})  # wrong
    log_facts(t, t, params={"rows": counts.rows})  # wrong
    log_facts(t, t, tags={"card": Released(card)})  # wrong
    log_lineage(t, t, snapshot)  # wrong
    log_artifacts(t, t, p.parent / "x" if p else frame, "n")  # wrong
    run_suite(frame, (), docs_dir=p, suite_name="s", run_name="r")  # wrong
    run_suite(snapshot, (), docs_dir=p, suite_name="s", run_name="r")  # wrong
    run_suite(Released(snapshot), (), docs_dir=p, suite_name="s", run_name="r")  # wrong
"""


@pytest.mark.slow
def test_handing_private_values_to_an_adapter_is_a_type_error(tmp_path):
    """Pyright in strict mode, as `make check` runs it: an error on each line that is wrong, and on no other."""
    module = tmp_path / "handing_over.py"
    module.write_text(TYPES, encoding="utf-8")
    (tmp_path / "pyrightconfig.json").write_text(
        f'{{"typeCheckingMode": "strict", "extraPaths": ["{PACKAGE.parent}"], "reportUnknownMemberType": false,'
        ' "reportUnknownVariableType": false, "reportUnknownArgumentType": false, "reportMissingTypeStubs": false}'
    )
    command = [str(Path(sys.executable).with_name("pyright")), "--pythonpath", sys.executable, "-p", str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path).stdout
    found = {int(line.split(f"{module.name}:")[1].split(":")[0]) for line in told.splitlines() if " - error: " in line}
    wrong = {number for number, line in enumerate(TYPES.splitlines(), 1) if line.endswith("# wrong")}
    assert found == wrong, told
