"""What a run's event log says to a viewer, and why a run failed, read from an instance as another process would."""

import dagster as dg
import pytest

from synth_pipeline.errors import BudgetRefused, CheckFailed, SynthPipelineError
from synth_pipeline.orchestration.failures import EndedRun, failure_of
from synth_pipeline.orchestration.live_news import RunNews


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def stage(name, action, **options):
    """An asset of dataset `d`."""

    @dg.asset(key=["d", name], **options)
    def asset(context):
        return action(context)

    return asset


def run(instance, *assets):
    return dg.materialize(list(assets), instance=instance, raise_on_error=False)


def ended(instance, result):
    events = [entry.dagster_event for entry in instance.all_logs(result.run_id) if entry.dagster_event is not None]
    return EndedRun(result.run_id, result.success, events)


def test_each_stage_is_told_when_it_is_done_and_its_share_in_between(instance):
    def work(context):
        context.log.info("profile: 50%")
        context.log.info("something else")

    first = stage("real_snapshot", lambda _: None)
    result = run(instance, first, stage("profile", work, deps=[first]))
    moments = RunNews("snap", result.run_id).since(instance)
    news = [moment.text.split(" (")[0] for moment in moments if moment.is_news]
    assert news == ["real_snapshot", "profile"]
    assert "profile: 50%" in [moment.text for moment in moments if not moment.is_news]
    shares = [moment.done for moment in moments]
    assert shares == sorted(shares)
    assert 0 < shares[-1] < 1


def test_nothing_is_told_twice(instance):
    result = run(instance, stage("real_snapshot", lambda _: None))
    news = RunNews("snap", result.run_id)
    assert news.since(instance)
    assert news.since(instance) == []


def test_drift_and_decision_are_told_from_the_report_and_the_release_from_its_own(instance):
    facts = {"decision": "refresh", "reason": "2 columns moved", "drifted": "age, fee"}
    result = run(
        instance,
        stage("drift_report", lambda _: dg.MaterializeResult(metadata=facts)),
        stage("release", lambda _: dg.MaterializeResult(metadata={"version": "v1"}), deps=[["d", "drift_report"]]),
    )
    told = [moment.text for moment in RunNews("snap", result.run_id).since(instance)]
    assert "drift in: age, fee; decision: refresh (2 columns moved)" in told
    assert "release in force: v1" in told


def test_a_first_snapshot_has_nothing_to_compare_with(instance):
    facts = {"decision": "refit", "reason": "no release yet"}
    result = run(instance, stage("drift_report", lambda _: dg.MaterializeResult(metadata=facts)))
    told = [moment.text for moment in RunNews("snap", result.run_id).since(instance)]
    assert "nothing to compare with; decision: refit (no release yet)" in told


def refuse(context):
    raise BudgetRefused("the cap would be passed")


def test_a_refusal_in_another_process_keeps_its_class_and_words(instance):
    failure = failure_of(ended(instance, run(instance, stage("real_snapshot", refuse))))
    assert isinstance(failure, BudgetRefused)
    assert str(failure) == "the cap would be passed"


def test_a_blocking_check_that_failed_is_told_by_its_name(instance):
    def fail(context):
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False, check_name="bounds")])

    checks = [dg.AssetCheckSpec("bounds", asset=["d", "validation_suite"], blocking=True)]
    suite = stage("validation_suite", fail, check_specs=checks)
    after = stage("release", lambda _: None, deps=[["d", "validation_suite"]])
    failure = failure_of(ended(instance, run(instance, suite, after)))
    assert isinstance(failure, CheckFailed)
    assert "bounds" in str(failure)


def test_a_run_that_ended_without_a_failed_stage_is_told_as_such():
    failure = failure_of(EndedRun("abc", False, []))
    assert isinstance(failure, SynthPipelineError)
    assert "abc" in str(failure)


def test_a_run_that_ended_well_has_no_failure():
    assert failure_of(EndedRun("abc", True, [])) is None
