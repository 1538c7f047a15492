"""How a run's steps execute: one after another, each in a process forked from one that has the heavy libraries loaded."""

from collections.abc import Iterator
from typing import Any, cast

import dagster as dg
from dagster import DagsterEvent
from dagster import _check as check
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig

from synth_pipeline.integrations.run_workers import mark_until_exit

PRELOADED_MODULES = (
    "synth_pipeline.orchestration",
    "pandas",
    "pyarrow.parquet",
    "torch",
    "great_expectations",
    "mlflow",
)


class MarkedExecutor(dg.Executor):
    """An executor whose process is marked as alive from when it executes a run until it ends.

    Args:
        inner: what executes the steps.
    """

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> RetryMode:
        """As the executor inside."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        """As the executor inside."""
        return self._inner.step_dependency_config

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Execute the steps of a plan."""
        mark_until_exit(plan_context.instance, plan_context.run_id)
        yield from self._inner.execute(plan_context, execution_plan)


def walk_executor() -> dg.ExecutorDefinition:
    """A multiprocess executor that pays for heavy imports once a run, not once a step.

    A step's memory goes back with its process, and one step at a time keeps a small machine within it.
    """
    plain = dg.multiprocess_executor

    def create(context: dg.InitExecutorContext) -> dg.Executor:
        return MarkedExecutor(check.not_none(plain.executor_creation_fn)(context))

    marked = dg.ExecutorDefinition(
        name="marked_multiprocess",
        config_schema=cast("Any", plain.config_schema),
        requirements=multiple_process_executor_requirements(),
        executor_creation_fn=create,
        description=plain.description,
    )
    return marked.configured(
        {"max_concurrent": 1, "start_method": {"forkserver": {"preload_modules": list(PRELOADED_MODULES)}}},
        name="forkserver",
    )
