"""What ends a run for good, and what leaves Dagster free to start it again; with Dagster's own decision."""

import dagster as dg
import pytest
import yaml
from dagster._core.events import RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run

from synth_pipeline import errors
from synth_pipeline.orchestration.launch import _SETTINGS
from synth_pipeline.orchestration.retries import FINAL_TAG, MAY_PASS, final_refusals, retried

FAMILY = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.SynthPipelineError) and error not in MAY_PASS
]


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    settings = yaml.safe_load(_SETTINGS.read_text())
    overrides = {"run_retries": settings["run_retries"]}
    with dg.instance_for_test(temp_dir=str(tmp_path_factory.mktemp("dagster")), overrides=overrides) as made:
        yield made


def run_of(instance, step, **check):
    """A run of an asset whose step is a function of ours; the run, as Dagster keeps it."""

    def stage(context: dg.AssetExecutionContext):
        return step()

    specs = [dg.AssetCheckSpec("kept", asset="stage", **check)] if check else None
    asset = dg.asset(name="stage", check_specs=specs)(retried(stage))
    result = dg.materialize([asset], instance=instance, raise_on_error=False)
    return instance.get_run_by_id(result.run_id)


def is_retried(instance, run):
    return auto_reexecution_should_retry_run(instance, run, RunFailureReason.STEP_FAILURE)


def raised(error):
    def step():
        raise error("words")

    return step


@pytest.mark.parametrize("error", FAMILY)
def test_a_refusal_is_never_retried(instance, error):
    run = run_of(instance, raised(error))
    assert run.tags[FINAL_TAG] == "0"
    assert not is_retried(instance, run)
    assert run.tags["dagster/will_retry"] == "false"


@pytest.mark.parametrize("error", [*MAY_PASS, ZeroDivisionError, ConnectionError, OSError, MemoryError])
def test_what_broke_is_retried(instance, error):
    run = run_of(instance, raised(error))
    assert FINAL_TAG not in run.tags
    assert is_retried(instance, run)
    assert run.tags["dagster/will_retry"] == "true"


@pytest.mark.parametrize("is_blocking", [True, False])
def test_a_blocking_check_that_fails_is_never_retried(instance, is_blocking):
    severity = dg.AssetCheckSeverity.ERROR if is_blocking else dg.AssetCheckSeverity.WARN

    def step():
        check = dg.AssetCheckResult(passed=False, check_name="kept", severity=severity)
        return dg.MaterializeResult(check_results=[check])

    run = run_of(instance, step, blocking=is_blocking)
    assert (run.tags.get(FINAL_TAG) == "0") is is_blocking
    assert (run.status == dg.DagsterRunStatus.FAILURE) is is_blocking


def test_a_refusal_is_told_as_it_is_even_where_dagsters_storage_is_gone():
    class Gone:
        def add_run_tags(self, *_):
            raise ConnectionError

    with pytest.raises(errors.TableError, match="column"), final_refusals(Gone(), "run"):
        raise errors.TableError("column: words")


def test_a_step_keeps_the_signature_by_which_dagster_finds_its_inputs():
    def stage(context: dg.AssetExecutionContext, upstream: int) -> int:
        return upstream

    assert dg.asset(retried(stage)).keys_by_input_name == {"upstream": dg.AssetKey("upstream")}
