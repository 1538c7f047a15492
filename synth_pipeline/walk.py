"""The whole walk, from a private table to a release, as plain functions: read this first.

    open_walk ─► take ─► profile ─► train ─► synthesize ─► validate ─► benchmark, attack ─► audit ─► assemble
     reserve    private  charged    charged   free          free       internal             free     released

Where drift is tested and a release is in force, the walk begins with a small charge, and what it finds decides what the rest is:

    open_drift_report ─► take ─► compare ─► decide ─► refit, refresh: open_walk and on as above
                                 charged              resample: new rows of the generator in force; reuse: the release in force stands

Each stage is one function; `run_walk` calls them one after another, and Dagster (see `orchestration`) calls the same ones from its assets,
each in a process of its own. Raw rows live in a `Snapshot` and go no further than a `Curator`; what `compare`, `profile` and `train` return
is released.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from synth_pipeline.audit.attack import AttackReport, attack_table
from synth_pipeline.audit.verdict import MechanismAudit, audit_mechanism, require_kept
from synth_pipeline.benchmark.measure import score
from synth_pipeline.benchmark.published import PublishedScore, measure_score, predictions
from synth_pipeline.benchmark.scorecard import Scorecard
from synth_pipeline.constrain.rules import Rules
from synth_pipeline.drift.calendar import next_renewal
from synth_pipeline.drift.measure import measure_drift
from synth_pipeline.drift.report import DriftReport
from synth_pipeline.drift.sparse_vector import SparseVectorState, above_threshold
from synth_pipeline.errors import LedgerError, ModelError, SynthPipelineError
from synth_pipeline.generate.engine_registry import engine_for
from synth_pipeline.generate.plan import SCORE_STAGE
from synth_pipeline.generate.protocol import Generator as TrainedGenerator
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.outcome import Prior, Profiled, Renewal, WalkResult
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.ledger.contract import ALL_COHORTS, Ledger
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.person import profiled_columns
from synth_pipeline.profile.refresh import refresh_profile
from synth_pipeline.profile.share import ROW_COUNT_SHARE
from synth_pipeline.release.balanced import rebalanced_table
from synth_pipeline.release.bundle import ReleaseFacts, write_bundle
from synth_pipeline.release.lineage import table_digest
from synth_pipeline.release.model import ReleasedModel, resolved_columns
from synth_pipeline.release.origin import release_facts, score_facts
from synth_pipeline.release.signer import Signer, require_usable
from synth_pipeline.report.release_page import release_report
from synth_pipeline.reserve import (
    Walk,
    give_back,
    given_back_unread,
    open_score,
    open_walk,
)
from synth_pipeline.settle import share_of
from synth_pipeline.snapshot.fingerprint import released_fingerprint
from synth_pipeline.snapshot.take import Snapshot, take_snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import Profile
from synth_pipeline.validate.evaluate import check, require_passed
from synth_pipeline.validate.expectation import Expectation
from synth_pipeline.validate.suite import build_suite

_LOG = logging.getLogger(__name__)

AUDITED_ROWS = 1_000
"""Rows of the released table on which the mechanism is audited."""

AUDIT_RUNS = 10_000
"""Transcripts, or canaries, of an audit."""


def take(walk: Walk, frame: pd.DataFrame, *, key: bytes, holdout: bool = True) -> Snapshot:
    """Check, bound and split a raw table; a refusal gives the reservation back, for nothing was answered.

    Raises:
        TableError: if the table does not hold what the specification declares.
    """
    try:
        return take_snapshot(frame, walk.spec, key=key, holdout=holdout)
    except SynthPipelineError:
        give_back(walk, "the snapshot was refused before any answer")
        raise


def compare(
    walk: Walk, snapshot: Snapshot, prior: Prior, *, progress: Callable[[str, float], None] | None = None
) -> DriftReport:
    """Compare a snapshot with the release in force under DP, and commit the report's charge to the ledger.

    Raises:
        LedgerError: if the walk did not reserve a drift report.
    """
    drift = walk.spec.drift
    if drift is None or not walk.is_drift_report or walk.plan.drift is None:
        raise LedgerError(f"{walk.spec.dataset}/{walk.snapshot}: no drift report was reserved for this walk")
    with walk.reading(snapshot, stage="drift_report") as (curator, _):
        report = measure_drift(curator, prior.baseline, drift, progress=progress)
        walk.commit(curator.events)
    return report


def watch(
    walk: Walk,
    snapshot: Snapshot,
    prior: Prior,
    state: SparseVectorState | None,
    *,
    keep: Callable[[SparseVectorState], None],
) -> DriftReport:
    """Compare a snapshot with the release in force under a noisy threshold; charged where it begins an epoch, else paid for already.

    Args:
        walk: the walk, whose reservation is the epoch's.
        snapshot: the fresh snapshot.
        prior: the release in force.
        state: the epoch; None begins one.
        keep: stores the epoch in the private store; called before the answer is shown to anybody.
    """
    drift = walk.spec.drift
    if drift is None or not walk.is_drift_report:
        raise LedgerError(f"{walk.spec.dataset}/{walk.snapshot}: no drift report was reserved for this walk")
    if state is None:
        walk.require_new_epoch()
    until = next_renewal(walk.spec, datetime.now(UTC).date())
    with walk.reading(snapshot, stage="drift_report") as (curator, _):
        report, after = above_threshold(curator, prior.baseline, drift, state, snapshot=walk.snapshot, until=until)
        keep(after)
        walk.commit(report.events)  # of an epoch that this walk began also where its answer was stored before
    return report


def profile(
    walk: Walk, snapshot: Snapshot, *, renewal: Renewal | None = None, runtime: RuntimeConfig | None = None
) -> Profiled:
    """Measure the row count and every column, or in a refresh those that changed; charged."""
    with walk.reading(snapshot, stage="profile", runtime=runtime) as (curator, own):
        released = _profiled(walk, curator, snapshot, renewal=renewal, progress=own.report)
    for warning in released.warnings:
        _LOG.warning("%s", warning)
    return Profiled(released, curator.events)


def _profiled(
    walk: Walk,
    curator: Curator,
    snapshot: Snapshot,
    *,
    renewal: Renewal | None,
    progress: Callable[[str, float], None],
) -> Profile:
    share, columns = engine_for(walk.plan.generator).profile_share, profiled_columns(walk.spec, snapshot.dtypes)
    if renewal is None:
        return build_profile(curator, columns, share=share, progress=progress)
    from synth_pipeline.generate.maxent.sharpen import sharpened  # loads torch

    report, cost = renewal.report, ROW_COUNT_SHARE * curator.budget.cost
    prior = renewal.prior.model
    return refresh_profile(
        curator,
        sharpened(prior.profile, getattr(prior.generator, "measured", ())),
        columns,
        changed=renewal.changed,
        fresh={} if report is None else report.fresh,
        rows=curator.count_rows(cost=cost, stage="profile", purpose="row count") if report is None else report.rows,
        share=share,
    )


def train(
    walk: Walk,
    snapshot: Snapshot,
    profiled: Profiled,
    *,
    renewal: Renewal | None = None,
    runtime: RuntimeConfig | None = None,
) -> ReleasedModel:
    """Train the generator on what is left of the budget, and commit the walk to the ledger."""
    with walk.reading(snapshot, stage="generator", spent=profiled.events, runtime=runtime) as (curator, own):
        generator = _trained(walk, curator, profiled, renewal=renewal, runtime=own)
        walk.commit(curator.events)
    share = 1.0 if renewal is None else share_of(walk.spec, "refresh")
    return ReleasedModel(walk.spec.in_order(snapshot.dtypes), profiled.profile, generator, snapshot.dtypes, share)


def _trained(
    walk: Walk, curator: Curator, profiled: Profiled, *, renewal: Renewal | None, runtime: RuntimeConfig
) -> TrainedGenerator:
    engine = engine_for(walk.plan.generator)
    rules = Rules.from_spec(walk.spec).compile(resolved_columns(walk.spec, profiled.profile))
    options = {"budget": walk.plan.budget, "runtime": replace(runtime, rules=rules.tables)}
    config = engine.make_config(walk.spec)
    if renewal is None:
        return engine.fit(curator, profiled.profile, config, **options)
    if engine.refresh is None:
        raise ModelError(f"generator.kind: {engine.kind} cannot be refreshed; use drift.on_drift: refit")
    prior = renewal.prior.model.generator
    return engine.refresh(curator, profiled.profile, config, prior=prior, changed=renewal.changed, **options)


def synthesize(model: ReleasedModel, *, rows: int | None = None, seed: int | None = None) -> pd.DataFrame:
    """The synthetic table: as many rows as the specification says (`match`: the noisy row count), or as asked."""
    if rows is None:
        rows = model.profile.row_count if model.spec.rows == "match" else int(model.spec.rows)
    return model.sample(rows, seed=seed)


def expectations(model: ReleasedModel, *, rows: int) -> tuple[Expectation, ...]:
    """What the synthetic table must satisfy, from the specification and the released profile."""
    return build_suite(model.spec, model.row_profile, rows=rows)


def benchmark(
    snapshot: Snapshot,
    synthetic: pd.DataFrame,
    spec: Spec,
    *,
    rebalanced: pd.DataFrame | None = None,
    progress: Callable[[str], None] | None = None,
) -> Scorecard:
    """Scores of the synthetic table, and of a rebalanced one by group, against training and holdout rows; internal."""
    if snapshot.holdout is None:
        raise LedgerError("benchmark: this snapshot was taken without a holdout; take it again with one")
    return score(snapshot.train, snapshot.holdout, synthetic, spec, rebalanced=rebalanced, progress=progress)


def publish_score(walk: Walk, snapshot: Snapshot, synthetic: pd.DataFrame) -> PublishedScore:
    """The accuracy on held-out people of a classifier trained on the synthetic table, measured under DP; charged, and released.

    Raises:
        LedgerError: if the walk reserved no score, or the snapshot was taken without a holdout.
    """
    target = walk.spec.benchmark.target if walk.spec.benchmark else ""
    if snapshot.holdout is None or not walk.is_score:
        raise LedgerError(f"{walk.spec.dataset}/{walk.snapshot}: no published score was reserved for this walk")
    native = predictions(synthetic, snapshot.holdout, walk.spec)
    scored = replace(snapshot, native=native, fingerprint=f"{snapshot.fingerprint}:{table_digest(synthetic)}")
    with walk.reading(scored, stage=SCORE_STAGE) as (curator, _):
        found = measure_score(curator, target, stage=SCORE_STAGE)
        walk.commit(found.events)
    return found


def attack(
    snapshot: Snapshot, synthetic: pd.DataFrame, spec: Spec, *, progress: Callable[[str], None] | None = None
) -> AttackReport:
    """Attacks on the synthetic table, with people of the holdout as their control; internal, and never a gate."""
    if snapshot.holdout is None:
        raise LedgerError("attack: this snapshot was taken without a holdout; take it again with one")
    return attack_table(snapshot.train, snapshot.holdout, synthetic, spec, progress=progress)


def audit(
    spec: Spec,
    table: pd.DataFrame,
    *,
    runs: int = AUDIT_RUNS,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> MechanismAudit:
    """A lower bound on the walk's ε, from its own mechanism run on a table that needs no protection; charged to nobody.

    Args:
        spec: the dataset's specification.
        table: a released table, such as the synthetic one; the first few hundred rows serve, because the claim hangs on no table.
        runs: transcripts, or canaries, that the bound rests on.
        seed: of who is left out; the noise is not seeded.
        progress: told how far the audit is.
    """
    return audit_mechanism(spec, table.head(AUDITED_ROWS), runs=runs, seed=seed, progress=progress)


def fit(
    spec: Spec,
    data: pd.DataFrame,
    *,
    ledger: Ledger,
    key: bytes | None = None,
    runtime: RuntimeConfig | None = None,
) -> ReleasedModel:
    """Profile and train on all rows of a table, without Dagster and without a holdout; charges the ledger.

    The charge goes to every cohort of the dataset, because a table in memory does not say which snapshot it is.

    Args:
        spec: the dataset's specification.
        data: the private table.
        ledger: where it is charged.
        key: secret of the keyed choice of rows where people have many; default: a fresh one.
        runtime: device, seed of post-processing, progress.

    Raises:
        BudgetRefused: before any row is read, if the cap would be passed.
        TableError: if the table does not hold what the specification declares; nothing is charged then.
    """
    walk_id = uuid.uuid4().hex
    walk = open_walk(spec, snapshot=f"fit-{walk_id[:12]}", ledger=ledger, walk_id=walk_id, cohort=ALL_COHORTS)
    with given_back_unread(walk):
        snapshot = take(walk, data, key=key or uuid.uuid4().bytes + uuid.uuid4().bytes, holdout=False)
        return train(walk, snapshot, profile(walk, snapshot, runtime=runtime), runtime=runtime)


def run_walk(  # noqa: PLR0913  (places and secrets, each by its name)
    spec: Spec,
    data: pd.DataFrame,
    *,
    snapshot: str,
    ledger: Ledger,
    key: bytes,
    releases: Path,
    signer: Signer | None = None,
) -> WalkResult:
    """The whole walk in this process.

    Args:
        spec: the dataset's specification.
        data: the private table.
        snapshot: name of the snapshot.
        ledger: where it is charged.
        key: secret of splits and fingerprints.
        releases: folder of release bundles.
        signer: who signs the release; without one it is unsigned, and says so.

    Raises:
        BudgetRefused: before any row is read.
        SigningError: before any row is read, if the signer's key cannot be used.
        CheckFailed: if a blocking expectation failed or the audit contradicts ε; no release is written, the budget stays spent.
    """
    require_usable(signer)
    walk = open_walk(spec, snapshot=snapshot, ledger=ledger, walk_id=uuid.uuid4().hex)
    with given_back_unread(walk):
        taken = take(walk, data, key=key)
        model = train(walk, taken, profile(walk, taken))
    synthetic = synthesize(model)
    outcomes = check(synthetic, expectations(model, rows=len(synthetic)))
    require_passed(outcomes)
    scorecard = benchmark(taken, synthetic, spec, rebalanced=rebalanced_table(model, synthetic, spec))
    published = None
    if walk.plan.score is not None:
        reserved = open_score(spec, snapshot=snapshot, ledger=ledger, walk_id=walk.key.walk_id)
        with given_back_unread(reserved):
            published = publish_score(reserved, taken, synthetic)
    audited = audit(model.spec, synthetic)
    require_kept(audited)
    facts = release_facts(
        walk.key,
        model,
        fingerprint=released_fingerprint(taken.fingerprint, dataset=spec.dataset, snapshot=snapshot, key=key),
        outcomes=outcomes,
        rows=len(synthetic),
        audit=audited,
        score=() if published is None else published.events,
        extra=score_facts(published),
    )
    facts = replace(facts, ledger_head=asdict(ledger.head()))
    folder = assemble(facts, synthetic, releases=releases, signer=signer)
    return WalkResult(model, synthetic, outcomes, scorecard, audited, folder, facts.composed_epsilon)


def assemble(facts: ReleaseFacts, synthetic: pd.DataFrame, *, releases: Path, signer: Signer | None = None) -> Path:
    """Write the release bundle, with its publishable report, signed where somebody signs; whole or not at all."""
    facts = replace(facts, signed_by=None if signer is None else signer.key_id)
    folder = releases / facts.dataset / facts.version
    return write_bundle(folder, facts, synthetic, report=release_report(facts, synthetic), signer=signer)
