"""Disjoint teachers: every person in exactly one part, and one person moves each noisy count of votes by at most one."""

import pickle

import numpy as np
import pytest

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import DiscreteGaussianEvent
from synth_pipeline.privacy.teachers import TeacherPanel
from synth_pipeline.privacy.unit import WEIGHT_UNITS, PrivacyUnit
from synth_pipeline.table.encoded import Codes
from synth_pipeline_tests.seeded_noise import SeededNoise
from synth_pipeline_tests.toy_table import toy_units

RECORDS = 12
COST = 0.01


def rows(count: int, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(0, 50, (count, 3)).astype(np.int32)


def desk_of(max_rows: int = 1, seed: int = 0) -> Desk:
    unit = PrivacyUnit("id" if max_rows > 1 else None, max_rows)
    budget = Budget.for_walk(epsilon=5.0, delta=1e-5, discovered_columns=0)
    return Desk(unit=unit, budget=budget, spent=(), noise=SeededNoise(seed), before_first_answer=None)


def parity(part: Codes) -> np.ndarray:
    """A teacher that any one row may turn round on every record."""
    return (part.sum() + np.arange(RECORDS)) % 2 == 1


@pytest.mark.parametrize("teachers", [1, 7, 400])
def test_every_row_is_in_exactly_one_part(teachers: int) -> None:
    codes = np.arange(600, dtype=np.int32).reshape(300, 2)
    panel = TeacherPanel(desk_of(), codes, teachers)
    assert panel.teachers == len(panel._parts) == teachers
    dealt = np.concatenate(panel._parts)
    assert np.array_equal(dealt[np.argsort(dealt[:, 0])], codes)


@pytest.mark.parametrize("max_rows", [1, 3])
@pytest.mark.parametrize("seed", range(20))
def test_neighbouring_tables_move_each_count_by_at_most_the_unit(seed: int, max_rows: int) -> None:
    codes = rows(200, seed)
    first, second = (
        TeacherPanel(desk_of(max_rows, seed), table, 10, units=toy_units(len(table), max_rows))
        .votes(parity, RECORDS, cost=COST, purpose="replay")
        .values
        for table in (codes, codes[:-max_rows])
    )
    assert np.abs(first - second).max() <= 1 + 1e-9


def test_all_rows_of_a_person_go_to_one_teacher_and_every_person_brings_equally_many() -> None:
    units = np.repeat(np.arange(40), np.arange(40) % 4 + 1)
    codes = np.column_stack([units, np.arange(len(units))]).astype(np.int32)
    panel = TeacherPanel(desk_of(max_rows=4), codes, 6, units=units)
    people = [set(part[:, 0].tolist()) for part in panel._parts]
    assert sum(map(len, people)) == len(set().union(*people)) == 40
    assert np.bincount(np.concatenate(panel._parts)[:, 0]).tolist() == [4] * 40
    assert set(np.concatenate(panel._parts)[:, 1].tolist()) == set(range(len(units)))


def test_teachers_of_people_with_several_rows_must_know_whose_each_row_is() -> None:
    with pytest.raises(PrivacyError, match="whose each row is"):
        TeacherPanel(desk_of(max_rows=2), rows(10), 2)


def test_adding_a_row_moves_no_other_row_to_another_teacher() -> None:
    codes = np.arange(400, dtype=np.int32).reshape(200, 2)
    whole, less = (TeacherPanel(desk_of(), table, 10)._parts for table in (codes, codes[:-1]))
    changed = [index for index in range(10) if not np.array_equal(whole[index], less[index])]
    assert len(changed) == 1


def test_a_vote_is_charged_as_one_gaussian_on_as_many_counts_as_records() -> None:
    desk = desk_of(max_rows=2)
    TeacherPanel(desk, rows(50), 5, units=toy_units(50, 2)).votes(parity, RECORDS, cost=COST, purpose="votes")
    (event,) = desk.events
    assert isinstance(event, DiscreteGaussianEvent)
    assert (event.sensitivity, event.count) == (WEIGHT_UNITS, RECORDS)
    assert desk.spent_cost == pytest.approx(COST)


def test_votes_are_counts_of_teachers_with_noise_of_the_charged_scale() -> None:
    """The mean of 4,000 answers with known votes within 5 standard errors; the false alarm rate is below 1e-6 (the seed is fixed)."""
    desk = desk_of()
    panel = TeacherPanel(desk, rows(50), 9)
    noisy = panel.votes(lambda _: np.ones(4000, dtype=np.bool_), 4000, cost=COST, purpose="votes")
    assert abs(noisy.values.mean() - 9) < 5 * noisy.sigma / np.sqrt(4000)
    assert 0.95 < noisy.values.std() / noisy.sigma < 1.05


@pytest.mark.parametrize("answer", [np.ones(RECORDS), np.ones(RECORDS - 1, dtype=np.bool_)])
def test_anything_but_one_yes_or_no_a_record_is_refused(answer: np.ndarray) -> None:
    with pytest.raises(PrivacyError, match="yes or no"):
        TeacherPanel(desk_of(), rows(50), 5).votes(lambda _: answer, RECORDS, cost=COST, purpose="votes")


def test_a_panel_is_not_pickled_and_shows_no_rows() -> None:
    panel = TeacherPanel(desk_of(), rows(50), 5)
    assert "withheld" in repr(panel)
    with pytest.raises(PrivacyError, match="private rows"):
        pickle.dumps(panel)


def test_no_teachers_are_refused() -> None:
    with pytest.raises(PrivacyError, match="at least 1"):
        TeacherPanel(desk_of(), rows(5), 0)
