import numpy as np
import pandas as pd
import pytest

from synth_pipeline.report.chart import Bar, HeatMap, Marker, ScoreChart, fewer_bins, fewer_categories
from synth_pipeline.report.comparison import Tables, compare_column, cramers_v
from synth_pipeline.report.page import number_text
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoricalColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    OrdinalColumn,
)


def bars(count):
    return [
        Bar(f"{10 * index} – {10 * index + 9}", (index + 1) / 1000, 0.01, (Marker("synthetic", 0.001),))
        for index in range(count)
    ]


@pytest.mark.parametrize("shorten, most", [(fewer_categories, 5), (fewer_bins, 7)])
def test_shortened_charts_keep_every_share_and_add_noise_in_squares(shorten, most):
    given = bars(50)
    short = shorten(given, most=most)
    assert len(short) == most
    assert sum(bar.value for bar in short) == pytest.approx(sum(bar.value for bar in given))
    assert sum(bar.markers[0].value for bar in short) == pytest.approx(0.05)
    assert sum(bar.noise**2 for bar in short) == pytest.approx(50 * 0.01**2)


def test_the_largest_categories_stay_by_name():
    assert [bar.label for bar in fewer_categories(bars(6), most=3)] == ["40 – 49", "50 – 59", "4 others"]


def test_categories_that_would_be_drawn_as_nothing_are_among_the_others():
    empty = [Bar(str(year), 0.0, 0.01, (Marker("synthetic", 0.0001),)) for year in range(1990, 2011)]
    full = [Bar("2012", 0.6, 0.01, (Marker("synthetic", 0.6),)), Bar("2014", 0.4, 0.01, (Marker("synthetic", 0.4),))]
    assert [bar.label for bar in fewer_categories([*empty, *full])] == ["2012", "2014", "21 others"]
    assert len(fewer_categories(empty, most=5)) == 5  # where all are small, the largest are shown all the same


def test_joined_bins_are_named_by_their_outer_ends():
    assert [bar.label for bar in fewer_bins(bars(4), most=2)] == ["0 – 19", "20 – 39"]


def test_few_bars_are_left_alone():
    assert fewer_bins(bars(3)) == fewer_categories(bars(3)) == tuple(bars(3))


def test_an_interval_ends_where_shares_do():
    assert (Bar("x", 0.01, 0.05).low, Bar("x", 0.99, 0.05).high) == (0.0, 1.0)


def test_scores_outside_the_axis_are_drawn_at_its_ends():
    chart = ScoreChart("t", "", 0.5, 1.0, ())
    assert [chart.place(value) for value in (0.0, 0.75, 2.0)] == [0.0, 50.0, 100.0]


def test_colours_follow_size_and_stay_readable():
    found = HeatMap("t", ("a", "b"), np.array([[1.0, -0.05], [0.2, 1.0]]), 0.1)
    assert found.strength(0, 1) == pytest.approx(0.35)
    assert found.strength(1, 0) == pytest.approx(0.7)


@pytest.mark.parametrize(
    "value, text",
    [(0.0, "0"), (3.0, "3"), (0.1234567, "0.1235"), (1234567.0, "1,234,567"), (12345.678, "12,346"), (-2.5, "-2.5")],
)
def test_numbers_are_short(value, text):
    assert number_text(value) == text


def test_cramers_v_by_hand():
    left, right = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 0, 1, 1])
    assert cramers_v(left, right) == pytest.approx(1 / 3)
    assert cramers_v(left, np.zeros(6, dtype=int)) == 0.0
    assert cramers_v(left, left) == pytest.approx(1.0)


def compared(column, train, holdout, synthetic):
    return compare_column(Tables(*(pd.DataFrame({"x": values}) for values in (train, holdout, synthetic))), "x", column)


def test_categories_are_ordered_by_their_share_in_train_and_nulls_come_last():
    chart = compared(
        CategoricalColumn(categories=("a", "b"), nullable=True), ["a", "b", "b", None], ["b"] * 4, ["a", "a", "b", "b"]
    )
    assert [(bar.label, bar.value, *(marker.value for marker in bar.markers)) for bar in chart.bars] == [
        ("b", 0.5, 0.5, 1.0),
        ("a", 0.25, 0.5, 0.0),
        ("null", 0.25, 0.0, 0.0),
    ]
    assert chart.distance == pytest.approx(0.25)


def test_ordered_categories_keep_their_order_and_undeclared_ones_follow():
    chart = compared(OrdinalColumn(categories=("low", "high")), ["high", "high", "low"], ["low"], ["other"])
    assert [bar.label for bar in chart.bars] == ["low", "high", "other"]


def test_booleans_in_any_dtype_are_one_column():
    chart = compared(BooleanColumn(), [1, 0], [True, False], pd.array([True, False], dtype="boolean"))
    assert {bar.label for bar in chart.bars} == {"True", "False"}
    assert chart.distance == 0


@pytest.mark.parametrize(
    "column, train",
    [
        (IntegerColumn(min=0, max=10**6), [0, 1, 2, 10**6]),
        (IntegerColumn(min=0, max=9), [5, 5, 5, 5]),
        (FloatColumn(min=0, max=1, precision=2), [0.5, 0.5, 0.5, 0.5]),
        (FloatColumn(min=0, max=1, nullable=True), [0.1, None, 0.9, 0.4]),
        (FloatColumn(min=0, max=1, nullable=True), [None, None, None, np.nan]),
        (
            DatetimeColumn(min="2020-01-01", max="2021-01-01"),
            pd.to_datetime(["2020-01-01", "2020-05-05", "2020-12-31", "2020-12-31"]),
        ),
    ],
)
def test_bins_hold_every_row_of_every_table(column, train):
    chart = compared(column, train, train[:2], train[::-1])
    assert sum(bar.value for bar in chart.bars) == pytest.approx(1)
    assert [sum(bar.markers[index].value for bar in chart.bars) for index in (0, 1)] == pytest.approx([1, 1])
    assert chart.distance == pytest.approx(0)


def test_few_whole_numbers_have_a_bin_each():
    chart = compared(IntegerColumn(min=0, max=3), [0, 1, 2, 3], [0], [3, 3])
    assert [bar.label for bar in chart.bars] == ["0", "1", "2", "3"]
