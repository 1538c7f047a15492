"""release: the bundle of a walk, made where every check and the audit hold; or the release in force, where that one stands."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import dagster as dg
from pandas import DataFrame

from synth_pipeline import walk as stages
from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.drift.decision import PriorFacts
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.integrations.stores import Home, Place
from synth_pipeline.orchestration import display, pictures
from synth_pipeline.orchestration.asset_options import Result, gate, walk_asset
from synth_pipeline.orchestration.automatic_approval import approve_without_a_person, what_follows
from synth_pipeline.orchestration.codecs import Outcomes
from synth_pipeline.orchestration.drift_assets import Settled, settled
from synth_pipeline.orchestration.in_force import in_force, note_in_force, prior_release, require_not_withdrawn
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.lineage import column_lineage
from synth_pipeline.orchestration.made import Made, Origin, one_origin
from synth_pipeline.orchestration.metadata import Entry
from synth_pipeline.orchestration.retries import forget_score_journal
from synth_pipeline.orchestration.score_assets import score_deps, score_of
from synth_pipeline.orchestration.tracking import WalkRecord
from synth_pipeline.outcome import ScoreOutcome
from synth_pipeline.privacy.gate import Released
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.facts import ReleaseFacts
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.release.statement import REPORT
from synth_pipeline.spec import Spec

_WORDS = (
    "The bundle: data, schema, certificate, datasheet and report. A candidate until it is approved by a second key."
)
DOCS_PAGE = "index.html"
"""First page of the Data Docs."""


def release_assets(spec: Spec) -> list[dg.AssetsDefinition]:
    """The asset of the release."""
    return [_release(spec)]


def _release(spec: Spec) -> dg.AssetsDefinition:
    scored = DatasetKeys(spec.dataset).asset("tstr_benchmark")

    @walk_asset(
        spec,
        "release",
        description=_WORDS,
        kinds={"parquet", "json"},
        upstream=["generator", "synthetic_table", "validation_suite", "privacy_audit"],
        deps=[scored, *score_deps(spec)],
        hooks=what_follows(spec),
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
        stages.require_passed(validation_suite.value)
        stages.require_kept(privacy_audit.value)
        found = settled(spec, home, context.partition_key, origin)
        _require_base(home, spec, found)
        walked = _Walked(spec, home, origin, found, WalkRecord(context, tracking, origin))
        if found.decision.kind == "reuse" and found.prior is not None:
            place, entries = _let_stand(walked, found.prior)
        else:
            stated = _Stated(generator, synthetic_table.value, validation_suite.value, privacy_audit.value)
            place, entries = _made_anew(walked, stated)
        told = {**found.entries, **entries, **walked.record.entries}
        return gate(home, context).materialized(Made(place, origin), told)

    return release


@dataclass(frozen=True, eq=False)
class _Walked:
    """A walk that has come to its release: of what, where things lie, what was settled about it, and where it is recorded."""

    spec: Spec
    home: Home
    origin: Origin
    found: Settled
    record: WalkRecord

    @property
    def snapshot(self) -> str:
        return self.origin.walk.snapshot


@dataclass(frozen=True, eq=False)
class _Stated:
    """What a release that is made now is made of."""

    generator: Made[ReleasedModel]
    table: DataFrame
    outcomes: Outcomes
    audit: MechanismAudit


def _let_stand(walked: _Walked, prior: PriorFacts) -> tuple[Place, dict[str, Entry]]:
    """The release in force, which stands for this snapshot too, and what is shown of it."""
    place = prior_release(walked.home, walked.spec, prior)
    walked.record.released({}, {"release": Released(prior.version)})
    return place, _named(place, prior.version)


def _made_anew(walked: _Walked, stated: _Stated) -> tuple[Place, dict[str, Entry]]:
    """A release of this walk's own: its bundle written, recorded and put in force; where it lies, and what is shown of it."""
    home, spec, record = walked.home, walked.spec, walked.record
    score = score_of(spec, home, walked.snapshot, walked.origin)
    forget_score_journal(home, walked.origin)
    facts = _facts(walked, stated, score)
    bundle = stages.assemble(facts, stated.table, releases=home.releases, signer=home.signer())
    drawn = pictures.release_pictures(facts)
    record.reported({REPORT: (bundle / REPORT).read_bytes(), **pictures.files(drawn)})
    folder = home.keep_release(bundle)
    _put_in_force(spec, home, walked.found, stated.generator)
    pages = _pages(home, spec, walked.snapshot, folder)
    _record(record, facts, folder, pages)
    charged = (*walked.found.events, *stated.generator.value.events, *score.events)
    return folder, {
        **_entries(home, facts, folder, pages, walked.origin),
        "approval": Released(_approval(home, spec, facts.version)),
        "charged": Released(display.event_table(charged)),
        **{name: Released(picture) for name, picture in pictures.shown(drawn, only=("trust_map",)).items()},
    }


def _facts(walked: _Walked, stated: _Stated, score: ScoreOutcome) -> ReleaseFacts:
    """What the release states, with the ledger's head of this moment and the runs that made it: ways back from the release."""
    facts = stages.release_facts(
        walked.origin.walk,
        stated.generator.value,
        fingerprint=walked.origin.fingerprint,
        outcomes=stated.outcomes,
        rows=len(stated.table),
        audit=stated.audit,
        drift=walked.found.events,
        score=score.events,
        extra={**walked.found.lineage, **stages.score_facts(score.of(display.table_digest(stated.table)))},
    )
    head = asdict(open_ledger(walked.home.ledger).head())
    return replace(facts, ledger_head=head, links=walked.record.links())


def _require_base(home: Home, spec: Spec, found: Settled) -> None:
    """Stop where the release that this one builds on was withdrawn meanwhile."""
    if found.prior is not None and found.decision.kind in ("reuse", "resample", "refresh"):
        require_not_withdrawn(home, spec, found.prior)


def _record(record: WalkRecord, facts: ReleaseFacts, folder: Place, pages: Mapping[str, str]) -> None:
    """Note the release in MLflow, and close the walk's run there."""
    tags = {"release": Released(facts.version), "release.folder": Released(str(folder)), **_tags(pages)}
    guarantee = {"epsilon_composed": Released(facts.composed_epsilon), "delta": Released(facts.delta)}
    record.released(guarantee, tags)


def _entries(
    home: Home, facts: ReleaseFacts, folder: Place, pages: Mapping[str, str], origin: Origin
) -> dict[str, Entry]:
    """What is shown of a release that was made now."""
    history = open_ledger(home.ledger).history(facts.dataset)
    return {
        **_named(folder, facts.version),
        "epsilon": Released(facts.composed_epsilon),
        "delta": Released(facts.delta),
        **{name: Released(display.page(page)) for name, page in pages.items()},
        **column_lineage(facts.spec, "release"),
        "ledger": Released(display.ledger_table(history, origin.reservation)),
    }


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


def _approval(home: Home, spec: Spec, version: str) -> str:
    """What a release waits for, and how it gets it; or, where no person is to decide, what became of it."""
    dataset = spec.dataset
    if spec.release.approval == "auto":
        return approve_without_a_person(home, spec, f"{dataset}/{version}")
    return (
        "candidate: waits for a second person, with "
        f'`synth-pipeline approve {dataset}/{version} --key KEY --purpose "…"` or from the launchpad of {dataset}/approval'
    )


def _named(place: object, version: str) -> dict[str, Entry]:
    """Where a release lies, and its name."""
    return {"version": Released(version), "release": Released(dg.MetadataValue.path(str(place)))}


def _put_in_force(spec: Spec, home: Home, found: Settled, generator: Made[ReleasedModel]) -> None:
    """Note a release as the one in force, unless a later snapshot was released meanwhile, whose place it would take."""
    standing, walk = in_force(home, spec), generator.origin.walk
    if spec.drift is None or standing in (None, found.prior) or standing.snapshot == walk.snapshot:
        note_in_force(home, generator.value, walk=walk, rows=found.people(generator.value))
