"""Reading and writing tables: physical dtypes survive, and a broken file is refused in one line."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_pipeline.errors import TableError
from synth_pipeline.snapshot.read import read_table, write_table
from synth_pipeline.spec import Spec

SPEC = Spec.from_mapping(
    {
        "dataset": "people",
        "privacy": {"epsilon": 1},
        "columns": {
            "name": {"kind": "identifier", "faker": "name"},
            "age": {"kind": "integer", "min": 0, "max": 120},
            "visits": {"kind": "integer", "min": 0, "max": 9, "nullable": True},
            "pay": {"kind": "float", "min": 0, "max": 10, "nullable": True},
            "zip": {"kind": "categorical", "categories": ["007", "0100"], "nullable": True},
            "code": {"kind": "categorical", "categories": [1, 2]},
            "member": {"kind": "boolean", "nullable": True},
            "active": {"kind": "boolean"},
            "seen": {"kind": "datetime", "min": "2015-01-01", "max": "2030-01-01", "nullable": True},
        },
    }
)
HEADER = "name,age,visits,pay,zip,code,member,active,seen\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_text_becomes_what_the_spec_declares(tmp_path):
    text = (
        HEADER
        + '007,30,3,1.5,007,1,yes,1,2020-01-31\n"a, b",41,,,,2,,FALSE,\n,5,0,2e0,0100,1,No,true,2020-01-31T13:45:00\n'
    )
    frame = read_table(write(tmp_path / "t.csv", text), SPEC)
    assert frame["name"].fillna("null").tolist() == ["007", "a, b", "null"]
    assert (frame["age"].dtype, frame["age"].tolist()) == ("int64", [30, 41, 5])
    assert (frame["visits"].dtype, frame["visits"].fillna(-1).tolist()) == ("float64", [3, -1, 0])
    assert frame["pay"].fillna(-1).tolist() == [1.5, -1, 2]
    assert frame["zip"].fillna("null").tolist() == ["007", "null", "0100"]
    assert (frame["code"].dtype, frame["code"].tolist()) == ("int64", [1, 2, 1])
    assert (frame["member"].dtype, frame["member"].tolist()) == (object, [True, None, False])
    assert (frame["active"].dtype, frame["active"].tolist()) == (bool, [True, False, True])
    assert frame["seen"].dtype == "datetime64[us]"
    assert frame["seen"].isna().tolist() == [False, True, False]
    assert frame["seen"][2] == pd.Timestamp("2020-01-31 13:45")


@pytest.mark.parametrize("head", ["\ufeff", ""])
def test_csv_may_start_with_a_byte_order_mark(tmp_path, head):
    frame = read_table(write(tmp_path / "t.csv", head + HEADER + "x,30,3,1.5,007,1,yes,1,2020-01-31\n"), SPEC)
    assert list(frame.columns) == list(SPEC.columns)


def test_csv_fields_that_do_not_parse_are_counted_and_not_shown(tmp_path):
    text = HEADER + "x,3O,3.5,1.5,007,1,maybe,1,31.1.2020\nx,secret,2,1.5,007,one,yes,1,2020-01-31\n"
    with pytest.raises(TableError) as refusal:
        read_table(write(tmp_path / "t.csv", text), SPEC)
    message = str(refusal.value)
    for fault in (
        "column 'age': 2 rows do not parse as whole numbers",
        "column 'visits': 1 rows do not parse as whole numbers",
        "column 'code': 1 rows do not parse as numbers, as its categories are",
        "column 'member': 1 rows do not parse as true/false",
        "column 'seen': 1 rows do not parse as ISO dates",
    ):
        assert fault in message
    assert "\n" not in message
    assert not any(value in message for value in ("3O", "secret", "maybe", "31.1.2020", "one;"))


def test_true_and_false_written_as_numbers_by_pandas_are_read(tmp_path):
    text = HEADER + "x,30,3,1.5,007,1,1.0,1,2020-01-31\nx,30,3,1.5,007,1,0.0,1,2020-01-31\n"
    assert read_table(write(tmp_path / "t.csv", text), SPEC)["member"].tolist() == [True, False]


def test_csv_without_a_spec_is_read_as_the_narrowest_kind(tmp_path):
    text = "a,b,c,d,e,f\n1,1.5,007,true,2020-01-31,\n2,3,12,False,2021-01-31,\n"
    frame = read_table(write(tmp_path / "t.csv", text))
    assert [str(dtype) for dtype in frame.dtypes] == ["int64", "float64", "str", "bool", "datetime64[us]", "str"]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, 2], dtype="int32"),
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1.0, None]),
        pd.Series(["a", None], dtype="str"),
        pd.Series(["a", None], dtype="string"),
        pd.Series([True, None], dtype="boolean"),
        pd.Series([True, None], dtype=object),
        pd.Series(["a", "b"], dtype="category"),
        pd.Series(pd.to_datetime(["2020-01-01", None])).astype("datetime64[us]"),
        pd.Series(pd.to_datetime(["2020-01-01", None])).dt.tz_localize("UTC").astype("datetime64[us, UTC]"),
    ],
)
def test_parquet_keeps_the_physical_dtype(tmp_path, values):
    frame = pd.DataFrame({"x": values})
    write_table(frame, tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), frame)


def test_parquet_dates_become_datetimes_and_decimals_floats(tmp_path):
    table = pa.table({"seen": [dt.date(2020, 1, 1), None], "pay": [Decimal("1.20"), Decimal("3.40")]})
    pq.write_table(table, tmp_path / "t.parquet")
    frame = read_table(tmp_path / "t.parquet")
    assert frame["seen"].dtype.kind == "M"
    assert frame["pay"].tolist() == [1.2, 3.4]


@pytest.mark.parametrize("visits", [[1, 2], [1, None]])
def test_the_dtype_of_a_nullable_column_does_not_tell_whether_a_null_occurs(tmp_path, visits):
    table = pa.table(
        {"visits": pa.array(visits, pa.int64()), "member": pa.array([True, visits[1] and False], pa.bool_())}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    frame = read_table(tmp_path / "t.parquet", SPEC)
    assert [str(dtype) for dtype in frame.dtypes] == ["float64", "object"]


@pytest.mark.parametrize("number", [2, None])
def test_the_dtype_of_an_identifier_does_not_tell_whether_a_null_occurs(tmp_path, number):
    spec = Spec.from_mapping(
        {
            "dataset": "people",
            "privacy": {"epsilon": 1, "unit": {"column": "person", "max_rows": 2}},
            "columns": {
                **{name: {"kind": "identifier"} for name in ("person", "serial", "seal")},
                "age": {"kind": "integer", "min": 0, "max": 120},
            },
        }
    )
    truth = None if number is None else True
    table = pa.table(
        {"person": [7, 8], "serial": pa.array([1, number], pa.int32()), "seal": [False, truth], "age": [30, 40]}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    frame = read_table(tmp_path / "t.parquet", spec)
    assert [str(dtype) for dtype in frame.dtypes] == ["int64", "int32", "bool", "int64"]


def test_a_person_who_is_null_stays_null_to_be_refused(tmp_path):
    spec = Spec.from_mapping(
        {
            "dataset": "people",
            "privacy": {"epsilon": 1, "unit": {"column": "person", "max_rows": 2}},
            "columns": {"person": {"kind": "identifier"}, "age": {"kind": "integer", "min": 0, "max": 120}},
        }
    )
    pq.write_table(pa.table({"person": pa.array([7, None], pa.int64()), "age": [30, 40]}), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", spec)["person"].isna().tolist() == [False, True]


def test_a_named_index_in_a_parquet_file_is_a_column(tmp_path):
    pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", "b"], name="key")).to_parquet(tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").columns) == ["key", "x"]


def truncated(path):
    pd.DataFrame({"x": np.arange(1000)}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])


def same_names(path):
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]), path)


@pytest.mark.parametrize(
    "name, make, fault",
    [
        ("t.parquet", lambda path: path.unlink(missing_ok=True), "no such file"),
        ("t.parquet", lambda path: path.mkdir(), "not a file"),
        (
            "t.xlsx",
            lambda path: path.write_text("x"),
            r"\.xlsx is not supported; use a file that ends in \.parquet or \.csv",
        ),
        ("t", lambda path: path.write_text("x"), "no extension is not supported"),
        ("t.parquet", lambda path: path.write_text(""), "the file is empty"),
        ("t.csv", lambda path: path.write_text(""), "the file is empty"),
        ("t.parquet", truncated, "not a readable parquet file"),
        ("t.parquet", lambda path: path.write_text("x,y\n1,2\n"), "not a readable parquet file"),
        ("t.parquet", lambda path: pd.DataFrame({"x": []}).to_parquet(path), "has no rows"),
        ("t.csv", lambda path: path.write_text("x,y\n"), "has no rows"),
        ("t.parquet", same_names, "columns that share a name: x;"),
        ("t.csv", lambda path: path.write_text("x,x\n1,2\n"), "columns that share a name: x;"),
        ("t.csv", lambda path: path.write_text("x,y\n1,2\n1,2,3\n"), "does not parse as CSV"),
        ("t.csv", lambda path: path.write_text("x,y\n1\n"), "does not parse as CSV"),
        ("t.csv", lambda path: path.write_bytes(b"x,y\n\xff\xfe,1\n"), "does not parse as CSV"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, name, make, fault):
    make(tmp_path / name)
    with pytest.raises(TableError, match=f"^holdout: .*{fault}") as refusal:
        read_table(tmp_path / name, what="holdout")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_what_is_written_is_read_back_and_nothing_else_is_left(tmp_path, name):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    write_table(frame.head(1), tmp_path / name)
    write_table(frame, tmp_path / name)
    pd.testing.assert_frame_equal(read_table(tmp_path / name), frame)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_table_that_cannot_be_written_leaves_the_old_file_as_it_was(tmp_path):
    write_table(pd.DataFrame({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(Exception, match=r"(?i)convert|expected|mixed"):
        write_table(pd.DataFrame({"a": [1, "x", b"y"]}), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["a"].tolist() == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize("name, fault", [("t.json", "not supported"), ("gone/t.csv", "no such folder")])
def test_writing_elsewhere_is_refused(tmp_path, name, fault):
    with pytest.raises(TableError, match=fault):
        write_table(pd.DataFrame({"a": [1]}), tmp_path / name)
