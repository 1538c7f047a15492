"""Reading the three tables, and refusing what does not fit the specification."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.benchmark.scored_table import read_tables
from synth_pipeline.errors import TableError


def test_identifiers_are_left_out_and_need_not_exist(frames, make_spec):
    train, holdout, synthetic = frames
    tables = read_tables(train, holdout, synthetic.drop(columns="name"), make_spec())
    assert tables.names == ("age", "wage", "seen_at", "job", "level", "member")
    assert tables.kinds["member"] == "categorical"


def test_extra_columns_and_another_order_of_columns_are_accepted(frames, make_spec):
    train, holdout, synthetic = frames
    other = synthetic[synthetic.columns[::-1]].assign(extra=1)
    tables = read_tables(train, holdout, other, make_spec())
    np.testing.assert_array_equal(tables.synthetic.numbers["age"], synthetic["age"])


def test_the_same_category_has_one_code_whatever_the_type_that_holds_it(frames, make_spec):
    train, holdout, synthetic = frames
    as_float = synthetic.assign(level=synthetic["level"].astype(float))
    as_category = holdout.assign(level=holdout["level"].astype("category"), job=holdout["job"].astype("category"))
    plain = read_tables(train, holdout, synthetic, make_spec())
    other = read_tables(train, as_category, as_float, make_spec())
    np.testing.assert_array_equal(plain.synthetic.categories["level"], other.synthetic.categories["level"])
    np.testing.assert_array_equal(plain.holdout.categories["job"], other.holdout.categories["job"])
    assert other.vocabulary_sizes["level"] == 3


def test_nullable_types_dates_and_decimals_are_read_as_the_plain_types(frames, make_spec):
    train, holdout, synthetic = frames
    other = synthetic.assign(
        age=synthetic["age"].astype("Int64"),
        wage=[None if np.isnan(value) else Decimal(str(value)) for value in synthetic["wage"]],
        seen_at=[value.date() for value in synthetic["seen_at"]],
        member=synthetic["member"].astype(object),
    )
    plain = read_tables(train, holdout, synthetic, make_spec()).synthetic
    read = read_tables(train, holdout, other, make_spec()).synthetic
    for name in ("age", "wage", "seen_at"):
        np.testing.assert_allclose(read.numbers[name], plain.numbers[name])
    np.testing.assert_array_equal(read.categories["member"], plain.categories["member"])


def test_times_with_a_zone_are_read_as_local_times(frames, make_spec):
    train, holdout, synthetic = frames
    other = synthetic.assign(seen_at=synthetic["seen_at"].dt.tz_localize("Europe/Berlin"))
    read = read_tables(train, holdout, other, make_spec())
    plain = read_tables(train, holdout, synthetic, make_spec())
    np.testing.assert_array_equal(read.synthetic.numbers["seen_at"], plain.synthetic.numbers["seen_at"])


def test_a_repr_shows_no_cell(frames, make_spec):
    tables = read_tables(*frames, make_spec())
    assert repr(tables) == "ScoredTables(6 columns, contents withheld)"
    assert "clerk" not in repr(tables.train)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda frame: frame.drop(columns=["age", "job"]), "synthetic: missing column(s) age, job"),
        (lambda frame: frame.iloc[:0], "synthetic: has no rows"),
        (lambda frame: frame.assign(age="secret"), "synthetic: column 'age' holds text"),
        (lambda frame: frame.assign(wage=np.inf), "synthetic: column 'wage' holds infinite values"),
        (lambda frame: frame.assign(seen_at="2021-01-01"), "synthetic: column 'seen_at' holds text"),
        (lambda frame: frame.assign(job=7), "synthetic: column 'job' holds numbers, an earlier table holds text"),
        (lambda frame: frame.assign(job=[["a"]] * len(frame)), "synthetic: column 'job' holds mixed values"),
        (lambda frame: frame.assign(age=dt.date(2020, 1, 1)), "synthetic: column 'age' holds times"),
        (lambda frame: pd.concat([frame, frame[["age"]]], axis=1), "synthetic: more than one column named age"),
        (str, "synthetic: not a DataFrame but str"),
    ],
)
def test_bad_tables_are_refused_in_one_line_that_shows_no_value(change, message, frames, make_spec):
    train, holdout, synthetic = frames
    with pytest.raises(TableError) as refusal:
        read_tables(train, holdout, change(synthetic), make_spec())
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_every_faulty_column_of_every_table_is_named_at_once(frames, make_spec):
    train, holdout, synthetic = frames
    with pytest.raises(TableError, match=r"holdout: column 'age'.*synthetic: column 'wage'"):
        read_tables(train, holdout.assign(age="x"), synthetic.assign(wage="x"), make_spec())
