"""internal_report: one page with everything that real rows say about a walk's table. Private; no release waits for it, or fails with it.

A page that cannot be made is no reason to lose what was paid for in budget: what stopped it is kept in its place, value-free, and a check
that blocks nothing says so. Only a store that does not answer fails the step, which Dagster then tries again.
"""

import warnings
from collections.abc import Mapping
from html import escape

import dagster as dg
from pandas import DataFrame

from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.benchmark.scorecard import Scorecard
from synth_pipeline.errors import LedgerError, LedgerUnreachable, StageStopped, TableError
from synth_pipeline.integrations.stores import Home, Place
from synth_pipeline.orchestration.asset_options import Result, gate, walk_asset
from synth_pipeline.orchestration.audit_assets import ATTACKS, ATTACKS_PAGE, read_attacks
from synth_pipeline.orchestration.codecs import REPORT_PAGE
from synth_pipeline.orchestration.drift_assets import drift_deps
from synth_pipeline.orchestration.io_managers import made_loader
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.made import Made, Origin, one_origin
from synth_pipeline.orchestration.metadata import check_result, event_log
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.outcome import DriftOutcome
from synth_pipeline.privacy.gate import Released, private_stage
from synth_pipeline.privacy.ledger import WalkRecord, open_ledger
from synth_pipeline.report import internal_page
from synth_pipeline.report.comparison import Tables
from synth_pipeline.report.drift_history import DriftStep
from synth_pipeline.report.internal_page import Evidence, Link, sections_of
from synth_pipeline.reserve import root_walk_id
from synth_pipeline.snapshot.take import Snapshot
from synth_pipeline.spec import Spec

IS_WHOLE = "internal_report_is_whole"
_EXPECTED = "The internal report could be made; no release waits for it."
_AFTER_OTHERS = {"dagster/priority": "-1"}  # a release that is ready goes first


def report_assets(spec: Spec) -> list[dg.AssetsDefinition]:
    """The asset of the internal report."""
    words = (
        "One page for the team: scores, columns, pairs and rows real beside synthetic, attacks, drift so far. Private."
    )

    @walk_asset(
        spec,
        "internal_report",
        description=words,
        kinds={"html"},
        upstream=["real_snapshot", "synthetic_table", "tstr_benchmark", "privacy_audit"],
        deps=drift_deps(spec),
        check_specs=[_declared(spec)],
        op_tags=_AFTER_OTHERS,
    )
    def internal_report(  # noqa: PLR0913, PLR0917  (each input and resource is an argument)
        context: dg.AssetExecutionContext,
        real_snapshot: Made[Snapshot],
        synthetic_table: Made[DataFrame],
        tstr_benchmark: Made[Scorecard],
        privacy_audit: Made[MechanismAudit],
        home: dg.ResourceParam[Home],
        runtime: dg.ResourceParam[StageRuntime],
    ) -> Result:
        parts = [real_snapshot, synthetic_table, tstr_benchmark, privacy_audit]
        origin = one_origin(parts, where=f"{spec.dataset}/internal_report")
        tell, partition = runtime.teller("internal_report", event_log(context)), context.partition_key
        tell("drawing", 0.0)
        page, problem = "", ""
        try:
            with private_stage("internal_report", home.private, log=event_log(context)):
                tables = _tables(real_snapshot.value, synthetic_table.value)
                evidence = _evidence(spec, home, origin, tables, (tstr_benchmark.value, privacy_audit.value))
                page = internal_page.internal_report(evidence, seed=runtime.seed or 0)
        except LedgerUnreachable:
            raise
        except (StageStopped, TableError, LedgerError) as stopped:
            problem = str(stopped)
            page = _not_made(problem)
        tell("drawn", 1.0)
        place = home.private.place(spec.dataset, partition, "internal_report") / REPORT_PAGE
        entries = {
            "page": Released(dg.MetadataValue.path(str(place))),
            "zone": Released("private: computed on real rows; at most 5 MB, opens without a network"),
            "sections": Released(", ".join(section.title for section in sections_of(spec))),
            **({"problem": Released(problem)} if problem else {}),
        }
        return gate(home, context).materialized(Made(page, origin), entries, checks=[_result(is_whole=not problem)])

    return [internal_report]


def drift_history(spec: Spec, home: Home, origin: Origin) -> tuple[DriftStep, ...]:
    """What became of each snapshot of a dataset so far, in order of time; released facts. Empty where drift is not looked for.

    Args:
        spec: the dataset's specification.
        home: whose released store and ledger are read.
        origin: the walk that is reported; it comes last where the ledger has noted no times.
    """
    if spec.drift is None:
        return ()
    account = open_ledger(home.ledger).account(spec.dataset)
    spent = {block.cohort: block.spent_epsilon for block in account.blocks}
    load = made_loader("drift_report")
    names = [
        name for name in home.released.names(spec.dataset) if home.released.has(spec.dataset, name, "drift_report")
    ]
    made: dict[str, Made[DriftOutcome]] = {
        name: home.released.read(load, spec.dataset, name, "drift_report") for name in names
    }
    steps = [
        _step(name, part, _charges(account.walks, part.origin), spent.get(name, account.spent_epsilon))
        for name, part in made.items()
    ]
    return tuple(sorted(steps, key=lambda step: (step.at, step.snapshot == origin.walk.snapshot, step.snapshot)))


def _evidence(
    spec: Spec, home: Home, origin: Origin, tables: Tables, found: tuple[Scorecard, MechanismAudit]
) -> Evidence:
    partition = origin.walk.snapshot
    return Evidence(
        spec=spec,
        snapshot=partition,
        tables=tables,
        card=found[0],
        audit=found[1],
        attacks=read_attacks(home, spec.dataset, partition),
        history=drift_history(spec, home, origin),
        links=_links(spec, home, origin),
    )


def _not_made(problem: str) -> str:
    return f"<!doctype html><meta charset='utf-8'><p>INTERNAL. This report could not be made: {escape(problem)}</p>\n"


def _tables(snapshot: Snapshot, frame: DataFrame) -> Tables:
    if snapshot.holdout is None:
        raise TableError("internal_report: this snapshot was taken without a holdout; take it again with one")
    return Tables(snapshot.train, snapshot.holdout, frame)


def _charges(walks: tuple[WalkRecord, ...], origin: Origin) -> Mapping[str, WalkRecord]:
    """What a walk was charged for, by the id under which the ledger has it; a charge that was given back counts for nothing."""
    own = [record for record in walks if root_walk_id(record.reservation.key.walk_id) == origin.walk.walk_id]
    return {record.reservation.key.walk_id: record for record in own if record.status != "released"}


def _step(snapshot: str, made: Made[DriftOutcome], charges: Mapping[str, WalkRecord], spent: float) -> DriftStep:
    found, report, walk_id = made.value.decision, made.value.report, made.origin.walk.walk_id
    rest = charges.get(walk_id)
    return DriftStep(
        snapshot=snapshot,
        at=min((record.since for record in charges.values()), default=""),
        decision=found.kind,
        reason=found.reason,
        p_value=None if report is None else report.overall_p,
        alpha=None if report is None else report.alpha,
        drifted=() if report is None else report.drifted,
        rows=None if report is None else float(report.rows.values[0]),
        drift_epsilon=sum(record.epsilon for key, record in charges.items() if ":drift" in key),
        walk_epsilon=0.0 if rest is None else rest.epsilon,
        spent_epsilon=spent,
    )


def _links(spec: Spec, home: Home, origin: Origin) -> tuple[Link, ...]:
    """Where else to look: in the private store, and beside what is released; of the rest of the walk what is there already."""
    inner, outer, partition = home.private, home.released, origin.walk.snapshot
    links = [
        Link("scorecard (internal)", str(inner.place(spec.dataset, partition, "tstr_benchmark") / "scorecard.json")),
        Link("attacks (internal)", str(inner.place(spec.dataset, partition, ATTACKS) / ATTACKS_PAGE)),
        Link("synthetic table", str(outer.place(spec.dataset, partition, "synthetic_table") / "data.parquet")),
    ]
    if outer.has(spec.dataset, partition, "data_docs"):
        docs = outer.found(spec.dataset, partition, "data_docs") / "index.html"
        links.append(Link("Data Docs", docs.as_uri(), is_address=True))
    if outer.has(spec.dataset, partition, "release"):
        made: Made[Place] = outer.read(made_loader("release"), spec.dataset, partition, "release")
        links += [Link("release", str(made.value))] if made.origin == origin else []
    return (*links, Link("ledger", open_ledger(home.ledger).place))


def _declared(spec: Spec) -> dg.AssetCheckSpec:
    keys = DatasetKeys(spec.dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # as in `checks`
        return dg.AssetCheckSpec(
            IS_WHOLE,
            asset=keys.asset("internal_report"),
            description=_EXPECTED,
            blocking=False,
            partitions_def=keys.partitions,
        )


def _result(*, is_whole: bool) -> dg.AssetCheckResult:
    return check_result(IS_WHOLE, passed=is_whole, is_blocking=False, description=_EXPECTED, observed={})
