"""A failed Dagster run as one of our errors, so that a command ends with one line and the right exit code."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterEvent, ExecuteInProcessResult

from synth_pipeline import errors
from synth_pipeline.errors import CheckFailed, SynthPipelineError


@dataclass(frozen=True)
class EndedRun:
    """A run that ended in other processes than this one, as its event log tells it.

    Attributes:
        run_id: Dagster's run.
        success: whether it ended well.
        all_events: its events, oldest first.
    """

    run_id: str
    success: bool
    all_events: Sequence[DagsterEvent]


def failure_of(result: ExecuteInProcessResult | EndedRun) -> SynthPipelineError | None:
    """Why a run failed, or None if it did not; the first failed step tells.

    Errors of our family keep their class and their message. Any other is named by its type only, for its message may hold a value.
    """
    if result.success:
        return None
    for event in result.all_events:
        if event.is_step_failure:
            return _of_step(result, event)
    return SynthPipelineError(f"run {result.run_id}: stopped before any stage failed; see the run's log in Dagster")


def was_interrupted(result: ExecuteInProcessResult) -> bool:
    """Whether a signal ended the run, not a fault of it."""
    failed = (event for event in result.all_events if event.is_step_failure)
    return any(name == "DagsterExecutionInterruptedError" for event in failed for name, _ in _chain(event))


def _of_step(result: ExecuteInProcessResult | EndedRun, event: DagsterEvent) -> SynthPipelineError:
    for name, message in _chain(event):
        if name == "DagsterAssetCheckFailedError":
            return CheckFailed(f"blocking checks failed: {', '.join(_failed_checks(result))}; no release was written")
        family = getattr(errors, name, None)
        if isinstance(family, type) and issubclass(family, SynthPipelineError):
            return family(message)
    names = [name for name, _ in _chain(event)]
    return SynthPipelineError(
        f"{event.step_key}: failed ({names[-1] if names else 'unknown'}); see run {result.run_id} in Dagster"
    )


def _chain(event: DagsterEvent) -> Iterator[tuple[str, str]]:
    """Class name and message of a step's error, then of what caused it."""
    error = event.step_failure_data.error
    while error is not None:
        name = (error.cls_name or "").rsplit(".", 1)[-1]
        yield name, error.message.strip().split(f"{name}: ", 1)[-1]
        error = error.cause


def _failed_checks(result: ExecuteInProcessResult | EndedRun) -> list[str]:
    events = [event for event in result.all_events if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION]
    evaluations = [event.asset_check_evaluation_data for event in events]
    return [evaluation.check_name for evaluation in evaluations if evaluation.blocking and not evaluation.passed]
