"""A walk whose budget is reserved: how it is opened before any row is read, found again by another process, and given back.

Belongs here: the walk's side of the ledger. Does not: its stages (walk), or the ledger's rules (privacy.ledger).

A walk with a published score has one more reservation, under its id and `SCORE_SUFFIX`, when the table is there to be scored.

A walk with a drift report has two reservations: the report's, under the walk's id and `DRIFT_SUFFIX`, before the snapshot is opened; and
that of profile and generator, under the walk's id, once the report has said whether they are needed. A report under a threshold that is
already paid for (an epoch, see `drift.sparse_vector`) goes on under the epoch's reservation, and charges nothing.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from synth_pipeline.constrain.rules import Rules
from synth_pipeline.encode.identifier import check_providers
from synth_pipeline.errors import LedgerError, SpecError
from synth_pipeline.generate.engine_registry import chosen_kind, engine_for
from synth_pipeline.generate.plan import SCORE_STAGE, Plan, SidePlan, make_plan
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.journal import AnswerJournal, StageKey, has_journal, open_journal, remove_journals
from synth_pipeline.privacy.ledger.contract import ALL_COHORTS, Charge, Ledger, Reservation, WalkKey
from synth_pipeline.privacy.ledger.declared import blocks_of, cap_of, charge_of
from synth_pipeline.privacy.noise import SecureNoise
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.release.origin import code_version
from synth_pipeline.snapshot.take import Snapshot
from synth_pipeline.spec import Spec

DRIFT_SUFFIX = ":drift"
"""What the walk id of a drift report's reservation ends with."""

COLUMNS_SUFFIX = ":columns"
"""What stands before it where the report measures columns after an alarm."""

SCORE_SUFFIX = ":score"
"""What the walk id of a published score's reservation ends with."""


@dataclass(frozen=True)
class Walk:
    """A walk whose budget is reserved: that of profile and generator, of the drift report before them, or of the score after them.

    Attributes:
        spec: the dataset's specification.
        snapshot: name of the snapshot (its partition key).
        plan: what the whole walk may charge.
        ledger: where it is charged.
        reservation: its place in the ledger.
        journals: folder of answer journals, in the private zone; None: a stage that is cut off after an answer cannot be gone on with.
        named: the walk's own key, where the reservation is an epoch's that another walk began; None: the reservation's.
    """

    spec: Spec
    snapshot: str
    plan: Plan
    ledger: Ledger
    reservation: Reservation
    journals: Path | None = None
    named: WalkKey | None = None

    @property
    def key(self) -> WalkKey:
        """What makes this walk the same walk in another process; the same for its drift report as for what follows it."""
        key = self.named or self.reservation.key
        return replace(key, walk_id=root_walk_id(key.walk_id))

    @property
    def is_drift_report(self) -> bool:
        """Whether what is reserved is the drift report's."""
        return self.reservation.key.walk_id.endswith(DRIFT_SUFFIX)

    @property
    def is_score(self) -> bool:
        """Whether what is reserved is the published score's."""
        return self.reservation.key.walk_id.endswith(SCORE_SUFFIX)

    @property
    def budget(self) -> Budget:
        """What may be spent under the reservation."""
        return self.plan.budget if self._side is None else self._side.budget

    @property
    def epsilon(self) -> float:
        """Composed ε of what is reserved."""
        return self.plan.training_epsilon if self._side is None else self._side.epsilon

    @property
    def _side(self) -> SidePlan | None:
        """The part of the plan beside profile and generator that is reserved; None where theirs is."""
        if self.is_drift_report:
            return self.plan.drift
        return self.plan.score if self.is_score else None

    @contextmanager
    def reading(
        self, snapshot: Snapshot, *, stage: str, spent: Sequence[Event] = (), runtime: RuntimeConfig | None = None
    ) -> Generator[tuple[Curator, RuntimeConfig]]:
        """A curator over a snapshot's training rows for one stage, charged to this walk, and the stage's runtime.

        Where there are journals, a stage that was cut off is gone on with: it gets the answers and the seed that it had.

        Raises:
            LedgerError: if another process is at this stage, or what it goes on with is about something else.
        """
        runtime = runtime or RuntimeConfig()
        if self.journals is None:
            yield self.curator(snapshot, stage=stage, spent=spent), runtime
            return
        whose = self.reservation.key if self.named is None else drift_key(self.named)
        key = StageKey(whose, self.reservation.number, stage, snapshot.fingerprint)
        with open_journal(self.journals, key, seed=runtime.seed) as journal:
            curator = self.curator(snapshot, stage=stage, spent=spent, journal=journal)
            yield curator, replace(runtime, seed=journal.seed)

    def curator(
        self, snapshot: Snapshot, *, stage: str, spent: Sequence[Event] = (), journal: AnswerJournal | None = None
    ) -> Curator:
        """A curator over a snapshot's training rows, charged to this walk."""
        unit = PrivacyUnit(self.spec.privacy.unit.column, self.spec.privacy.unit.max_rows)
        desk = Desk(
            unit=unit,
            budget=self.budget,
            spent=spent,
            noise=SecureNoise(),
            before_first_answer=lambda: self._announce(stage, journal),
            journal=journal,
        )
        return Curator.at_desk(snapshot.native, desk)

    def commit(self, events: Sequence[Event]) -> None:
        """Record what ran and close the reservation; once, however often a stage is run again after it, and asks the same or nothing.

        Raises:
            LedgerError: if it is closed with other events.
        """
        if self.named is not None:  # an epoch's charge was committed when it began
            return
        record = self.ledger.find(self.reservation.key)
        if record is None or record.status != "committed":
            self.ledger.commit(self.reservation, events, self.epsilon)
        elif events and record.realised != tuple(events):
            raise LedgerError(
                f"{self.spec.dataset}/{self.snapshot}: reservation {self.reservation.number} is committed with other events than this "
                f"run's; start again from {self.spec.dataset}/real_snapshot, which reserves anew"
            )

    def require_new_epoch(self) -> None:
        """Refuse to begin an epoch where none is paid for: under another walk's charge, or one that an epoch has begun under before.

        That one's answers are not in the store any more, so it may have ended; its threshold must answer nothing again.

        Raises:
            LedgerError: if so.
        """
        record = self.ledger.find(self.reservation.key)
        if self.named is not None or record is None or record.status == "committed":
            raise LedgerError(
                f"{self.spec.dataset}/{self.snapshot}: the threshold that this walk was compared with is no longer in force; start again "
                f"from {self.spec.dataset}/real_snapshot, which reserves anew"
            )

    def _announce(self, stage: str, journal: AnswerJournal | None) -> None:
        """Tell the ledger that rows are about to be read; a stage that goes on with its journal has told it before."""
        if self.named is not None:
            return
        if journal is not None and journal.is_resumed:
            record = self.ledger.find(self.reservation.key)
            if record is not None and record.closed is None and stage in record.stages_read:
                return
        self.ledger.mark_read(self.reservation, stage=stage)


def check_spec(spec: Spec) -> None:
    """Everything about a specification that can be wrong before a file is opened: rules, invented columns, what drift asks of the engine.

    Raises:
        PredicateError: if a constraint does not parse or names no column.
        ConstraintError: if constraints contradict one another.
        SpecError: if an identifier's provider is unknown, or the engine cannot be refreshed where that is asked for.
    """
    Rules.from_spec(spec).compile(spec.modelled)
    check_providers(spec.identifiers)
    if spec.drift is not None and spec.drift.on_drift == "refresh":
        engine = engine_for(chosen_kind(spec))
        if engine.refresh is None:
            raise SpecError(
                f"drift.on_drift: {engine.kind} cannot be refreshed; use refit, or generator.kind: auto, maxent, hybrid or mixture"
            )


def open_walk(
    spec: Spec, *, snapshot: str, ledger: Ledger, walk_id: str, cohort: str | None = None, share: float = 1.0
) -> Walk:
    """Plan a walk from public facts and reserve the budget of its profile and generator, before any row is read for them.

    Args:
        spec: the dataset's specification.
        snapshot: name of the snapshot; the specification's cohorts say which blocks of people it touches.
        ledger: where it is charged.
        walk_id: identity of this attempt; a repeat with the same one finds its own reservation while nothing was read.
        cohort: block of people to charge; default: those that the specification says, else everyone.
        share: share of ε that is reserved; a refresh spends less than a refit.

    Raises:
        BudgetRefused: if the cap would be passed; the ledger is unchanged.
    """
    check_spec(spec)
    plan = make_plan(spec, share=share)
    blocks = blocks_of(spec, snapshot) if cohort is None else cohort
    reservation = ledger.reserve(
        _walk_key(spec, snapshot, walk_id), charge_of(spec, plan.charge()), cap=cap_of(spec), cohort=blocks
    )
    return Walk(spec, snapshot, plan, ledger, reservation)


def open_drift_report(
    spec: Spec,
    *,
    snapshot: str,
    ledger: Ledger,
    walk_id: str,
    is_second: bool = False,
    journals: Path | None = None,
) -> Walk:
    """Reserve the budget of a walk's drift report, before any row is read.

    Args:
        spec: the dataset's specification.
        snapshot: name of the snapshot.
        ledger: where it is charged; an epoch is charged to everyone, because later snapshots may hold anybody.
        walk_id: identity of the walk.
        is_second: whether it follows an alarm that does not say which columns drifted, and measures them.
        journals: folder of answer journals.

    Raises:
        BudgetRefused: if the cap would be passed; the ledger is unchanged.
        SpecError: if the specification asks for none.
    """
    check_spec(spec)
    plan = make_plan(spec)
    if plan.drift is None:
        raise SpecError(f"{spec.dataset}: no drift report is asked for; add the section `drift`, with mode test")
    key = drift_key(_walk_key(spec, snapshot, walk_id), is_second=is_second)
    is_epoch = spec.drift is not None and spec.drift.mode == "sparse_vector" and not is_second
    blocks = ALL_COHORTS if is_epoch else blocks_of(spec, snapshot)
    reservation = ledger.reserve(key, charge_of(spec, plan.drift.charge()), cap=cap_of(spec), cohort=blocks)
    return Walk(spec, snapshot, plan, ledger, reservation, journals)


def open_score(spec: Spec, *, snapshot: str, ledger: Ledger, walk_id: str, journals: Path | None = None) -> Walk:
    """Reserve the budget of a walk's published score, or find it again, before any held-out row is read for it.

    Raises:
        BudgetRefused: if the cap would be passed; the ledger is unchanged.
        SpecError: if the specification asks for none.
        LedgerError: if the score was measured before, and its answer is not there to be given again.
    """
    plan = make_plan(spec)
    if plan.score is None:
        raise SpecError(f"{spec.dataset}: no published score is asked for; add benchmark.publish")
    key = score_key(_walk_key(spec, snapshot, walk_id))
    record = ledger.find(key)
    if journals is not None and (record is None or record.status == "reserved"):
        remove_journals(
            journals, key
        )  # begun before anything was read: it holds no answer, and may be about another table
    if record is not None and (record.closed is None or has_journal(journals, key, SCORE_STAGE)):
        return Walk(spec, snapshot, plan, ledger, record.reservation, journals)
    reservation = ledger.reserve(
        key, charge_of(spec, plan.score.charge()), cap=cap_of(spec), cohort=blocks_of(spec, snapshot)
    )
    return Walk(spec, snapshot, plan, ledger, reservation, journals)


def under_epoch(
    spec: Spec, *, snapshot: str, ledger: Ledger, walk_id: str, epoch: WalkKey, journals: Path | None = None
) -> Walk:
    """The drift report of a walk under a threshold that an earlier walk paid for.

    Raises:
        LedgerError: if the ledger does not hold that charge.
    """
    record = ledger.find(epoch)
    if record is None or record.status != "committed":
        raise LedgerError(
            f"{spec.dataset}/{snapshot}: the ledger does not hold the charge of the threshold that snapshots are compared with; "
            "restore the ledger, or remove the epoch from the private store, which begins another one with a new charge"
        )
    own = _walk_key(spec, snapshot, walk_id)
    return Walk(spec, snapshot, make_plan(spec), ledger, record.reservation, journals, own)


def resume_walk(
    spec: Spec, *, snapshot: str, ledger: Ledger, walk_id: str, share: float = 1.0, journals: Path | None = None
) -> Walk:
    """The walk that another process opened, by the same specification and the same code.

    Raises:
        LedgerError: if there is none, or its budget is spent already; a generator whose result was not stored yet may be made again from
            its journal.
    """
    key = _walk_key(spec, snapshot, walk_id)
    record = ledger.find(key)
    if record is None or (record.status == "committed" and not has_journal(journals, key, "generator")):
        state = _why_gone(ledger, spec.dataset, walk_id) if record is None else "is spent already in the ledger"
        raise LedgerError(
            f"{spec.dataset}/{snapshot}: this walk {state}; start again from {spec.dataset}/real_snapshot, which reserves anew"
        )
    return Walk(spec, snapshot, make_plan(spec, share=share), ledger, record.reservation, journals)


def resume_drift_report(
    spec: Spec,
    *,
    snapshot: str,
    ledger: Ledger,
    walk_id: str,
    is_second: bool = False,
    journals: Path | None = None,
) -> Walk | None:
    """The drift report that a walk reserved, or None where it went without one."""
    record = ledger.find(drift_key(_walk_key(spec, snapshot, walk_id), is_second=is_second))
    return None if record is None else Walk(spec, snapshot, make_plan(spec), ledger, record.reservation, journals)


def drift_key(key: WalkKey, *, is_second: bool = False) -> WalkKey:
    """The key of a walk's drift report in the ledger, or of the second one, which follows an alarm."""
    return replace(key, walk_id=key.walk_id + (COLUMNS_SUFFIX if is_second else "") + DRIFT_SUFFIX)


def score_key(key: WalkKey) -> WalkKey:
    """The key of a walk's published score in the ledger."""
    return replace(key, walk_id=key.walk_id + SCORE_SUFFIX)


def has_reserved(spec: Spec, charge: Charge, *, snapshot: str, ledger: Ledger, walk_id: str) -> bool:
    """Whether a walk holds a reservation of just this charge for its profile and generator."""
    record = ledger.find(_walk_key(spec, snapshot, walk_id))
    return record is not None and record.closed is None and record.reservation.charge == charge


def root_walk_id(walk_id: str) -> str:
    """The walk that a reservation belongs to: the same for a drift report as for what follows it."""
    return walk_id.partition(":")[0]


def _why_gone(ledger: Ledger, dataset: str, walk_id: str) -> str:
    """Why a walk that was opened is not found under its key."""
    held = [r.reservation for r in ledger.walks(dataset) if r.reservation.key.walk_id == walk_id and r.closed is None]
    if not held:
        return "has no reservation in the ledger"
    return f"was opened (reservation {held[-1].number}) by another version of the specification or of this program"


def give_back(walk: Walk, reason: str) -> None:
    """Release a reservation of which nothing was read."""
    record = walk.ledger.find(walk.reservation.key)
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


def _walk_key(spec: Spec, snapshot: str, walk_id: str) -> WalkKey:
    return WalkKey(spec.dataset, snapshot, spec.digest, code_version(), walk_id)
