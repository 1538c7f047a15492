"""published_score: the accuracy on held-out people of a classifier trained on the synthetic table, under DP; only where it is asked for.

It is the one score on real rows that may be shown, and that may decide whether a release is approved without a person. Where it cannot be
measured, as where the cap has no room left, the walk goes on without one.
"""

import dagster as dg
from pandas import DataFrame

from synth_pipeline import reserve
from synth_pipeline import walk as stages
from synth_pipeline.errors import BudgetRefused, NothingToLearn
from synth_pipeline.integrations.stores import Home, Place
from synth_pipeline.orchestration import display
from synth_pipeline.orchestration.asset_options import Result, charged_stage, gate, walk_asset
from synth_pipeline.orchestration.drift_assets import drift_deps, settled
from synth_pipeline.orchestration.io_managers import made_loader
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.made import Made, Origin, one_origin
from synth_pipeline.orchestration.metadata import Entry, event_log
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.orchestration.retries import journals_of
from synth_pipeline.outcome import ScoreOutcome
from synth_pipeline.privacy.gate import Released
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.lineage import table_digest
from synth_pipeline.snapshot.take import Snapshot
from synth_pipeline.spec import Spec

_STANDS = "the release in force stands, with the score that it had"
_TOO_LATE = "this walk is released without one, and its certificate states all that was asked; a new walk measures one"


def has_score(spec: Spec) -> bool:
    """Whether a dataset publishes a score."""
    return spec.benchmark is not None and spec.benchmark.publish is not None


def score_assets(spec: Spec) -> list[dg.AssetsDefinition]:
    """The asset of the published score, where the specification asks for one."""
    return [_published_score(spec)] if has_score(spec) else []


def score_deps(spec: Spec) -> list[dg.AssetKey]:
    """What a release waits for besides its parts."""
    return [DatasetKeys(spec.dataset).asset("published_score")] if has_score(spec) else []


def score_of(spec: Spec, home: Home, snapshot: str, origin: Origin) -> ScoreOutcome:
    """What a walk's published score came to; nothing where none is asked for, or where it is of another walk."""
    if not has_score(spec) or not home.released.has(spec.dataset, snapshot, "published_score"):
        return ScoreOutcome(None, "none is asked for", "")
    made: Made[ScoreOutcome] = home.released.read(
        made_loader("published_score"), spec.dataset, snapshot, "published_score"
    )
    return made.value if made.origin == origin else ScoreOutcome(None, "it is of another walk of the snapshot", "")


def _published_score(spec: Spec) -> dg.AssetsDefinition:
    words = "Accuracy on held-out people of a classifier trained on the synthetic table, measured under DP; charged, and shown."

    @walk_asset(
        spec,
        "published_score",
        description=words,
        kinds={"opendp", "scikitlearn"},
        upstream=["real_snapshot", "synthetic_table"],
        deps=drift_deps(spec),
    )
    def published_score(
        context: dg.AssetExecutionContext,
        real_snapshot: Made[Snapshot],
        synthetic_table: Made[DataFrame],
        home: dg.ResourceParam[Home],
        runtime: dg.ResourceParam[StageRuntime],
    ) -> Result:
        origin = one_origin([real_snapshot, synthetic_table], where=f"{spec.dataset}/published_score")
        tell = runtime.teller("published_score", event_log(context))
        tell("training on synthetic rows", 0.0)
        before = score_of(spec, home, context.partition_key, origin)
        if before.score is not None:  # asked once a walk; a table that was sampled anew since then goes without a score
            outcome = before
        elif settled(spec, home, context.partition_key, origin).decision.kind == "reuse":
            outcome = ScoreOutcome(None, _STANDS, table_digest(synthetic_table.value))
        elif _is_released(spec, home, context.partition_key, origin):
            outcome = ScoreOutcome(None, _TOO_LATE, table_digest(synthetic_table.value))
        else:
            with charged_stage(spec, context, home):
                outcome = _measured(spec, home, real_snapshot.value, synthetic_table.value, origin)
        tell("measured", 1.0)
        return gate(home, context).materialized(
            Made(outcome, origin), _entries(spec, outcome, table_digest(synthetic_table.value))
        )

    return published_score


def _is_released(spec: Spec, home: Home, snapshot: str, origin: Origin) -> bool:
    """Whether the walk's release is made: what is asked after it would not be in its certificate."""
    if not home.released.has(spec.dataset, snapshot, "release"):
        return False
    made: Made[Place] = home.released.read(made_loader("release"), spec.dataset, snapshot, "release")
    return made.origin == origin


def _measured(spec: Spec, home: Home, snapshot: Snapshot, synthetic: DataFrame, origin: Origin) -> ScoreOutcome:
    digest = table_digest(synthetic)
    try:
        walk = reserve.open_score(
            spec,
            snapshot=origin.walk.snapshot,
            ledger=open_ledger(home.ledger),
            walk_id=origin.walk.walk_id,
            journals=journals_of(home),
        )
        with reserve.given_back_unread(walk):
            return ScoreOutcome(stages.publish_score(walk, snapshot, synthetic), "", digest)
    # A full cap, or a synthetic table of one class: released facts. What else is refused, of held-out rows, ends the step.
    except (BudgetRefused, NothingToLearn) as refusal:
        return ScoreOutcome(None, str(refusal), digest)


def _entries(spec: Spec, outcome: ScoreOutcome, table: str) -> dict[str, Entry]:
    score, floors = outcome.of(table), spec.release.floors
    if score is None:
        reason = outcome.reason or "the score of this walk is of another sample of the table; a new walk measures anew"
        return {"score": Released(f"not measured: {reason}")}
    entries: dict[str, Entry] = {
        "score": Released(score.summary),
        "charged": Released(display.event_table(score.events)),
    }
    if score.accuracy is not None:
        entries["accuracy"] = Released(score.accuracy)
    if floors is not None:
        held = "reached" if score.reaches(floors.accuracy) else "not reached"
        entries["floor"] = Released(f"accuracy at least {floors.accuracy:g}: {held}")
    return entries
