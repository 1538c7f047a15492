"""The whole walk, from a private table to a release, as plain functions: read this first.

    open_walk ─► take ─► profile ─► train ─► synthesize ─► validate ─► benchmark, attack ─► audit ─► assemble
     reserve    private  charged    charged   free          free       internal             free     released

Each stage is one function; `run_walk` calls them one after another, and Dagster (see `orchestration`) calls the same ones from its assets,
each in a process of its own. Raw rows live in a `Snapshot` and go no further than a `Curator`; what `profile` and `train` return is
released.
"""

import logging
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from synth_pipeline.audit.attack import AttackReport, attack_table
from synth_pipeline.audit.verdict import MechanismAudit, audit_mechanism
from synth_pipeline.benchmark.measure import score
from synth_pipeline.benchmark.scorecard import Scorecard
from synth_pipeline.constrain.rules import Rules
from synth_pipeline.encode.identifier import check_providers
from synth_pipeline.errors import CheckFailed, LedgerError, SynthPipelineError
from synth_pipeline.generate.engine_registry import engine_for
from synth_pipeline.generate.plan import Plan, make_plan
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.ledger.contract import ALL_COHORTS, Ledger, Reservation, WalkKey
from synth_pipeline.privacy.ledger.declared import blocks_of, cap_of
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.person import profiled_columns
from synth_pipeline.release.bundle import ReleaseFacts, write_bundle
from synth_pipeline.release.model import ReleasedModel, resolved_columns
from synth_pipeline.release.origin import code_version, release_facts
from synth_pipeline.report.release_page import release_report
from synth_pipeline.snapshot.take import Snapshot, take_snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import Profile
from synth_pipeline.validate.evaluate import check
from synth_pipeline.validate.expectation import Expectation, Outcome
from synth_pipeline.validate.suite import build_suite

_LOG = logging.getLogger(__name__)

AUDITED_ROWS = 1_000
"""Rows of the released table on which the mechanism is audited."""

AUDIT_RUNS = 10_000
"""Transcripts, or canaries, of an audit."""


@dataclass(frozen=True)
class Walk:
    """A walk whose budget is reserved.

    Attributes:
        spec: the dataset's specification.
        snapshot: name of the snapshot (its partition key).
        plan: what it may charge.
        ledger: where it is charged.
        reservation: its place in the ledger.
    """

    spec: Spec
    snapshot: str
    plan: Plan
    ledger: Ledger
    reservation: Reservation

    @property
    def key(self) -> WalkKey:
        """What makes this walk the same walk in another process."""
        return self.reservation.key

    def curator(self, snapshot: Snapshot, *, stage: str, spent: Sequence[Event] = ()) -> Curator:
        """A curator over a snapshot's training rows, charged to this walk."""
        unit = PrivacyUnit(self.spec.privacy.unit.column, self.spec.privacy.unit.max_rows)
        return Curator(
            snapshot.native,
            unit=unit,
            budget=self.plan.budget,
            spent=spent,
            before_first_answer=lambda: self.ledger.mark_read(self.reservation, stage=stage),
        )


@dataclass(frozen=True)
class Profiled:
    """What the profile stage releases.

    Attributes:
        profile: the released profile.
        events: the DP events that it ran.
    """

    profile: Profile
    events: tuple[Event, ...]


@dataclass(frozen=True)
class WalkResult:
    """Where a walk ended.

    Attributes:
        model: the released model.
        synthetic: the synthetic table.
        outcomes: outcome of each expectation.
        scorecard: scores on real rows; internal.
        audit: the measured lower bound on ε, beside the claim.
        release: folder of the bundle.
        epsilon: ε that is proven for the release, that of the plan.
    """

    model: ReleasedModel
    synthetic: pd.DataFrame
    outcomes: tuple[Outcome, ...]
    scorecard: Scorecard
    audit: MechanismAudit
    release: Path
    epsilon: float


def check_spec(spec: Spec) -> None:
    """Everything about a specification that can be wrong before a file is opened: rules, invented columns.

    Raises:
        PredicateError: if a constraint does not parse or names no column.
        ConstraintError: if constraints contradict one another.
        SpecError: if an identifier's provider is unknown.
    """
    Rules.from_spec(spec).compile(spec.modelled)
    check_providers(spec.identifiers)


def open_walk(spec: Spec, *, snapshot: str, ledger: Ledger, walk_id: str, cohort: str | None = None) -> Walk:
    """Plan a walk from public facts and reserve its budget, before any row is read.

    Args:
        spec: the dataset's specification.
        snapshot: name of the snapshot; the specification's cohorts say which blocks of people it touches.
        ledger: where it is charged.
        walk_id: identity of this attempt; a repeat with the same one finds its own reservation while nothing was read.
        cohort: block of people to charge; default: those that the specification says, else everyone.

    Raises:
        BudgetRefused: if the cap would be passed; the ledger is unchanged.
    """
    check_spec(spec)
    plan = make_plan(spec)
    blocks = blocks_of(spec, snapshot) if cohort is None else cohort
    reservation = ledger.reserve(_walk_key(spec, snapshot, walk_id), plan.charge(), cap=cap_of(spec), cohort=blocks)
    return Walk(spec, snapshot, plan, ledger, reservation)


def resume_walk(spec: Spec, *, snapshot: str, ledger: Ledger, walk_id: str) -> Walk:
    """The walk that another process opened, by the same specification and the same code.

    Raises:
        LedgerError: if there is none, or its budget is spent already.
    """
    record = ledger.find(_walk_key(spec, snapshot, walk_id))
    if record is None or record.status == "committed":
        state = _why_gone(ledger, spec.dataset, walk_id) if record is None else "is spent already in the ledger"
        raise LedgerError(
            f"{spec.dataset}/{snapshot}: this walk {state}; start again from {spec.dataset}/real_snapshot, which reserves anew"
        )
    return Walk(spec, snapshot, make_plan(spec), ledger, record.reservation)


def _why_gone(ledger: Ledger, dataset: str, walk_id: str) -> str:
    """Why a walk that was opened is not found under its key."""
    held = [r.reservation for r in ledger.walks(dataset) if r.reservation.key.walk_id == walk_id and r.closed is None]
    if not held:
        return "has no reservation in the ledger"
    return f"was opened (reservation {held[-1].number}) by another version of the specification or of this program"


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


def give_back(walk: Walk, reason: str) -> None:
    """Release a reservation of which nothing was read."""
    record = walk.ledger.find(walk.key)
    if record is not None and record.status == "reserved":
        walk.ledger.release(walk.reservation, reason)


@contextmanager
def given_back_unread(walk: Walk) -> Generator[None]:
    """Whatever ends the block before the first answer, an interrupt too, gives the reservation back; what was read stays charged."""
    try:
        yield
    except BaseException:
        with suppress(LedgerError):  # out of reach, or another process was first: what ended the block is what is told
            give_back(walk, "the walk ended before anything was read")
        raise


def profile(walk: Walk, snapshot: Snapshot, *, runtime: RuntimeConfig | None = None) -> Profiled:
    """Measure the row count and every column; charged."""
    engine = engine_for(walk.plan.generator)
    curator = walk.curator(snapshot, stage="profile")
    progress = (runtime or RuntimeConfig()).report
    columns = profiled_columns(walk.spec, snapshot.dtypes)
    released = build_profile(curator, columns, share=engine.profile_share, progress=progress)
    for warning in released.warnings:
        _LOG.warning("%s", warning)
    return Profiled(released, curator.events)


def train(walk: Walk, snapshot: Snapshot, profiled: Profiled, *, runtime: RuntimeConfig | None = None) -> ReleasedModel:
    """Train the generator on what is left of the budget, and commit the walk to the ledger."""
    engine = engine_for(walk.plan.generator)
    curator = walk.curator(snapshot, stage="generator", spent=profiled.events)
    rules = Rules.from_spec(walk.spec).compile(resolved_columns(walk.spec, profiled.profile))
    generator = engine.fit(
        curator,
        profiled.profile,
        engine.make_config(walk.spec),
        budget=walk.plan.budget,
        runtime=replace(runtime or RuntimeConfig(), rules=rules.tables),
    )
    walk.ledger.commit(walk.reservation, curator.events, walk.plan.epsilon)
    return ReleasedModel(walk.spec.in_order(snapshot.dtypes), profiled.profile, generator, snapshot.dtypes)


def synthesize(model: ReleasedModel, *, rows: int | None = None, seed: int | None = None) -> pd.DataFrame:
    """The synthetic table: as many rows as the specification says (`match`: the noisy row count), or as asked."""
    if rows is None:
        rows = model.profile.row_count if model.spec.rows == "match" else int(model.spec.rows)
    return model.sample(rows, seed=seed)


def expectations(model: ReleasedModel, *, rows: int) -> tuple[Expectation, ...]:
    """What the synthetic table must satisfy, from the specification and the released profile."""
    return build_suite(model.spec, model.row_profile, rows=rows)


def benchmark(
    snapshot: Snapshot, synthetic: pd.DataFrame, spec: Spec, *, progress: Callable[[str], None] | None = None
) -> Scorecard:
    """Scores of the synthetic table against training and holdout rows; internal."""
    if snapshot.holdout is None:
        raise LedgerError("benchmark: this snapshot was taken without a holdout; take it again with one")
    return score(snapshot.train, snapshot.holdout, synthetic, spec, progress=progress)


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


def run_walk(
    spec: Spec, data: pd.DataFrame, *, snapshot: str, ledger: Ledger, key: bytes, releases: Path
) -> WalkResult:
    """The whole walk in this process.

    Args:
        spec: the dataset's specification.
        data: the private table.
        snapshot: name of the snapshot.
        ledger: where it is charged.
        key: secret of splits and fingerprints.
        releases: folder of release bundles.

    Raises:
        BudgetRefused: before any row is read.
        CheckFailed: if a blocking expectation failed or the audit contradicts ε; no release is written, the budget stays spent.
    """
    walk = open_walk(spec, snapshot=snapshot, ledger=ledger, walk_id=uuid.uuid4().hex)
    with given_back_unread(walk):
        taken = take(walk, data, key=key)
        model = train(walk, taken, profile(walk, taken))
    synthetic = synthesize(model)
    outcomes = check(synthetic, expectations(model, rows=len(synthetic)))
    require_passed(outcomes)
    scorecard = benchmark(taken, synthetic, spec)
    audited = audit(model.spec, synthetic)
    require_kept(audited)
    facts = release_facts(
        walk.key, model, fingerprint=taken.fingerprint, outcomes=outcomes, rows=len(synthetic), audit=audited
    )
    folder = assemble(facts, synthetic, releases=releases)
    return WalkResult(model, synthetic, outcomes, scorecard, audited, folder, facts.composed_epsilon)


def assemble(facts: ReleaseFacts, synthetic: pd.DataFrame, *, releases: Path) -> Path:
    """Write the release bundle, with its publishable report; whole or not at all."""
    return write_bundle(
        releases / facts.dataset / facts.version, facts, synthetic, report=release_report(facts, synthetic)
    )


def require_passed(outcomes: Sequence[Outcome]) -> None:
    """Stop where a blocking expectation failed.

    Raises:
        CheckFailed: naming every one that did.
    """
    failed = [outcome.expectation.name for outcome in outcomes if outcome.is_blocking_failure]
    if failed:
        raise CheckFailed(
            f"validation: {len(failed)} blocking expectation(s) failed: {', '.join(failed)}; no release was written"
        )


def require_kept(audited: MechanismAudit) -> None:
    """Stop where the audit shows that the mechanism does not keep its ε.

    Raises:
        CheckFailed: with what was found.
    """
    if audited.is_contradiction:
        raise CheckFailed(f"audit: {audited.summary}; no release was written: do not hand out anything of this walk")


def _walk_key(spec: Spec, snapshot: str, walk_id: str) -> WalkKey:
    return WalkKey(spec.dataset, snapshot, spec.digest, code_version(), walk_id)
