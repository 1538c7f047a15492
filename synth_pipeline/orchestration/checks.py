"""Expectations as Dagster asset checks: declared from the specification, reported from their outcomes."""

import warnings
from collections.abc import Sequence

import dagster as dg

from synth_pipeline.errors import SpecError
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.metadata import check_result
from synth_pipeline.privacy.gate import Released, opened
from synth_pipeline.spec import Spec
from synth_pipeline.validate.expectation import Outcome
from synth_pipeline.validate.planned import planned_checks


def check_specs(spec: Spec) -> list[dg.AssetCheckSpec]:
    """One check an expectation, on the validation suite; a blocking one stops what comes after it, the release."""
    keys = DatasetKeys(spec.dataset)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", dg.PreviewWarning
        )  # partitioned checks are new; one warning a check says no more
        return [
            dg.AssetCheckSpec(
                check.name,
                asset=keys.asset("validation_suite"),
                description=check.description,
                blocking=check.is_blocking,
                metadata={"kind": check.kind, "column": check.column or "(table)"},
                partitions_def=keys.partitions,
            )
            for check in planned_checks(spec)
        ]


def check_results(
    released: Released[tuple[Outcome, ...]],
    declared: Sequence[dg.AssetCheckSpec],
    *,
    docs: Released[dg.MetadataValue] | None = None,
) -> list[dg.AssetCheckResult]:
    """The outcomes as results of the declared checks.

    Args:
        released: the outcomes.
        declared: the checks, as they were loaded.
        docs: where Great Expectations' pages about this run are.

    Raises:
        SpecError: if the suite is not the one that was declared when the code was loaded.
    """
    outcomes = opened(released, where="outcomes of checks")
    names = [outcome.expectation.name for outcome in outcomes]
    if sorted(names) != sorted(check.name for check in declared):
        raise SpecError(
            "validation_suite: the suite differs from the checks that were loaded; reload the code location and run again"
        )
    return [_result(outcome, docs) for outcome in outcomes]


def _result(outcome: Outcome, docs: Released[dg.MetadataValue] | None) -> dg.AssetCheckResult:
    # What an outcome observed describes the synthetic table only, so it is a released fact.
    return check_result(
        outcome.expectation.name,
        passed=outcome.passed,
        is_blocking=outcome.expectation.is_blocking,
        description=outcome.expectation.description,
        observed={
            **{name: Released(float(value)) for name, value in outcome.observed.items()},
            **({} if docs is None else {"data_docs": docs}),
        },
    )
