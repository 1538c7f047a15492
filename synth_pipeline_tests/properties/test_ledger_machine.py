"""Any sequence of the ledger's operations, by several walks, over blocks and periods: never overspent, never under-counted.

The machine keeps books of its own: who read when, on whom, at which μ². It knows nothing of reservations, chains or transactions.
"""

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from synth_pipeline.errors import BudgetRefused, LedgerError
from synth_pipeline.privacy.accounting import gaussian_epsilon, gaussian_mu
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import ALL_COHORTS, Cap, Charge, WalkKey, open_ledger

DELTA = 1e-6
CAPS = (Cap(2.0, DELTA), Cap(2.0, DELTA, "quarter"), Cap(2.0, DELTA, "quarter", lifetime_epsilon=2.4))
BLOCKS = ((ALL_COHORTS,), ("q1",), ("q1", "q2"), ("q2", "q3"))
EPSILONS = (0.5, 1.2, 1.9)
NAMES = ("q1", "q2", "q3", ALL_COHORTS)
PICKS = st.integers(0, 11)


def cost_of(epsilon):
    return gaussian_mu(epsilon, DELTA) ** 2


def epsilon_of(cost):
    return gaussian_epsilon(math.sqrt(cost), DELTA) if cost else 0.0


class LedgerMachine(RuleBasedStateMachine):
    """Walks reserve, read, crash, commit, close and release in any order, while the clock jumps about."""

    def __init__(self, place):
        super().__init__()
        self.clock = datetime(2026, 1, 1, tzinfo=UTC)
        self.ledger = open_ledger(place, clock=lambda: self.clock)
        self.dataset = f"d{self.ledger.head().entries}"
        self.held, self.cost, self.blocks, self.closing = {}, {}, {}, {}
        self.open, self.closed = set(), set()
        self.read_in, self.released, self.count = defaultdict(set), set(), 0
        before = self.ledger.history()  # of other examples in the same database, whose times this one cannot go behind
        self.latest = datetime.fromisoformat(before[-1].at) if before else datetime.min.replace(tzinfo=UTC)
        self.anchors = [self.ledger.head()]

    @initialize(cap=st.sampled_from(CAPS))
    def choose(self, cap):
        self.cap = cap

    @property
    def period(self):
        """The quarter of the latest time that was ever written, since time runs one way."""
        return (self.latest.year, (self.latest.month - 1) // 3) if self.cap.period else ()

    def key(self, walk):
        return WalkKey(self.dataset, "s", "p", "c", str(walk))

    def loads(self, name, walks):
        return sum(self.cost[w] for w in walks if not {name, ALL_COHORTS}.isdisjoint(self.blocks[w]))

    @staticmethod
    def picked(walks, pick):
        return sorted(walks)[pick % len(walks)]

    def written(self):
        self.latest = max(self.latest, self.clock)
        self.anchors.append(self.ledger.head())

    @rule(epsilon=st.sampled_from(EPSILONS), blocks=st.sampled_from(BLOCKS), again=st.booleans())
    def reserve(self, epsilon, blocks, again):
        self.count += 1
        walk = min(self.released) if again and self.released else self.count
        charge = Charge((GaussianPoolEvent(cost_of(epsilon)),), epsilon, DELTA)
        try:
            self.held[walk] = self.ledger.reserve(self.key(walk), charge, cap=self.cap, cohort=blocks)
        except BudgetRefused:
            self.refused(epsilon, blocks)
            return
        self.released.discard(walk)
        self.cost[walk], self.blocks[walk] = cost_of(epsilon), blocks
        self.written()

    @rule(epsilon=st.sampled_from(EPSILONS), blocks=st.sampled_from(BLOCKS))
    def walk_as_one_should(self, epsilon, blocks):
        before = set(self.held)
        self.reserve(epsilon=epsilon, blocks=blocks, again=False)
        for walk in set(self.held) - before:
            self.read(pick=sorted(self.held).index(walk))
            self.finish(pick=sorted(self.open).index(walk), how="commit")

    def refused(self, epsilon, blocks):
        """A refusal is right only where an open or counted walk stands in the way."""
        now = max(self.latest, self.clock)
        period = (now.year, (now.month - 1) // 3) if self.cap.period else ()
        counted = set(self.held) | self.read_in[period] | self.closed_in(period)
        names = NAMES if ALL_COHORTS in blocks else blocks
        passes = [epsilon_of(self.loads(name, counted) + cost_of(epsilon)) > self.cap.epsilon for name in names]
        if self.cap.lifetime_epsilon:
            ever = set(self.held) | self.closed
            whole = [
                epsilon_of(self.loads(name, ever) + cost_of(epsilon)) > self.cap.lifetime_epsilon for name in names
            ]
            passes += whole
        assert any(passes)

    def closed_in(self, period):
        return {walk for walk in self.closed if self.closing.get(walk) == period}

    @precondition(lambda self: self.held)
    @rule(pick=PICKS)
    def read(self, pick):
        walk = self.picked(self.held, pick)
        stage = f"stage-{len(self.ledger.find(self.key(walk)).stages_read)}"
        self.ledger.mark_read(self.held[walk], stage=stage)
        self.written()
        self.open.add(walk)
        self.read_in[self.period].add(walk)

    @precondition(lambda self: self.open and self.clock >= self.latest)
    @rule(pick=PICKS)
    def read_on_under_an_earlier_announcement(self, pick):
        walk = self.picked(self.open, pick)
        now = (self.clock.year, (self.clock.month - 1) // 3) if self.cap.period else ()
        self.read_in[now].add(walk)

    @precondition(lambda self: self.held)
    @rule(pick=PICKS)
    def crash_and_come_back(self, pick):
        walk = self.picked(self.held, pick)
        record = self.ledger.find(self.key(walk))
        assert record.reservation == self.held[walk]
        charge, blocks = record.reservation.charge, record.reservation.blocks
        before = self.ledger.head()
        if walk in self.open:
            with pytest.raises(LedgerError, match="stays charged"):
                self.ledger.reserve(self.key(walk), charge, cap=self.cap, cohort=blocks)
        else:
            assert self.ledger.reserve(self.key(walk), charge, cap=self.cap, cohort=blocks) == self.held[walk]
        assert self.ledger.head() == before

    @precondition(lambda self: self.open)
    @rule(pick=PICKS, how=st.sampled_from(["commit", "close"]))
    def finish(self, pick, how):
        walk = self.picked(self.open, pick)
        if how == "commit":
            self.ledger.commit(self.held[walk], (GaussianPoolEvent(self.cost[walk] / 2),), 0.0)
        else:
            self.ledger.close(self.held[walk], "gone")
        self.written()
        self.open.discard(walk)
        self.closed.add(walk)
        self.closing[walk] = self.period
        del self.held[walk]

    @precondition(lambda self: self.held)
    @rule(pick=PICKS)
    def release(self, pick):
        walk = self.picked(self.held, pick)
        if walk in self.open:
            with pytest.raises(LedgerError, match="stays charged"):
                self.ledger.release(self.held[walk], "give it back")
            return
        self.ledger.release(self.held.pop(walk), "never read")
        self.released.add(walk)
        self.written()

    @rule(pick=PICKS, is_of_a_walk=st.booleans())
    def record_what_changes_no_budget(self, pick, is_of_a_walk):
        walks = {**self.held} if is_of_a_walk else {}
        number = self.held[self.picked(walks, pick)].number if walks else 0
        before = self.ledger.account(self.dataset, self.cap) if self.cost else None
        entry = (
            self.ledger.record(self.dataset, {"what": "approve", "n": pick}, reservation=number) if self.count else None
        )
        if entry is not None:
            assert (entry.kind, entry.reservation) == ("record", number)
            self.written()
        if before is not None:
            after = self.ledger.account(self.dataset, self.cap)
            if before.since == after.since:
                assert (after.blocks, after.walks) == (before.blocks, before.walks)

    @rule(days=st.sampled_from([95, 95, -100, 1]))
    def move_the_clock(self, days):
        self.clock += timedelta(days=days)

    @invariant()
    def nobody_lost_more_than_the_cap(self):
        if not hasattr(self, "cap"):
            return
        for name in NAMES:
            for walks in self.read_in.values():
                assert epsilon_of(self.loads(name, walks)) <= self.cap.epsilon * (1 + 1e-6)
            ever = set().union(*self.read_in.values())
            limit = self.cap.lifetime_epsilon or (self.cap.epsilon if self.cap.period is None else math.inf)
            assert epsilon_of(self.loads(name, ever)) <= limit * (1 + 1e-6)

    @invariant()
    def nothing_that_was_read_is_missing_from_the_account(self):
        if not self.cost:
            return
        account = self.ledger.account(self.dataset, self.cap)
        now = max(self.latest, self.clock)
        period = (now.year, (now.month - 1) // 3) if self.cap.period else ()
        shown = {block.cohort: block for block in account.blocks}
        for name in set(NAMES) & set(shown):
            read = epsilon_of(self.loads(name, self.read_in[period] | self.open))
            assert shown[name].spent_epsilon >= read * (1 - 1e-9)
            ever = epsilon_of(self.loads(name, set().union(*self.read_in.values(), set())))
            assert shown[name].lifetime_epsilon >= ever * (1 - 1e-9)

    @precondition(lambda self: len(self.anchors) % 5 == 0)
    @invariant()
    def the_chain_is_intact_and_holds_every_head_it_ever_had(self):
        assert self.ledger.verify(self.anchors).is_intact

    def teardown(self):
        assert self.ledger.verify(self.anchors).is_intact
        times = [entry.at for entry in self.ledger.history(self.dataset)]
        assert times == sorted(times)


def run_machine(place_of_example, *, examples, steps):
    chosen = settings(
        database=None,
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: LedgerMachine(place_of_example()), settings=chosen)


def test_any_sequence_of_operations_on_a_file_keeps_the_cap(tmp_path):
    numbers = iter(range(1_000_000))
    run_machine(lambda: tmp_path / f"{next(numbers)}.sqlite", examples=20, steps=25)


@pytest.mark.slow
def test_many_long_sequences_of_operations_on_a_file_keep_the_cap(tmp_path):
    numbers = iter(range(1_000_000))
    run_machine(lambda: tmp_path / f"{next(numbers)}.sqlite", examples=200, steps=40)


@pytest.mark.slow
def test_any_sequence_of_operations_on_postgresql_keeps_the_cap(fresh_database):
    run_machine(lambda: fresh_database, examples=20, steps=25)
