"""Snapshots: what a table must be, how it is bounded and split by person, and what of it is private."""

import datetime as dt
import re

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.errors import TableError
from synth_pipeline.snapshot.check import check_schema
from synth_pipeline.snapshot.fingerprint import fingerprint, released_fingerprint
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.snapshot.take import take_snapshot
from synth_pipeline.snapshot.unit import bound_contributions, holdout_rows, split_holdout
from synth_pipeline.spec import Spec
from synth_pipeline.table.person import PERSON_ROWS

KEY = bytes(range(32))
COLUMNS = {
    "age": {"kind": "integer", "min": 10, "max": 90, "nullable": True},
    "pay": {"kind": "float", "min": 0, "max": 10, "precision": 1},
    "sex": {"kind": "categorical", "categories": ["F", "M"], "nullable": True},
    "grade": {"kind": "ordinal", "categories": [1, 2, 3]},
    "member": {"kind": "boolean"},
    "seen": {"kind": "datetime", "min": "2020-01-01", "max": "2020-12-31", "precision": "day"},
    "city": {"kind": "categorical", "discover": True, "nullable": True},
}


def make_spec(columns=COLUMNS, **changes):
    return Spec.from_mapping({"dataset": "d", "privacy": {"epsilon": 1}, "columns": columns, **changes})


def person_spec(max_rows=2, holdout=0.3):
    privacy = {"epsilon": 1, "unit": {"column": "person", "max_rows": max_rows}}
    columns = {"person": {"kind": "identifier"}, "x": {"kind": "integer", "min": 0, "max": 99}}
    return make_spec(columns, privacy=privacy, holdout=holdout)


def make_frame():
    return pd.DataFrame(
        {
            "age": [10.0, None, 90.0, 40.0],
            "pay": [0.0, 10.0, 3.3, 0.1],
            "sex": ["F", "M", None, "F"],
            "grade": [1, 3, 2, 2],
            "member": [True, False, True, False],
            "seen": pd.to_datetime(["2020-01-01", "2020-12-31", "2020-01-02", "2020-02-01"]),
            "city": ["Oslo", None, "Bergen", "Oslo"],
        }
    )


def people(rows=4000, persons=700, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"person": [f"p{number}" for number in rng.integers(persons, size=rows)], "x": rng.integers(100, size=rows)}
    )


def test_native_codes_are_cells_of_the_declared_domain_with_null_below():
    native, clipped = to_native(make_frame(), make_spec())
    assert {name: codes.tolist() for name, codes in native.columns.items()} == {
        "age": [0, -1, 80, 30],
        "pay": [0, 100, 33, 1],
        "sex": [0, 1, -1, 0],
        "grade": [0, 2, 1, 1],
        "member": [1, 0, 1, 0],
        "seen": [0, 365, 1, 31],
        "city": [1, -1, 0, 1],
    }
    assert native.vocabularies == {"city": ("Bergen", "Oslo")}
    assert (clipped, native.units, native.columns["age"].dtype) == ({}, None, np.int16)


@pytest.mark.parametrize(
    "name, values",
    [
        ("age", pd.Series([10, None, 90, 40], dtype="Int64")),
        ("age", pd.Series([10, None, 90, 40], dtype=object)),
        ("age", pd.Series([10, None, 90, 40], dtype="category")),
        ("sex", pd.Series(["F", "M", None, "F"], dtype="category")),
        ("sex", pd.Series(["F", "M", None, "F"], dtype=object)),
        ("grade", pd.Series(["1", "3", "2", "2"])),
        ("grade", pd.Series([1.0, 3.0, 2.0, 2.0])),
        ("member", pd.Series([1, 0, 1, 0])),
        ("member", pd.Series([True, False, True, False], dtype=object)),
        ("member", pd.Series([True, False, True, False], dtype="boolean")),
        ("seen", pd.Series([dt.date(2020, 1, 1), dt.date(2020, 12, 31), dt.date(2020, 1, 2), dt.date(2020, 2, 1)])),
        ("seen", pd.to_datetime(make_frame()["seen"]).dt.tz_localize("Europe/Berlin")),
    ],
)
def test_codes_and_fingerprint_do_not_depend_on_the_physical_dtype(name, values):
    spec, frame = make_spec(), make_frame()
    other = frame.assign(**{name: values})
    check_schema(other, spec)
    assert to_native(other, spec)[0].columns[name].tolist() == to_native(frame, spec)[0].columns[name].tolist()
    assert fingerprint(other, spec, key=KEY) == fingerprint(frame, spec, key=KEY)


@pytest.mark.parametrize(
    "change, fault",
    [
        (lambda f: f.drop(columns="sex"), "column 'sex' is missing (declared as categorical)"),
        (lambda f: f.assign(extra=1), "column 'extra' is not declared; declare it (kind: identifier"),
        (
            lambda f: f.assign(extra=1, more=2),
            "columns 'extra', 'more' are not declared; declare each (kind: identifier",
        ),
        (lambda f: f.assign(age=["a"] * 4), "column 'age' holds text and is declared as integer; convert it"),
        (lambda f: f.assign(age=[1.5, 2.0, 3.5, 4.0]), "column 'age' holds 2 rows that are not whole numbers"),
        (lambda f: f.assign(age=[True] * 4), "column 'age' holds true/false values and is declared as integer"),
        (lambda f: f.assign(seen=["2020-01-01"] * 4), "column 'seen' holds text and is declared as datetime"),
        (lambda f: f.assign(member=[0, 1, 2, 7]), "column 'member' holds 2 rows that are neither 0 nor 1"),
        (
            lambda f: f.assign(sex=pd.to_datetime(["2020-01-01"] * 4)),
            "column 'sex' holds dates and is declared as categorical",
        ),
        (lambda f: f.assign(sex=pd.Series(["F", 3, None, 1.5], dtype=object)), "column 'sex' holds mixed values"),
        (lambda f: f.assign(pay=pd.to_timedelta([1, 2, 3, 4])), "column 'pay' holds durations"),
        (lambda f: pd.concat([f, f[["age"]]], axis=1), "columns that share a name: age"),
    ],
)
def test_a_table_that_is_not_as_declared_is_refused(change, fault):
    with pytest.raises(TableError) as refusal:
        check_schema(change(make_frame()), make_spec())
    assert fault in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_all_faults_of_a_table_are_in_one_error():
    frame = make_frame().drop(columns="pay").assign(age=["a"] * 4, extra=1)
    with pytest.raises(TableError, match=r"'pay' is missing.*'extra' is not declared.*'age' holds text"):
        check_schema(frame, make_spec())


@pytest.mark.parametrize(
    "change, fault",
    [
        ({"age": [9, 91, 40, np.inf]}, "column 'age': 3 rows outside the declared range 10 to 90; widen min and max"),
        ({"pay": [-1, 0, 0, 0]}, "column 'pay': 1 rows outside the declared range 0.0 to 10.0"),
        ({"pay": [None, None, 0, 0]}, "column 'pay': 2 rows are null and it is not declared as nullable"),
        (
            {"sex": ["F", "Zeppelin", None, "M"]},
            "column 'sex': 1 rows outside the declared categories F, M; declare the others too",
        ),
        ({"grade": [1, 2, 3, 77]}, "column 'grade': 1 rows outside the declared categories 1, 2, 3"),
        (
            {"seen": pd.to_datetime(["2019-12-31", "2020-01-01", "2020-01-01", "2031-07-07"])},
            "column 'seen': 2 rows outside",
        ),
    ],
)
def test_values_outside_the_declared_domain_are_refused_by_count(change, fault):
    with pytest.raises(TableError) as refusal:
        to_native(make_frame().assign(**change), make_spec())
    assert fault in str(refusal.value)
    assert not any(value in str(refusal.value) for value in ("Zeppelin", "77", "91", "2031"))


def test_clipping_moves_numbers_to_the_bound_and_categories_to_null_and_counts_them():
    columns = {
        **COLUMNS,
        "age": {**COLUMNS["age"], "on_outside": "clip"},
        "sex": {**COLUMNS["sex"], "on_outside": "clip"},
    }
    frame = make_frame().assign(age=[-5, 200, np.inf, None], sex=["X", "F", None, "M"])
    native, clipped = to_native(frame, make_spec(columns))
    assert native.columns["age"].tolist() == [0, 80, 80, -1]
    assert native.columns["sex"].tolist() == [-1, 0, -1, 1]
    assert clipped == {"age": 3, "sex": 1}


def test_each_person_keeps_at_most_the_declared_rows_and_the_choice_is_theirs_alone():
    frame, spec = people(), person_spec(max_rows=3)
    kept = bound_contributions(frame, spec, key=KEY)
    counts, all_counts = frame[kept].groupby("person").size(), frame.groupby("person").size()
    assert (counts == all_counts.clip(upper=3)).all()
    without = frame[frame["person"] != "p5"]
    assert bound_contributions(without, spec, key=KEY).tolist() == kept[frame["person"] != "p5"].tolist()
    other_key = bound_contributions(frame, spec, key=bytes(32))
    assert (other_key != kept).any()


def test_the_kept_rows_do_not_depend_on_the_order_of_the_file():
    frame, spec = people(), person_spec()
    shuffled = frame.sample(frac=1, random_state=1)
    kept = frame[bound_contributions(frame, spec, key=KEY)].value_counts().sort_index()
    assert kept.equals(shuffled[bound_contributions(shuffled, spec, key=KEY)].value_counts().sort_index())


def test_a_person_is_on_the_same_side_of_the_split_in_every_snapshot():
    spec = person_spec()
    first, second = people(seed=1), people(seed=2)
    sides = pd.concat([frame.assign(held=holdout_rows(frame, spec, key=KEY)) for frame in (first, second)])
    sides_of = sides.groupby("person")["held"]
    assert (sides_of.min() == sides_of.max()).all()
    assert sides_of.first().mean() == pytest.approx(0.3, abs=0.07)
    assert (holdout_rows(first, spec, key=bytes(32)) != holdout_rows(first, spec, key=KEY)).any()


def test_a_number_and_its_text_are_the_same_person():
    spec = person_spec()
    frame = people().assign(person=lambda f: f["person"].str[1:].astype(int))
    as_text = frame.assign(person=frame["person"].astype(str))
    assert (holdout_rows(frame, spec, key=KEY) == holdout_rows(as_text, spec, key=KEY)).all()


def test_where_rows_are_persons_one_row_more_moves_no_other_content_across_the_split():
    columns = {"x": {"kind": "integer", "min": 0, "max": 9}}
    spec = make_spec(columns, holdout=0.4)
    frame = pd.DataFrame({"x": np.random.default_rng(0).integers(10, size=500)})
    train, held = split_holdout(frame, spec, key=KEY)
    more_train, more_held = split_holdout(pd.concat([pd.DataFrame({"x": [3]}), frame]), spec, key=KEY)
    assert len(train) + len(held) == 500
    assert len(held) == pytest.approx(200, abs=50)
    added = sum(
        (more["x"].value_counts() - fewer["x"].value_counts()).abs().sum()
        for more, fewer in ((more_train, train), (more_held, held))
    )
    assert added == 1


def test_the_fingerprint_ignores_order_and_sees_every_value():
    frame, spec = make_frame(), make_spec()
    same = frame.sample(frac=1, random_state=3)[list(reversed(frame.columns))]
    assert fingerprint(same, spec, key=KEY) == fingerprint(frame, spec, key=KEY)
    changed = [
        frame.assign(age=[10, None, 90, 41]),
        frame.assign(sex=["F", "M", None, "M"]),
        frame.head(3),
        frame.assign(city=None),
    ]
    found = {fingerprint(other, spec, key=KEY) for other in [frame, *changed]} | {
        fingerprint(frame, spec, key=bytes(32))
    }
    assert len(found) == 6


def test_what_is_shown_of_equal_snapshots_does_not_tell_that_they_are_equal():
    content = fingerprint(make_frame(), make_spec(), key=KEY)

    def shown(content=content, dataset="people", snapshot="may", key=KEY):
        return released_fingerprint(content, dataset=dataset, snapshot=snapshot, key=key)

    others = [shown(snapshot="june"), shown(dataset="staff"), shown(key=b"o" * 32), shown("0" * 64), content]
    assert len({shown(), *others}) == 6
    assert shown() == shown()
    assert re.fullmatch("[0-9a-f]{64}", shown())


def test_a_snapshot_divides_the_bounded_rows_and_encodes_those_to_train_on():
    frame, spec = people(), person_spec(max_rows=2)
    snapshot = take_snapshot(frame, spec, key=KEY, holdout=True)
    counts = snapshot.counts
    assert snapshot.holdout is not None
    assert (counts.rows, counts.train_rows, counts.holdout_rows) == (4000, len(snapshot.train), len(snapshot.holdout))
    assert counts.rows == counts.train_rows + counts.holdout_rows + counts.dropped_rows
    assert counts.dropped_rows > 0
    assert not set(snapshot.train["person"]) & set(snapshot.holdout["person"])
    assert snapshot.native.columns["x"].tolist() == snapshot.train["x"].tolist()
    assert snapshot.native.units is not None
    assert (pd.factorize(snapshot.train["person"])[0] == pd.factorize(snapshot.native.units)[0]).all()
    assert snapshot.native.units.max() == snapshot.train["person"].nunique() - 1


def test_all_rows_of_a_person_are_on_one_side_and_those_to_train_on_say_how_many_their_person_has():
    frame, spec = people(), person_spec(max_rows=3)
    snapshot = take_snapshot(frame, spec, key=KEY, holdout=True)
    assert not set(snapshot.train["person"]) & set(snapshot.holdout["person"])
    units, numbers = snapshot.native.units, snapshot.native.columns[PERSON_ROWS] + 1
    sizes = np.bincount(units)
    assert sizes.min() >= 1
    assert sizes.max() <= 3
    assert np.array_equal(sizes[units], numbers)
    assert np.array_equal(snapshot.train.groupby("person")["person"].transform("size"), numbers)


def test_without_a_holdout_every_row_is_trained_on():
    snapshot = take_snapshot(make_frame(), make_spec(), key=KEY, holdout=False)
    assert snapshot.holdout is None
    pd.testing.assert_frame_equal(snapshot.train, make_frame())


def test_a_value_of_the_holdout_alone_is_not_in_the_vocabulary_to_be_discovered():
    spec = make_spec({"city": {"kind": "categorical", "discover": True}}, holdout=0.5)
    frame = pd.DataFrame({"city": [f"town {number}" for number in range(60)]})
    snapshot = take_snapshot(frame, spec, key=KEY, holdout=True)
    assert set(snapshot.native.vocabularies["city"]) == set(snapshot.train["city"])
    vocabulary = np.array(snapshot.native.vocabularies["city"])
    assert vocabulary[snapshot.native.columns["city"]].tolist() == snapshot.train["city"].tolist()


def test_an_infinite_number_that_is_clipped_lies_at_the_end_of_its_range_and_the_rest_as_it_came():
    columns = {
        "fee": {"kind": "float", "min": 0, "max": 9, "on_outside": "clip", "nullable": True},
        "age": {"kind": "integer", "min": 1, "max": 5, "on_outside": "clip"},
    }
    frame = pd.DataFrame({"fee": [np.inf, -np.inf, 77.0, np.nan], "age": [2.0, np.inf, 4.0, -np.inf]})
    snapshot = take_snapshot(frame, make_spec(columns), key=KEY, holdout=False)
    expected = pd.DataFrame({"fee": [9.0, 0.0, 77.0, np.nan], "age": [2.0, 5.0, 4.0, 1.0]})
    pd.testing.assert_frame_equal(snapshot.train, expected)
    assert np.isinf(frame["fee"]).sum() == 2
    with pytest.raises(TableError, match="outside the declared range"):
        take_snapshot(
            frame, make_spec({**columns, "fee": {**columns["fee"], "on_outside": "refuse"}}), key=KEY, holdout=False
        )


def test_the_repr_of_a_snapshot_shows_no_content():
    snapshot = take_snapshot(make_frame(), make_spec(), key=KEY, holdout=False)
    shown = repr(snapshot) + repr(snapshot.counts) + repr(snapshot.native)
    assert not any(value in shown for value in ("Oslo", "Bergen", "90", "rows=4"))


def test_a_missing_person_and_an_empty_side_are_refused():
    frame = people(20).assign(person=lambda f: f["person"].where(f.index > 2))
    with pytest.raises(TableError, match=r"column 'person' \(privacy.unit.column\): 3 rows are null"):
        take_snapshot(frame, person_spec(), key=KEY, holdout=True)
    with pytest.raises(TableError, match="leaves no rows for"):
        take_snapshot(people(1), person_spec(), key=KEY, holdout=True)
