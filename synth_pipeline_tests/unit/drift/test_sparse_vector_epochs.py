"""Epochs of the above-threshold mode: what one person moves, what is charged, what is answered again, and when an epoch is over."""

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.drift.baseline import Baseline, baseline_of
from synth_pipeline.drift.report import DriftReport
from synth_pipeline.drift.sparse_vector import SparseVectorState, above_threshold
from synth_pipeline.drift.watched import watch
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.measured import measured_pair
from synth_pipeline.privacy.answer import SHARE_PARTS, PairPartition, WatchedTable
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import AboveThresholdEvent
from synth_pipeline.privacy.mechanisms.above_threshold import NoisyThreshold
from synth_pipeline.privacy.unit import WEIGHT_UNITS, PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.spec import Spec
from synth_pipeline.spec.sections import Drift
from synth_pipeline.table.encoded import Domain
from synth_pipeline.table.native import NativeTable
from synth_pipeline_tests.seeded_noise import SeededNoise

BUDGET = Budget(1.0, 1e-5)
DRIFT = Drift(epsilon=1.0, mode="sparse_vector")
SPEC = Spec.from_mapping(
    {
        "dataset": "d",
        "columns": {
            "age": {"kind": "integer", "min": 0, "max": 99},
            "grade": {"kind": "ordinal", "categories": ["low", "mid", "high"], "nullable": True},
            "member": {"kind": "boolean"},
        },
        "privacy": {"epsilon": 3.0, "delta": 1e-5},
    }
)


def frame_of(rows: int, seed: int, *, moved: float = 0.0) -> pd.DataFrame:
    """People of whom a share `moved` are ten years older and members."""
    rng = np.random.default_rng(seed)
    is_moved = rng.random(rows) < moved
    age = np.clip(rng.normal(45, 12, rows) + 10 * is_moved, 0, 99).round().astype(np.int64)
    grade = np.array(["low", "mid", "high", None], dtype=object)[rng.choice(4, rows, p=[0.3, 0.4, 0.25, 0.05])]
    return pd.DataFrame(
        {"age": age, "grade": pd.Series(grade, dtype="str"), "member": (rng.random(rows) < 0.4) | is_moved}
    )


def curator_of(frame: pd.DataFrame, *, seed: int = 0, budget: Budget = BUDGET) -> Curator:
    native, _ = to_native(frame, SPEC)
    return Curator(native, unit=PrivacyUnit(), budget=budget, noise=SeededNoise(seed))


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    """The release of 4,000 people: their profile and one pair."""
    curator = curator_of(frame_of(4000, 0), budget=Budget(3.0, 1e-5))
    profile = build_profile(curator, SPEC.modelled, share=0.5)
    view = curator.encoded(Encoder(profile))
    shape = view.domain.sizes[1], view.domain.sizes[2]
    part = PairPartition(1, 2, np.arange(shape[0] * shape[1]).reshape(shape), shape[0] * shape[1], "full")
    noisy = view.pair_counts(part, cost=0.05, stage="generator", purpose="pair")
    return baseline_of(profile, [measured_pair(part, noisy.values, noisy.sigma, rows=profile.rows)])


class AskedDesk(Desk):
    """A desk that keeps the questions it is asked to compare."""

    asked: int

    def compare(self, question: int, threshold: NoisyThreshold, *, stage: str, purpose: str) -> bool:
        self.asked = question
        return super().compare(question, threshold, stage=stage, purpose=purpose)


def question_of(codes: np.ndarray, units: np.ndarray | None, tables: list[WatchedTable], most_rows: int) -> int:
    """What is compared for given codes of two columns."""
    unit = PrivacyUnit("id" if most_rows > 1 else None, most_rows)
    desk = AskedDesk(unit=unit, budget=BUDGET, spent=(), noise=SeededNoise(0), before_first_answer=None)
    columns = {"a": codes[:, 0].astype(np.int32), "b": codes[:, 1].astype(np.int32)}
    curator = Curator.at_desk(NativeTable(columns, units, {}), desk)
    wide = NoisyThreshold(0.1, unit.weight * max(table.reach for table in tables), 0)
    curator.encoded(CodesAsTheyAre()).is_above(tables, wide, stage="drift_report", purpose="test")
    return desk.asked


class CodesAsTheyAre:
    """Two columns of four and three codes."""

    domain = Domain(("a", "b"), (4, 3))

    def encode(self, table: NativeTable) -> np.ndarray:
        return np.stack([table.columns["a"], table.columns["b"]], axis=1)


def shares_of(weights: list[int]) -> tuple[int, ...]:
    parts = [SHARE_PARTS * weight // sum(weights) for weight in weights]
    return (SHARE_PARTS - sum(parts[1:]), *parts[1:])


@settings(max_examples=150)
@given(
    codes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=0, max_size=25),
    person=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=7),
    weights=st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any),
    pair_weights=st.lists(st.integers(0, 9), min_size=12, max_size=12).filter(any),
    slopes=st.tuples(st.integers(0, SHARE_PARTS // 2), st.integers(0, SHARE_PARTS // 2)),
    has_many=st.booleans(),
)
def test_one_person_moves_a_question_by_at_most_its_reach(codes, person, weights, pair_weights, slopes, has_many):
    most_rows = 7 if has_many else 1
    person = person if has_many else person[:1]
    tables = [
        WatchedTable((0,), np.arange(4), shares_of(weights), slopes[0], 5000, "a"),
        WatchedTable((0, 1), np.arange(12).reshape(4, 3), shares_of(pair_weights), slopes[1], 100, "a × b"),
    ]
    others = np.array(codes, dtype=np.int64).reshape(-1, 2)
    everyone = np.concatenate([others, np.array(person, dtype=np.int64)])
    units = np.concatenate([np.arange(len(others)) // 2, np.full(len(person), (len(others) + 1) // 2)])
    without = question_of(others, units[: len(others)] if has_many else None, tables, most_rows)
    with_them = question_of(everyone, units if has_many else None, tables, most_rows)
    reach = max(table.reach for table in tables) * (WEIGHT_UNITS if has_many else 1)
    assert abs(with_them - without) <= reach


def test_the_reach_is_reached():
    table = WatchedTable((0,), np.arange(4), (SHARE_PARTS, 0, 0, 0), 1000, 0, "a")
    ones = np.zeros((5, 2), dtype=np.int64)
    ones[:, 0] = 1
    moved = question_of(ones, None, [table], 1) - question_of(ones[:4], None, [table], 1)
    assert moved == table.reach - 2 * table.slope
    at_home = np.zeros((5, 2), dtype=np.int64)
    assert question_of(at_home, None, [table], 1) - question_of(at_home[:4], None, [table], 1) == -table.slope


def test_a_threshold_drawn_for_smaller_steps_is_refused(baseline):
    curator = curator_of(frame_of(500, 1))
    view = curator.encoded(Encoder(baseline.profile))
    with pytest.raises(PrivacyError, match="one unit moves less"):
        view.is_above(watch(baseline, DRIFT).tables, NoisyThreshold(0.1, 10, 0), stage="s", purpose="p")


@pytest.mark.parametrize("shares", [(SHARE_PARTS, 1, 0, 0), (SHARE_PARTS + 1, -1, 0, 0)])
def test_shares_on_which_the_sensitivity_does_not_rest_are_refused(shares):
    with pytest.raises(PrivacyError, match="shares"):
        WatchedTable((0,), np.arange(4), shares, 0, 0, "a")


def test_an_epoch_is_charged_once_and_for_all_that_the_budget_has_left(baseline):
    first = curator_of(frame_of(4000, 1))
    report, state = above_threshold(first, baseline, DRIFT, None, snapshot="july")
    (event,) = report.events
    assert isinstance(event, AboveThresholdEvent)
    assert 0.99 * BUDGET.cost < first.spent_cost <= BUDGET.cost
    second = curator_of(frame_of(4000, 2))
    later, state = above_threshold(second, baseline, DRIFT, state, snapshot="august")
    assert later.events == report.events
    assert second.spent_cost == 0.0
    assert [name for name, _ in state.answers] == ["july", "august"]


def test_a_threshold_is_never_drawn_again(baseline):
    _, state = above_threshold(curator_of(frame_of(4000, 1)), baseline, DRIFT, None, snapshot="1")
    for number in range(2, 6):
        _, after = above_threshold(
            curator_of(frame_of(4000, number), seed=number), baseline, DRIFT, state, snapshot=str(number)
        )
        assert after.threshold == state.threshold
        state = after


def test_a_snapshot_that_was_answered_gets_the_same_answer_without_being_read(baseline):
    _, state = above_threshold(curator_of(frame_of(4000, 1, moved=0.6)), baseline, DRIFT, None, snapshot="july")
    assert state.is_over
    read: list[int] = []
    native, _ = to_native(frame_of(4000, 9), SPEC)
    other = Curator(native, unit=PrivacyUnit(), budget=BUDGET, before_first_answer=lambda: read.append(1))
    report, again = above_threshold(other, baseline, DRIFT, state, snapshot="july")
    assert report.is_alarm
    assert again == state
    assert not read
    assert [type(event) for event in report.events] == [AboveThresholdEvent]


def test_nothing_is_answered_after_an_alarm(baseline):
    _, state = above_threshold(curator_of(frame_of(4000, 1, moved=0.6)), baseline, DRIFT, None, snapshot="july")
    with pytest.raises(PrivacyError, match="ended with an alarm"):
        above_threshold(curator_of(frame_of(4000, 2)), baseline, DRIFT, state, snapshot="august")


def test_an_epoch_answers_nothing_about_another_release_or_other_columns(baseline):
    _, state = above_threshold(curator_of(frame_of(4000, 1)), baseline, DRIFT, None, snapshot="july")
    for other, drift in (
        (replace(baseline, pairs=()), DRIFT),
        (baseline, DRIFT.model_copy(update={"ignore": ("age",)})),
    ):
        assert not state.covers(other, drift, snapshot="august", today=date(2026, 1, 1))
        assert not state.covers(other, drift, snapshot="july", today=date(2026, 1, 1))
        with pytest.raises(PrivacyError, match="another release"):
            above_threshold(curator_of(frame_of(4000, 2)), other, drift, state, snapshot="august")


def test_an_epoch_goes_on_until_an_alarm_or_the_day_on_which_the_cap_renews(baseline):
    until = date(2027, 1, 1)
    _, state = above_threshold(curator_of(frame_of(4000, 1)), baseline, DRIFT, None, snapshot="july", until=until)

    def covers(state: SparseVectorState, snapshot: str, today: date) -> bool:
        return state.covers(baseline, DRIFT, snapshot=snapshot, today=today)

    assert covers(state, "august", date(2026, 12, 31))
    assert not covers(state, "august", until)
    assert covers(state, "july", until)
    alarmed = replace(state, answers=(("july", True),))
    assert not covers(alarmed, "august", date(2026, 8, 1))
    assert covers(alarmed, "july", date(2026, 8, 1))


def test_a_state_is_read_back_as_it_was_written_and_shows_nothing(baseline):
    _, state = above_threshold(
        curator_of(frame_of(4000, 1)), baseline, DRIFT, None, snapshot="july", until=date(2027, 1, 1)
    )
    assert SparseVectorState.from_json(json.loads(json.dumps(state.to_json()))) == state
    assert str(state.threshold.value) not in repr(state)
    assert state.zone == "private"


def test_a_report_holds_the_answer_and_nothing_that_was_not_answered(baseline):
    report, state = above_threshold(curator_of(frame_of(4000, 1)), baseline, DRIFT, None, snapshot="july")
    again = DriftReport.from_json(json.loads(json.dumps(report.to_json())))
    assert (again.mode, again.is_alarm, again.overall_p, again.columns, again.drifted) == (
        "sparse_vector",
        False,
        1.0,
        (),
        (),
    )
    assert str(state.threshold.value) not in json.dumps(report.to_json())


def test_columns_that_are_expected_to_move_are_not_watched(baseline):
    names = {table.name for table in watch(baseline, DRIFT.model_copy(update={"ignore": ("member",)})).tables}
    assert names == {"age", "grade"}
    assert {table.name for table in watch(baseline, DRIFT).tables} == {"age", "grade", "member", "grade × member"}


def test_another_number_of_people_is_no_drift(baseline):
    for rows in (2000, 8000):
        report, _ = above_threshold(curator_of(frame_of(rows, 1)), baseline, DRIFT, None, snapshot="july")
        assert not report.is_alarm


def test_too_little_budget_is_refused_before_anything_is_read(baseline):
    spent = curator_of(frame_of(500, 1))
    spent.count_rows(cost=spent.left_cost, stage="s", purpose="all of it")
    with pytest.raises(PrivacyError):
        above_threshold(spent, baseline, DRIFT, None, snapshot="july")


def test_a_smaller_chance_of_a_false_alarm_needs_a_higher_threshold(baseline):
    watched = watch(baseline, DRIFT)
    thresholds = [watched.threshold(epsilon=0.2, alpha=alpha) for alpha in (0.2, 0.05, 0.02, 1e-3, 1e-6)]
    assert thresholds == sorted(set(thresholds))
    scale = 2 * watched.reach / (0.6 * 0.2)
    assert thresholds[4] - thresholds[3] >= scale * np.log(1000) * 0.999
