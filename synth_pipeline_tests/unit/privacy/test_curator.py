"""The curator: answers cost, are recorded, and nothing leaves without them."""

import pickle
from contextlib import suppress

import numpy as np
import pytest

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import DiscreteGaussianEvent, SubsampledGaussianEvent
from synth_pipeline.privacy.unit import WEIGHT_UNITS, PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.table.partition import Whole
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

SPEC = toy_spec()


def test_its_repr_shows_no_data_and_it_does_not_pickle() -> None:
    curator = toy_curator(SPEC, toy_frame(50))
    assert repr(curator) == "Curator(0 answers given, contents withheld)"
    with pytest.raises(PrivacyError, match="cannot be pickled"):
        pickle.dumps(curator)


def test_the_native_table_shows_no_data() -> None:
    assert "contents withheld" in repr(toy_curator(SPEC, toy_frame(50))._table)


def test_every_answer_appends_an_event_of_the_cost_that_was_offered() -> None:
    curator = toy_curator(SPEC, toy_frame(200))
    curator.histogram("age", Whole(100), with_null=False, cost=0.01, stage="profile", purpose="ages")
    (event,) = curator.events
    assert isinstance(event, DiscreteGaussianEvent)
    assert (event.stage, event.purpose, event.count) == ("profile", "ages", 1)
    assert curator.spent_cost == pytest.approx(0.01)


def test_an_answer_beyond_the_budget_is_refused_and_not_given() -> None:
    curator = toy_curator(SPEC, toy_frame(200))
    with pytest.raises(PrivacyError, match="is left"):
        curator.count_rows(cost=curator.budget.cost * 1.01, stage="profile", purpose="rows")
    assert curator.events == ()


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan")])
def test_a_free_answer_is_refused(cost: float) -> None:
    with pytest.raises(PrivacyError, match="positive share"):
        toy_curator(SPEC, toy_frame(20)).count_rows(cost=cost, stage="profile", purpose="rows")


def test_the_ledger_is_told_before_the_first_answer_and_only_then() -> None:
    told: list[str] = []
    curator = toy_curator(SPEC, toy_frame(100))
    curator._desk._before_first_answer = lambda: told.append("read")
    assert told == []
    for _ in range(2):
        curator.count_rows(cost=0.01, stage="profile", purpose="rows")
    assert told == ["read"]


def test_no_answer_is_given_when_the_ledger_refuses_the_read() -> None:
    def refuse() -> None:
        raise PrivacyError("no reservation")

    curator = toy_curator(SPEC, toy_frame(100))
    curator._desk._before_first_answer = refuse
    with pytest.raises(PrivacyError, match="no reservation"):
        curator.count_rows(cost=0.01, stage="profile", purpose="rows")
    assert curator.events == ()


def test_people_with_several_rows_are_counted_with_the_noise_of_people_with_one() -> None:
    one = toy_curator(SPEC, toy_frame(100)).sigma_for(0.01)
    four = toy_curator(SPEC, toy_frame(100), max_rows=4).sigma_for(0.01)
    assert four == pytest.approx(one, rel=1e-3)


@pytest.mark.parametrize("max_rows", [2, 7, 15])
def test_answers_about_people_with_several_rows_are_numbers_of_people(max_rows: int) -> None:
    """Within 8 standard deviations of the noise: a false alarm in fewer than one of 10^14 runs."""
    curator = toy_curator(SPEC, toy_frame(630), max_rows=max_rows)
    ask = {"cost": curator.budget.cost / 3, "stage": "profile", "purpose": "people"}
    people = 630 // max_rows
    total = curator.count_rows(**ask)
    grades = curator.histogram("grade", Whole(3), with_null=True, **ask)
    assert abs(total.values[0] - people) < 8 * total.sigma
    assert abs(grades.values.sum() - people) < 8 * grades.sigma * 2
    assert (grades.values != np.rint(grades.values)).any()


def test_people_are_counted_once_each_in_questions_about_their_rows() -> None:
    frame = toy_frame(600)
    frame["age"] = np.arange(600) // 3 % 100
    frame["gain"] = np.arange(600) % 3
    curator = toy_curator(SPEC, frame, max_rows=3)
    asked = {"cost": curator.budget.cost, "stage": "profile", "purpose": "people"}
    noisy = curator.within_people(["age", "gain"], ["age", "gain"], **asked)
    assert np.abs(noisy.values - [200, 0, 200, 200, 0]).max() < 8 * noisy.sigma
    event = curator.events[-1]
    assert isinstance(event, DiscreteGaussianEvent)
    assert (event.sensitivity, event.count) == (WEIGHT_UNITS, 5)


def test_a_table_that_does_not_say_whose_each_row_is_is_refused_where_people_have_several() -> None:
    native, _ = to_native(toy_frame(10), SPEC)
    budget = Budget.for_walk(epsilon=1.0, delta=1e-5, discovered_columns=0)
    with pytest.raises(PrivacyError, match="whose each row is"):
        Curator(native, unit=PrivacyUnit("id", 2), budget=budget)


def test_discoveries_beyond_the_delta_set_aside_are_refused_and_not_made() -> None:
    curator = toy_curator(SPEC, toy_frame(200))
    budget, asked = curator.budget, {"cost": 0.1 * curator.budget.cost, "stage": "profile", "purpose": "cities"}
    half = budget.delta_of_each(2)
    for _ in range(2):
        curator.discover("city", delta=half, **asked)
    before = curator.events
    with pytest.raises(PrivacyError, match="set aside"):
        curator.discover("city", delta=half, **asked)
    assert curator.events == before
    with pytest.raises(PrivacyError, match="set aside"):
        toy_curator(SPEC, toy_frame(200)).discover("city", delta=1.1 * budget.discovery_delta, **asked)


def test_after_batches_the_pool_does_not_pay_for_what_they_have_spent() -> None:
    curator = toy_curator(SPEC, toy_frame(200))
    view = curator.encoded(Encoder(build_profile(curator, SPEC.modelled, share=0.2)))
    for noise in (4.0, 2.0, 1.0, 0.8, 0.6):
        with suppress(PrivacyError):
            view.poisson_batches(sample_rate=0.1, noise_multiplier=noise, steps=100, purpose="training")
    before = curator.events
    assert isinstance(before[-1], SubsampledGaussianEvent)
    with pytest.raises(PrivacyError, match="bring the walk to"):
        curator.count_rows(cost=curator.left_cost, stage="generator", purpose="rows")
    assert curator.events == before


def test_a_histogram_counts_every_row_once_and_nulls_last() -> None:
    frame = toy_frame(500)
    curator = toy_curator(SPEC, frame)
    noisy = curator.histogram(
        "grade", Whole(3), with_null=True, cost=curator.budget.cost, stage="profile", purpose="grades"
    )
    expected = [(frame["grade"] == grade).sum() for grade in ("low", "mid", "high")] + [frame["grade"].isna().sum()]
    assert np.abs(noisy.values - expected).max() < 8 * noisy.sigma
    assert (noisy.values == np.rint(noisy.values)).all()


def test_joint_counts_and_errors_agree_with_counting_by_hand() -> None:
    curator = toy_curator(SPEC, toy_frame(800))
    profile = build_profile(curator, SPEC.modelled)
    view = curator.encoded(Encoder(profile))
    codes = view._codes
    first, second = view.domain.index("age"), view.domain.index("member")
    rows, columns = view.domain.sizes[first], view.domain.sizes[second]
    part = PairPartition(first, second, np.arange(rows * columns).reshape(rows, columns), rows * columns, "full")
    by_hand = np.bincount(codes[:, first].astype(int) * columns + codes[:, second], minlength=rows * columns)
    assert np.array_equal(view._counts(part), by_hand)
    flipped = PairPartition(second, first, part.labels.T, part.size, "full")
    assert np.array_equal(view._counts(flipped), by_hand)
    score = view.pair_errors(
        [part], [np.zeros(part.size, dtype=np.int64)], cost=curator.left_cost / 2, stage="generator", purpose="errors"
    )
    assert abs(score.values[0] - 800) < 8 * score.sigma


def test_batches_are_charged_before_the_first_is_dealt_and_there_are_exactly_as_many() -> None:
    curator = toy_curator(SPEC, toy_frame(400))
    profile = build_profile(curator, SPEC.modelled, share=0.1)
    view = curator.encoded(Encoder(profile))
    batches = view.poisson_batches(sample_rate=0.05, noise_multiplier=4.0, steps=40, purpose="training")
    assert isinstance(curator.events[-1], SubsampledGaussianEvent)
    sizes = [len(batch) for batch in batches]
    assert len(sizes) == 40
    assert 10 < np.mean(sizes) < 30
    assert composed_epsilon(curator.events, SPEC.privacy.delta) <= SPEC.privacy.epsilon


def test_batches_beyond_the_budget_are_refused_before_any_is_dealt() -> None:
    curator = toy_curator(SPEC, toy_frame(400))
    view = curator.encoded(Encoder(build_profile(curator, SPEC.modelled, share=0.1)))
    before = curator.events
    with pytest.raises(PrivacyError, match="above its ε"):
        view.poisson_batches(sample_rate=0.5, noise_multiplier=0.7, steps=100, purpose="training")
    assert curator.events == before


def test_batches_of_people_with_several_rows_cost_what_those_of_rows_do() -> None:
    spent = []
    for most in (1, 3):
        curator = toy_curator(SPEC, toy_frame(100), max_rows=most)
        view = curator.encoded(Encoder(build_profile(curator, SPEC.modelled, share=0.1)))
        view.poisson_batches(sample_rate=0.1, noise_multiplier=9.0, steps=5, purpose="training")
        spent.append(curator.events[-1])
    assert spent[0] == spent[1]
