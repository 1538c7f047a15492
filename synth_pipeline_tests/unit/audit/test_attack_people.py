import numpy as np
import pandas as pd
import pytest

from synth_pipeline.audit.attack.distance import Gower, affordable_people, nearest_distances
from synth_pipeline.audit.attack.people import People, read_people
from synth_pipeline.audit.attack.predicate import Condition, distinct_rows, fitting_people
from synth_pipeline.errors import TableError
from synth_pipeline.spec import Spec


def _spec(unit: bool = False) -> Spec:
    columns: dict[str, object] = {
        "age": {"kind": "integer", "min": 0, "max": 100, "nullable": True},
        "grade": {"kind": "ordinal", "categories": ["low", "mid", "high"]},
        "city": {"kind": "categorical", "discover": True},
        "seen": {"kind": "datetime", "min": "2020-01-01", "max": "2021-01-01"},
        "who": {"kind": "identifier"},
    }
    privacy: dict[str, object] = {"epsilon": 1.0}
    if unit:
        privacy["unit"] = {"column": "who", "max_rows": 3}
    return Spec.from_mapping({"dataset": "four", "columns": columns, "privacy": privacy})


def _frame(rows: int = 40, first_person: int = 0, rows_each: int = 1) -> pd.DataFrame:
    ages = [0.0, 100.0, None, 50.0]
    return pd.DataFrame(
        {
            "age": [ages[row % 4] for row in range(rows)],
            "grade": [["low", "high", "mid", "mid"][row % 4] for row in range(rows)],
            "city": [["a", "b", "a", "b"][row % 4] for row in range(rows)],
            "seen": pd.to_datetime([["2020-01-01", "2020-12-31", "2020-01-01", "2020-07-01"][row % 4] for row in range(rows)]),
            "who": [f"p{first_person + row // rows_each}" for row in range(rows)],
        }
    )  # fmt: skip


def _tables(unit: bool = False, rows_each: int = 1):
    frames = {"train": _frame(60, 0, rows_each), "holdout": _frame(60, 1000, rows_each), "synthetic": _frame(8, 2000)}
    return read_people(frames, _spec(unit), np.random.default_rng(0))


def test_the_distance_of_two_rows_is_gowers_by_hand():
    people = _tables().train
    distances = Gower(people).to(people.places[:, 0])[:4]
    # age, grade, city, seen: against (0, low, a, first day)
    assert distances == pytest.approx([0.0, 1 + 1 + 1 + 1, 1 + 0.5 + 0 + 0, 0.5 + 0.5 + 1 + 182 / 365], abs=1e-5)


def test_two_nulls_are_equal_and_a_null_is_one_away_from_every_value():
    people = _tables().train
    ages = Gower(people, [0])
    assert ages.to(people.places[:, 2])[:4] == pytest.approx([1, 1, 0, 1])


def test_the_distance_without_a_column_leaves_out_that_column():
    people = _tables().train
    gower = Gower(people)
    without = {column: distances.copy() for column, distances in gower.without_each(people.places[:, 0])}
    for column in range(4):
        others = [other for other in range(4) if other != column]
        assert without[column] == pytest.approx(Gower(people, others).to(people.places[:, 0]), abs=1e-5)


def test_the_nearest_distance_of_a_present_row_is_zero_and_the_third_is_not_less():
    tables = _tables()
    assert nearest_distances(tables.train, tables.synthetic).max() == 0.0
    assert nearest_distances(tables.train, tables.synthetic, rank=3).min() > 0.0  # each row is there twice


def test_a_value_outside_an_ordinals_list_is_far_from_every_listed_one():
    frames = {"train": _frame(), "holdout": _frame(40, 1000), "synthetic": _frame(8, 2000).replace("mid", "none")}
    tables = read_people(frames, _spec(), np.random.default_rng(0))
    assert Gower(tables.synthetic, [1]).to(tables.train.places[:, 0]).max() == 1.0


def test_rows_of_a_person_are_one_target():
    tables = _tables(unit=True, rows_each=3)
    assert tables.train.count == 20
    assert tables.train.one_row_each(np.random.default_rng(0)).places.shape == (4, 20)
    scores = np.arange(60.0)
    assert tables.train.highest(scores).tolist() == [3.0 * person + 2 for person in range(20)]


def test_a_sample_and_a_split_keep_people_whole():
    tables = _tables(unit=True, rows_each=3)
    rng = np.random.default_rng(1)
    assert np.bincount(tables.train.sample(7, rng).persons).tolist() == [3] * 7
    first, second = tables.train.split(rng)
    assert (first.count, second.count, len(first.persons), len(second.persons)) == (10, 10, 30, 30)


def test_a_predicate_fits_people_and_not_rows():
    values = np.array([[1.0, 1.0, 2.0, -1e300]])
    people = People(np.zeros((1, 4), np.float32), values, np.array([0, 0, 1, 2]))
    assert fitting_people(people, (Condition(0, "=", 1.0),)) == (0,)
    assert fitting_people(people, (Condition(0, "≤", 1.0),)) == (0,)  # a null is not small
    assert fitting_people(people, (Condition(0, "≠", 1.0),)) == (1, 2)
    assert fitting_people(people, (Condition(0, ">", 2.0),)) == ()


def test_equal_rows_are_one_row_to_predicates():
    assert len(distinct_rows(_tables().synthetic).persons) == 4


def test_a_person_in_both_real_tables_is_refused():
    frames = {"train": _frame(), "holdout": _frame(40, 39), "synthetic": _frame(8)}
    with pytest.raises(TableError, match="shares people \\(by 'who'\\) with train"):
        read_people(frames, _spec(unit=True), np.random.default_rng(0))


def test_too_few_people_are_refused():
    frames = {"train": _frame(), "holdout": _frame(19, 1000), "synthetic": _frame(8)}
    with pytest.raises(TableError, match="holdout: fewer than 20 people"):
        read_people(frames, _spec(), np.random.default_rng(0))


def test_a_table_without_the_person_column_is_refused():
    frames = {"train": _frame().drop(columns="who"), "holdout": _frame(40, 1000), "synthetic": _frame(8)}
    with pytest.raises(TableError, match="train: no column 'who'"):
        read_people(frames, _spec(unit=True), np.random.default_rng(0))


def test_large_tables_are_attacked_by_fewer_people():
    assert affordable_people(2000, 40_000, 15) == 2000
    assert affordable_people(2000, 10_000_000, 15) == 300
