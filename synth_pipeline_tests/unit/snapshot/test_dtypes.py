"""A synthetic table gets the columns, order and dtypes of the real one."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.errors import TableError
from synth_pipeline.snapshot.dtypes import physical_dtypes, restore_dtypes
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoricalColumn,
    DatetimeColumn,
    FloatColumn,
    IdentifierColumn,
    IntegerColumn,
)

INTEGER = IntegerColumn(min=0, max=100, nullable=True)
WORDS = CategoricalColumn(categories=("a", "b", "never seen"), nullable=True)
NUMBERS = CategoricalColumn(categories=(1, 2, 3), nullable=True)
MOMENT = DatetimeColumn(min="2000-01-01", max="2030-01-01", nullable=True)
MOMENTS = pd.Series(pd.to_datetime(["2020-01-01", "2021-01-01"]))


@pytest.mark.parametrize(
    "real, column, synthetic",
    [
        (pd.Series([1, 2], dtype="int64"), INTEGER, [5.0, 6.0]),
        (pd.Series([1, 2], dtype="int8"), INTEGER, [5, 6]),
        (pd.Series([1, 2], dtype="uint16"), INTEGER, [5, 6]),
        (pd.Series([1, None], dtype="Int64"), INTEGER, [5.0, np.nan]),
        (pd.Series([1, None], dtype="float64"), INTEGER, [5, 6]),
        (pd.Series([1, None], dtype="float32"), FloatColumn(min=0, max=9), [0.5, np.nan]),
        (pd.Series([1, None], dtype="int64[pyarrow]"), INTEGER, [5.0, np.nan]),
        (pd.Series(["a", None], dtype="str"), WORDS, ["b", None]),
        (pd.Series(["a", None], dtype="string"), WORDS, ["b", None]),
        (pd.Series(["a", None], dtype=object), WORDS, ["b", None]),
        (pd.Series(["1", "2"], dtype="str"), NUMBERS, [1, 3]),
        (pd.Series([1, 2], dtype="int64"), NUMBERS, [1, 3]),
        (pd.Series([1, None], dtype="float64"), NUMBERS, pd.Series([1, None], dtype=object)),
        (pd.Series([1, 2], dtype="int64"), CategoricalColumn(discover=True), ["7", "8"]),
        (pd.Series([True, False]), BooleanColumn(), [True, False]),
        (pd.Series([True, None], dtype=object), BooleanColumn(nullable=True), [None, False]),
        (pd.Series([True, None], dtype="boolean"), BooleanColumn(nullable=True), [None, False]),
        (pd.Series([0, 1]), BooleanColumn(), [True, False]),
        (pd.Series([0.0, None]), BooleanColumn(nullable=True), pd.Series([True, None], dtype=object)),
        (MOMENTS.astype("datetime64[ns]"), MOMENT, MOMENTS.astype("datetime64[us]")),
        (MOMENTS.astype("datetime64[ms]"), MOMENT, MOMENTS.astype("datetime64[us]")),
        (MOMENTS.dt.tz_localize("Europe/Berlin"), MOMENT, pd.Series(pd.to_datetime(["2020-03-29 02:30", None]))),
        (MOMENTS.dt.date, MOMENT, MOMENTS),
        (pd.Series(["a", "b"]), IdentifierColumn(), ["x", "y"]),
        (pd.Series([1, 2]), IdentifierColumn(), [3, 4]),
    ],
)
def test_the_dtype_comes_back_and_the_values_stay(real, column, synthetic):
    frame = pd.DataFrame({"x": synthetic})
    restored = restore_dtypes(frame, physical_dtypes(pd.DataFrame({"x": real})), {"x": column})["x"]
    assert restored.dtype == real.dtype
    assert restored.isna().tolist() == frame["x"].isna().tolist()
    given, found = frame["x"].dropna(), restored.dropna()
    if real.dtype.kind == "M":
        assert len(found) == len(given)
    elif isinstance(found.iloc[0], dt.date):
        assert found.tolist() == [moment.date() for moment in given]
    else:
        assert [str(value) for value in found] == [
            str(real.dtype.type(value)) if real.dtype.kind in "iuf" else str(value) for value in given
        ]


@pytest.mark.parametrize("is_ordered", [False, True])
@pytest.mark.parametrize("column, real, synthetic", [(WORDS, ["a", "b"], ["b", None]), (NUMBERS, [1, 2], [3, 1])])
def test_a_category_dtype_has_the_public_categories_and_never_those_of_the_data(column, real, synthetic, is_ordered):
    table = pd.DataFrame({"x": pd.Categorical(real, categories=[real[0], real[1]], ordered=is_ordered)})
    restored = restore_dtypes(pd.DataFrame({"x": synthetic}), physical_dtypes(table), {"x": column})["x"]
    assert restored.cat.categories.tolist() == list(column.categories)
    assert restored.cat.categories.dtype == table["x"].cat.categories.dtype
    assert (restored.cat.ordered, restored.isna().tolist()) == (is_ordered, [item is None for item in synthetic])
    assert restored.dropna().tolist() == [item for item in synthetic if item is not None]


def test_the_description_of_a_category_dtype_holds_no_category():
    described = physical_dtypes(pd.DataFrame({"x": pd.Categorical(["Oslo", "Bergen"])}))
    assert described == {"x": "category of str"}


def test_values_that_the_dtype_cannot_hold_are_kept_in_a_wider_one():
    frame = pd.DataFrame({"null": [1.0, None], "big": [300, 1], "key": ["a", "b"]})
    columns = {"null": INTEGER, "big": INTEGER, "key": IdentifierColumn()}
    restored = restore_dtypes(frame, {"null": "int64", "big": "int8", "key": "int64"}, columns)
    assert [str(dtype) for dtype in restored.dtypes] == ["float64", "int64", "str"]
    assert restored["big"].tolist() == [300, 1]


def test_columns_come_in_the_order_of_the_real_table_and_must_all_be_there():
    frame = pd.DataFrame({"b": [1], "a": [2]})
    columns = {"a": INTEGER, "b": INTEGER, "c": INTEGER}
    assert list(restore_dtypes(frame, {"a": "int64", "b": "int64"}, columns).columns) == ["a", "b"]
    with pytest.raises(TableError, match="no columns c"):
        restore_dtypes(frame, {"a": "int64", "c": "int64"}, columns)
