"""Expectations that Great Expectations lacks, as its own custom expectations: kinds of columns, grids, SQL rules, released shares.

Importing this module registers them with Great Expectations, so it is imported only where a suite is run or read. Each asks one metric
for what `validate.evaluate` observes, so both ways of checking agree by construction.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from great_expectations.core.metric_domain_types import MetricDomainTypes  # noqa: TID253  # imported lazily itself
from great_expectations.execution_engine import PandasExecutionEngine  # noqa: TID253
from great_expectations.expectations.expectation import BatchExpectation  # noqa: TID253
from great_expectations.expectations.metrics.metric_provider import metric_value  # noqa: TID253
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider  # noqa: TID253

from synth_pipeline.validate import expectation as types
from synth_pipeline.validate.evaluate import observe

METRIC = "table.synth_pipeline_observation"


class Observation(TableMetricProvider):
    """What `validate.evaluate.observe` sees in the batch: whether it holds, and the numbers that say so."""

    metric_name = METRIC
    value_keys = ("observes", "arguments")

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805  # Great Expectations makes a class method of it
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: Mapping[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> dict[str, Any]:
        frame, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        passed, observed = observe(metric_value_kwargs["observes"], frame, metric_value_kwargs["arguments"])
        return {"passed": passed, "observed": observed}


class _Observed(BatchExpectation):
    """An expectation that is one of ours.

    Attributes:
        observes: the expectation type of `validate.expectation`.
        arguments: its arguments.
        column: the column under which Data Docs show it.
    """

    observes: str
    arguments: dict[str, Any]
    column: str | None = None

    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id",)
    metric_dependencies: ClassVar[tuple[str, ...]] = (METRIC,)
    success_keys: ClassVar[tuple[str, ...]] = ("observes", "arguments")
    args_keys: ClassVar[tuple[str, ...]] = ("observes", "arguments")

    def _validate(
        self,
        metrics: Mapping[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: object = None,
    ) -> dict[str, Any]:
        seen = metrics[METRIC]
        said = ", ".join(f"{name} {value:.4g}" for name, value in seen["observed"].items())
        return {"success": seen["passed"], "result": {"observed_value": said or "–", "details": seen["observed"]}}


class ExpectColumnToHoldKind(_Observed):
    """A column's values are of a declared kind, whatever pandas dtype holds them."""


class ExpectColumnValuesToLieOnGrid(_Observed):
    """Numbers have at most so many decimals; points in time fall on whole steps."""


class ExpectRowsToSatisfyRule(_Observed):
    """No row breaks a rule in SQL boolean form."""


class ExpectColumnSharesToFollowRelease(_Observed):
    """The shares of a column's bins or categories lie within noise of the released ones."""


CLASSES: dict[str, type[_Observed]] = {
    types.HOLDS_KIND: ExpectColumnToHoldKind,
    types.ON_GRID: ExpectColumnValuesToLieOnGrid,
    types.RULE: ExpectRowsToSatisfyRule,
    types.SHARES: ExpectColumnSharesToFollowRelease,
}
