"""OpenLineage events of every step: one when it starts, one when it ends, well or not. What fails here costs its record, never the step.

Belongs here: when, and what of a step's values is released. Does not: layout and sending (integrations).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

import dagster as dg
from pandas import DataFrame

from synth_pipeline.integrations.openlineage import LineageReceiver
from synth_pipeline.integrations.openlineage_event import Finding, Moment, Step, event_run_id, step_event
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.keys import AssetName
from synth_pipeline.orchestration.made import Made
from synth_pipeline.orchestration.metadata import event_log
from synth_pipeline.privacy.gate import Released
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.spec import Spec
from synth_pipeline.validate.expectation import Outcome

_Result = TypeVar("_Result")
_KEPT = ("reuse", "resample")
_FROM_MODEL = ("profile", "generator")


def told_to_lineage(
    spec: Spec, asset: AssetName, *, upstream: Sequence[AssetName], description: str
) -> Callable[[Callable[..., _Result]], Callable[..., _Result]]:
    """A decorator: a step's function, of which OpenLineage is told.

    Args:
        spec: the dataset's specification.
        asset: the asset that it makes.
        upstream: the assets that it takes values of.
        description: what it does.
    """

    def decorate(function: Callable[..., _Result]) -> Callable[..., _Result]:
        @wraps(function)
        def told(context: dg.AssetExecutionContext, **inputs: Any) -> _Result:
            step = Step(
                spec=spec,
                asset=asset,
                snapshot=context.partition_key,
                run_id=context.run.run_id,
                root_run_id=context.run.root_run_id or context.run.run_id,
                retry=context.retry_number,
                upstream=tuple(upstream),
                description=description,
            )
            _tell(context, inputs, step, "START")
            try:
                result = function(context, **inputs)
            except BaseException as error:
                _tell(context, inputs, step, "FAIL", fault=type(error).__name__)
                raise
            _tell(context, inputs, step, "COMPLETE", result=result)
            return result

        return told

    return decorate


def lineage_run_id(context: dg.AssetExecutionContext) -> str:
    """Under which id OpenLineage knows the step that is running."""
    return event_run_id(
        context.run.run_id, context.asset_key.path[-1], context.partition_key, retry=context.retry_number
    )


def _tell(
    context: dg.AssetExecutionContext,
    inputs: dict[str, Any],
    step: Step,
    moment: Moment,
    *,
    result: object = None,
    fault: str | None = None,
) -> None:
    home = inputs.get("home")
    if not isinstance(home, Home):
        return
    receiver = LineageReceiver(home.folder)
    if not receiver.is_on:
        return
    try:
        found = _finding(step, inputs, result) if moment == "COMPLETE" else None
        trouble = receiver.send(Released([step_event(step, moment, found=found, fault=fault)]))
    except Exception as error:  # noqa: BLE001  (a record is not worth a step)
        trouble = type(error).__name__
    if trouble is not None:
        event_log(context, is_warning=True)(
            Released(f"OpenLineage: {moment} not recorded ({trouble}); the result itself is kept")
        )


def _finding(step: Step, inputs: dict[str, Any], result: object) -> Finding:
    """What of a step's result is released; values of the private zone are not looked at."""
    made = [value for value in (getattr(result, "value", None), *inputs.values()) if isinstance(value, Made)]
    model = next((item.value for item in made if isinstance(item.value, ReleasedModel)), None)
    own = made[0].value if made else None
    metadata = getattr(result, "metadata", None) or {}
    decision = getattr(metadata.get("decision"), "value", None)
    return Finding(
        table=own if step.asset == "synthetic_table" and isinstance(own, DataFrame) else None,
        outcomes=_outcomes(own) if step.asset == "validation_suite" else (),
        composed_epsilon=_proven(step.asset, model, metadata),
        fingerprint=made[0].origin.fingerprint if made else None,
        walk_id=made[0].origin.walk.walk_id if made else None,
        is_kept=decision in _KEPT and step.asset in _FROM_MODEL,
    )


def _proven(asset: str, model: ReleasedModel | None, metadata: Mapping[str, Any]) -> float | None:
    """What a step's result is proven to lose: a release also what was asked beside its training, as its certificate says."""
    if asset == "release":
        stated = getattr(metadata.get("epsilon"), "value", None)
        return stated if isinstance(stated, float) else None
    return None if model is None else model.epsilon


def _outcomes(value: object) -> tuple[Outcome, ...]:
    return tuple(item for item in value if isinstance(item, Outcome)) if isinstance(value, tuple) else ()
