"""The assets between training and release, but for score and audit: synthetic_table, validation_suite, tstr_benchmark. None is charged.

The benchmark alone reads real rows again; its scores are internal, so Dagster shows only where they lie.
"""

import dagster as dg
from pandas import DataFrame

from synth_pipeline import walk as stages
from synth_pipeline.benchmark.summary import summary_lines
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration import display
from synth_pipeline.orchestration.asset_options import Result, gate, walk_asset
from synth_pipeline.orchestration.checks import check_results, check_specs
from synth_pipeline.orchestration.drift_assets import settled
from synth_pipeline.orchestration.in_force import prior_table
from synth_pipeline.orchestration.lineage import column_lineage
from synth_pipeline.orchestration.made import Made, one_origin
from synth_pipeline.orchestration.metadata import event_log
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.orchestration.retries import forget_journals
from synth_pipeline.orchestration.tracking import WalkRecord
from synth_pipeline.privacy.gate import Internal, Released, private_stage
from synth_pipeline.release.balanced import rebalanced_table
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.snapshot.take import Snapshot
from synth_pipeline.spec import Spec


def released_assets(spec: Spec) -> list[dg.AssetsDefinition]:
    """The assets of the stages between training and release."""
    return [_synthetic_table(spec), _validation_suite(spec), _tstr_benchmark(spec)]


def _synthetic_table(spec: Spec) -> dg.AssetsDefinition:
    words = "The synthetic table: sampled, decoded, constrained. Free of budget, any number of rows."

    @walk_asset(spec, "synthetic_table", description=words, kinds={"parquet", "pandas"}, upstream=["generator"])
    def synthetic_table(
        context: dg.AssetExecutionContext,
        generator: Made[ReleasedModel],
        home: dg.ResourceParam[Home],
        tracking: dg.ResourceParam[Tracking],
        runtime: dg.ResourceParam[StageRuntime],
    ) -> Result:
        tell = runtime.teller("synthetic_table", event_log(context))
        tell("sampling", 0.0)
        forget_journals(home, generator.origin)
        found = settled(spec, home, context.partition_key, generator.origin)
        if found.decision.kind == "reuse" and found.prior is not None:
            frame = prior_table(home, spec, found.prior)
        else:
            rows = found.rows_drawn(generator.value)
            frame = stages.synthesize(generator.value, rows=rows, seed=runtime.seed)
        tell("sampled", 1.0)
        digest = display.table_digest(frame)
        record = WalkRecord(context, tracking, generator.origin)
        record.sampled(spec, digest)
        entries = {
            **found.entries,
            "dagster/row_count": Released(len(frame)),
            "dagster/column_schema": Released(display.column_schema(spec)),
            **column_lineage(spec, "synthetic_table"),
            "first_rows": Released(display.sample_rows(frame)),
            "digest": Released(digest),
            **record.entries,
        }
        return gate(home, context).materialized(Made(frame, generator.origin), entries)

    return synthetic_table


def _validation_suite(spec: Spec) -> dg.AssetsDefinition:
    words = "Expectations from the specification and the released profile, run by Great Expectations; its Data Docs are kept."
    checks = check_specs(spec)

    @walk_asset(
        spec,
        "validation_suite",
        description=words,
        kinds={"greatexpectations"},
        upstream=["generator", "synthetic_table"],
        check_specs=checks,
    )
    def validation_suite(
        context: dg.AssetExecutionContext,
        generator: Made[ReleasedModel],
        synthetic_table: Made[DataFrame],
        home: dg.ResourceParam[Home],
        runtime: dg.ResourceParam[StageRuntime],
    ) -> Result:
        from synth_pipeline.integrations.great_expectations import run_suite

        tell = runtime.teller("validation_suite", event_log(context))
        tell("checking", 0.0)
        origin = one_origin([generator, synthetic_table], where=f"{spec.dataset}/validation_suite")
        suite = stages.expectations(generator.value, rows=len(synthetic_table.value))
        place = (spec.dataset, context.partition_key, "data_docs")
        with home.released.writing(*place) as docs:
            found = run_suite(
                Released(synthetic_table.value),
                suite,
                docs_dir=docs,
                suite_name=spec.dataset,
                run_name=context.partition_key,
            )
        docs_page = Released(display.page((home.released.found(*place) / found.docs_index.name).as_uri()))
        tell("checked", 1.0)
        entries = {
            "data_docs": docs_page,
            "passed": Released(sum(outcome.passed for outcome in found.outcomes)),
            "failed": Released(sum(not outcome.passed for outcome in found.outcomes)),
            "blocking_failures": Released(sum(outcome.is_blocking_failure for outcome in found.outcomes)),
        }
        results = check_results(Released(found.outcomes), checks, docs=docs_page)
        return gate(home, context).materialized(Made(found.outcomes, origin), entries, checks=results)

    return validation_suite


def _tstr_benchmark(spec: Spec) -> dg.AssetsDefinition:
    words = "Fidelity, and train-on-synthetic-test-on-real against train-on-real, with intervals. Scores on real rows are internal."

    @walk_asset(
        spec,
        "tstr_benchmark",
        description=words,
        kinds={"scikitlearn"},
        upstream=["real_snapshot", "generator", "synthetic_table"],
    )
    def tstr_benchmark(  # noqa: PLR0913, PLR0917  (each input and resource is an argument)
        context: dg.AssetExecutionContext,
        real_snapshot: Made[Snapshot],
        generator: Made[ReleasedModel],
        synthetic_table: Made[DataFrame],
        home: dg.ResourceParam[Home],
        tracking: dg.ResourceParam[Tracking],
        runtime: dg.ResourceParam[StageRuntime],
    ) -> Result:
        origin = one_origin([real_snapshot, generator, synthetic_table], where=f"{spec.dataset}/tstr_benchmark")
        tell = runtime.teller("tstr_benchmark", event_log(context))
        with private_stage("tstr_benchmark", home.private, log=event_log(context)):
            scorecard = stages.benchmark(
                real_snapshot.value,
                synthetic_table.value,
                spec,
                rebalanced=rebalanced_table(generator.value, synthetic_table.value, spec, seed=runtime.seed),
                progress=lambda message: tell(message, 0.0),
            )
        tell("scored", 1.0)
        record = WalkRecord(context, tracking, origin)
        record.scored()
        entries = {
            "target": Released(spec.benchmark.target if spec.benchmark else "none: fidelity only"),
            "scores": Internal(summary_lines(scorecard)),
            **record.entries,
        }
        return gate(home, context).materialized(Made(scorecard, origin), entries)

    return tstr_benchmark
