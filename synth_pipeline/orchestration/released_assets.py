"""The assets after training, but for the audit: synthetic_table, validation_suite, tstr_benchmark, release. None of them is charged.

The benchmark alone reads real rows again; its scores are internal, so Dagster shows only where they lie.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace

import dagster as dg
from pandas import DataFrame

from synth_pipeline import walk as stages
from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.benchmark.summary import summary_lines
from synth_pipeline.integrations.mlflow import Tracking
from synth_pipeline.integrations.stores import Home, Place
from synth_pipeline.orchestration import display, pictures
from synth_pipeline.orchestration.asset_options import Result, gate, walk_asset
from synth_pipeline.orchestration.checks import check_results, check_specs
from synth_pipeline.orchestration.codecs import Outcomes
from synth_pipeline.orchestration.drift_assets import Settled, settled
from synth_pipeline.orchestration.in_force import in_force, note_in_force, prior_release, prior_table
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.lineage import column_lineage
from synth_pipeline.orchestration.made import Made, one_origin
from synth_pipeline.orchestration.metadata import Entry, event_log
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.orchestration.retries import forget_journals, forget_score_journal
from synth_pipeline.orchestration.score_assets import score_deps, score_of
from synth_pipeline.orchestration.tracking import WalkRecord
from synth_pipeline.privacy.gate import Internal, Released, private_stage
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.balanced import rebalanced_table
from synth_pipeline.release.facts import ReleaseFacts
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.release.statement import REPORT
from synth_pipeline.snapshot.take import Snapshot
from synth_pipeline.spec import Spec


def released_assets(spec: Spec) -> list[dg.AssetsDefinition]:
    """The assets of the stages after training."""
    return [_synthetic_table(spec), _validation_suite(spec), _tstr_benchmark(spec), _release(spec)]


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
        start_page = home.released.found(*place) / found.docs_index.name
        tell("checked", 1.0)
        entries = {
            "data_docs": Released(dg.MetadataValue.url(start_page.as_uri())),
            "passed": Released(sum(outcome.passed for outcome in found.outcomes)),
            "failed": Released(sum(not outcome.passed for outcome in found.outcomes)),
            "blocking_failures": Released(sum(outcome.is_blocking_failure for outcome in found.outcomes)),
        }
        results = check_results(Released(found.outcomes), checks)
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


def _release(spec: Spec) -> dg.AssetsDefinition:
    words = (
        "The bundle: data, schema, certificate, datasheet and report. A candidate until a second person approves it."
    )
    scored = [DatasetKeys(spec.dataset).asset("tstr_benchmark")]

    @walk_asset(
        spec,
        "release",
        description=words,
        kinds={"parquet", "json"},
        upstream=["generator", "synthetic_table", "validation_suite", "privacy_audit"],
        deps=[*scored, *score_deps(spec)],
    )
    def release(  # noqa: PLR0913, PLR0917  (each input and resource is an argument)
        context: dg.AssetExecutionContext,
        generator: Made[ReleasedModel],
        synthetic_table: Made[DataFrame],
        validation_suite: Made[Outcomes],
        privacy_audit: Made[MechanismAudit],
        home: dg.ResourceParam[Home],
        tracking: dg.ResourceParam[Tracking],
    ) -> Result:
        parts = [generator, synthetic_table, validation_suite, privacy_audit]
        origin = one_origin(parts, where=f"{spec.dataset}/release")
        outcomes, frame = validation_suite.value, synthetic_table.value
        stages.require_passed(outcomes)
        stages.require_kept(privacy_audit.value)
        found = settled(spec, home, context.partition_key, origin)
        record = WalkRecord(context, tracking, origin)
        if found.decision.kind == "reuse" and found.prior is not None:
            place = prior_release(home, spec, found.prior)
            record.released({}, {"release": Released(found.prior.version)})
            told = {**found.entries, **_named(place, found.prior.version), **record.entries}
            return gate(home, context).materialized(Made(place, origin), told)
        score = score_of(spec, home, context.partition_key, origin)
        forget_score_journal(home, origin)
        facts = stages.release_facts(
            origin.walk,
            generator.value,
            fingerprint=origin.fingerprint,
            outcomes=outcomes,
            rows=len(frame),
            audit=privacy_audit.value,
            drift=found.events,
            score=score.events,
            extra={**found.lineage, **stages.score_facts(score.of(display.table_digest(frame)))},
        )
        facts = _anchored(facts, home, record)
        bundle = stages.assemble(facts, frame, releases=home.releases, signer=home.signer())
        drawn = pictures.release_pictures(facts)
        record.reported({REPORT: (bundle / REPORT).read_bytes(), **pictures.files(drawn)})
        folder = home.keep_release(bundle)
        _put_in_force(spec, home, found, generator)
        pages = _pages(home, spec, context.partition_key, folder)
        tags = {"release": Released(facts.version), "release.folder": Released(str(folder)), **_tags(pages)}
        record.released({"epsilon_composed": Released(facts.composed_epsilon)}, tags)
        entries = {
            **found.entries,
            **_named(folder, facts.version),
            **{name: Released(dg.MetadataValue.url(page)) for name, page in pages.items()},
            **column_lineage(spec, "release"),
            **{name: Released(picture) for name, picture in pictures.shown(drawn, only=("trust_map",)).items()},
            "epsilon": Released(facts.composed_epsilon),
            "delta": Released(facts.delta),
            "charged": Released(display.event_table((*found.events, *generator.value.events, *score.events))),
            "ledger": Released(
                display.ledger_table(open_ledger(home.ledger).history(spec.dataset), origin.reservation)
            ),
            "approval": Released(_how_to_approve(facts.dataset, facts.version)),
            **record.entries,
        }
        return gate(home, context).materialized(Made(folder, origin), entries)

    return release


def _anchored(facts: ReleaseFacts, home: Home, record: WalkRecord) -> ReleaseFacts:
    """The facts with the ledger's head of this moment, and the runs that made them: ways back from the release."""
    return replace(facts, ledger_head=asdict(open_ledger(home.ledger).head()), links=record.links())


DOCS_PAGE = "index.html"


def _pages(home: Home, spec: Spec, snapshot: str, folder: Place) -> dict[str, str]:
    """Addresses of the pages of a release: its report, and what Great Expectations found."""
    docs = (spec.dataset, snapshot, "data_docs")
    found = {"report": (folder / REPORT).as_uri()}
    return found | (
        {"data_docs": (home.released.found(*docs) / DOCS_PAGE).as_uri()} if home.released.has(*docs) else {}
    )


def _tags(pages: Mapping[str, str]) -> dict[str, Released[str]]:
    """The same as tags of the walk's run in MLflow."""
    return {name: Released(page) for name, page in pages.items()}


def _how_to_approve(dataset: str, version: str) -> str:
    """What a release waits for, and how it gets it."""
    return (
        "candidate: waits for a second person, with "
        f'`synth-pipeline approve {dataset}/{version} --key KEY --purpose "…"` or from the launchpad of {dataset}/approval'
    )


def _named(place: object, version: str) -> dict[str, Entry]:
    """Where a release lies, and its name."""
    return {"release": Released(dg.MetadataValue.path(str(place))), "version": Released(version)}


def _put_in_force(spec: Spec, home: Home, found: Settled, generator: Made[ReleasedModel]) -> None:
    """Note a release as the one in force, unless a later snapshot was released meanwhile, whose place it would take."""
    standing, walk = in_force(home, spec), generator.origin.walk
    if spec.drift is None or standing in (None, found.prior) or standing.snapshot == walk.snapshot:
        note_in_force(home, generator.value, walk=walk, rows=found.people(generator.value))
