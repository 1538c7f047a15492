import numpy as np
import pandas as pd
import pytest

from synth_pipeline.errors import SpecError, TableError
from synth_pipeline.frontier.duration import expected_minutes
from synth_pipeline.frontier.measure import checked_grid, measure_frontier
from synth_pipeline.frontier.released_rows import ReleasedRows, rows_from_table, simulated_spec
from synth_pipeline.privacy.gaussian_dp import gaussian_mu
from synth_pipeline.spec import Spec
from synth_pipeline_tests.toy_table import toy_frame, toy_spec


def spec_of_people() -> Spec:
    return Spec.from_mapping(
        {
            "dataset": "people",
            "columns": {"who": {"kind": "identifier"}, "sum": {"kind": "integer", "min": 0, "max": 9}},
            "privacy": {"epsilon": 1, "unit": {"column": "who", "max_rows": 3}},
        }
    )


def table_of_people(people: int) -> pd.DataFrame:
    who = np.repeat([f"p{number}" for number in range(people)], 3)
    return pd.DataFrame({"who": who, "sum": np.arange(3 * people) % 10})


def test_a_table_alone_is_dealt_into_two_parts_that_hold_every_row_once():
    table = toy_frame(1000).assign(gain=range(1000))
    dealt = rows_from_table(table, toy_spec(), origin="of a test")
    assert (len(dealt.train), len(dealt.holdout), dealt.rows) == (800, 200, 1000)
    assert sorted([*dealt.train["gain"], *dealt.holdout["gain"]]) == list(range(1000))
    again = rows_from_table(table, toy_spec(), origin="of a test")
    assert again.train.equals(dealt.train)
    assert not rows_from_table(table, toy_spec(), seed=1, origin="of a test").train.equals(dealt.train)


def test_nobodys_rows_are_torn_apart():
    dealt = rows_from_table(table_of_people(400), spec_of_people(), origin="of a test")
    assert not set(dealt.train["who"]) & set(dealt.holdout["who"])
    assert len(dealt.train) == 960


def test_noise_weighs_as_much_beside_fewer_rows_at_the_simulated_epsilon():
    dealt = rows_from_table(toy_frame(1000), toy_spec(), origin="of a test")
    delta = toy_spec().privacy.delta
    simulated = dealt.simulated_epsilon(1.0)
    assert simulated > 1.0
    assert gaussian_mu(simulated, delta) * 800 == pytest.approx(gaussian_mu(1.0, delta) * 1000, rel=1e-6)


def test_as_many_rows_as_are_asked_about_are_simulated_at_the_epsilon_itself():
    frame = toy_frame(1000)
    assert ReleasedRows(toy_spec(), frame, frame, 1000, "of a test").simulated_epsilon(0.7) == 0.7


def test_a_simulated_specification_has_no_cap_keeps_its_engine_and_the_share_of_its_drift_report():
    spec = Spec.from_mapping(
        {
            "dataset": "d",
            "columns": {"x": {"kind": "boolean"}},
            "privacy": {"epsilon": 2, "cap": {"epsilon": 3, "period": "month", "lifetime_epsilon": 9}},
            "generator": {"kind": "aim"},
            "drift": {"epsilon": 0.2},
        }
    )
    lifted = simulated_spec(spec, 50)
    assert (lifted.privacy.epsilon, lifted.generator.kind, lifted.drift.epsilon) == (50, "aim", pytest.approx(5))
    assert (lifted.privacy.cap.epsilon, lifted.privacy.cap.period) == (1_000_000, None)
    assert spec.privacy.cap.epsilon == 3


def test_too_few_rows_are_refused():
    with pytest.raises(TableError, match="120 released rows to train on and 30 to score by are too few"):
        rows_from_table(toy_frame(150), toy_spec(), origin="of a test")


def test_an_epsilon_that_a_small_table_cannot_stand_for_is_refused():
    with pytest.raises(SpecError, match="cannot be simulated on 800"):
        rows_from_table(toy_frame(1000), toy_spec(), rows=10**6, origin="of a test").spec_at(10.0)


@pytest.mark.parametrize(
    "grid, words",
    [
        ((1.0,), "give 2 to 12 different numbers"),
        ((1.0, 1.0), "different numbers"),
        (tuple(range(1, 14)), "give 2 to 12"),
        ((0.0, 1.0), "above 0"),
        ((1.0, 101.0), "at most 100"),
        ((1.0, float("nan")), "above 0"),
    ],
)
def test_a_grid_that_is_none_is_refused(grid, words):
    with pytest.raises(SpecError, match=words):
        checked_grid(grid)


def test_one_repeat_is_refused_for_it_has_no_interval():
    dealt = rows_from_table(toy_frame(1000), toy_spec(), origin="of a test")
    with pytest.raises(SpecError, match="--repeats: 2 or more"):
        measure_frontier(dealt, epsilons=(1, 2), repeats=1)


def test_more_walks_take_longer():
    dealt = rows_from_table(toy_frame(1000), toy_spec(), origin="of a test")
    assert 0 < expected_minutes(dealt, walks=4) < expected_minutes(dealt, walks=15) < 10
