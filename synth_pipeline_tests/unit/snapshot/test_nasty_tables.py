"""Tables that are hard to read end in one line without a value of theirs; names of columns are told only where they are names."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_pipeline.errors import SpecError, TableError
from synth_pipeline.snapshot.dtypes import restore_dtypes
from synth_pipeline.snapshot.read import read_table
from synth_pipeline.snapshot.schema_drift import schema_findings
from synth_pipeline.snapshot.take import take_snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.table.arrays import check_comparable
from synth_pipeline.table.column import CategoricalColumn

ROWS, KEY = 12, b"k" * 32
CLIPPED = {"nullable": True, "on_outside": "clip"}
SPEC = Spec.from_mapping(
    {
        "dataset": "nasty",
        "columns": {
            "number": {"kind": "integer", "min": 0, "max": 100, **CLIPPED},
            "share": {"kind": "float", "min": 0, "max": 1, **CLIPPED},
            "ward": {"kind": "categorical", "categories": ["A", "B"], **CLIPPED},
            "seen": {"kind": "datetime", "min": "2015-01-01", "max": "2030-01-01", **CLIPPED},
        },
        "privacy": {"epsilon": 1},
    }
)
EAST = dt.timezone(dt.timedelta(hours=7))
DAY, FIRST_DAY = (dt.datetime(*day, tzinfo=dt.UTC).replace(tzinfo=None) for day in ((2021, 9, 9), (1, 1, 1)))


def plain() -> pd.DataFrame:
    return pd.DataFrame(
        {"number": 7, "share": 0.5, "ward": "A", "seen": pd.Timestamp("2020-01-01")}, index=range(ROWS)
    ).astype({"ward": "str"})


def objects(*values: object) -> pd.Series:
    return pd.Series((list(values) * ROWS)[:ROWS], dtype=object)


UNREADABLE = {
    "dates of two time zones": ("seen", (dt.datetime(2021, 9, 9, tzinfo=dt.UTC), dt.datetime(2021, 9, 9, tzinfo=EAST))),
    "dates with and without a time zone": ("seen", (dt.datetime(2021, 9, 9, tzinfo=dt.UTC), DAY)),
    "whole numbers beyond a double": ("number", (10**400, 5)),
    "numbers beyond a double": ("share", (10**400, 0.5)),
    "a number that signals": ("share", (Decimal("sNaN"), Decimal("0.5"))),
    "a category of thousands of digits": ("ward", (10**5000, 5)),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_objects_that_cannot_be_read_together_are_refused_in_one_line(name):
    column, values = UNREADABLE[name]
    with pytest.raises(TableError, match=f"column '{column}' holds (dates|numbers)") as refusal:
        take_snapshot(plain().assign(**{column: objects(*values)}), SPEC, key=KEY, holdout=False)
    assert "\n" not in str(refusal.value)
    assert not any(word in str(refusal.value) for word in ("2021", "NaN", "000"))


@pytest.mark.parametrize(
    "column, values",
    [
        ("number", (10**30, 5)),
        ("number", (Decimal(1), None)),
        ("share", (Decimal("NaN"), Decimal("1e999"))),
        ("seen", (dt.date(9999, 12, 31), FIRST_DAY)),
        ("seen", (np.datetime64("2020-01-01"), pd.NaT, None)),
        ("ward", ("A", pd.NA)),
    ],
)
def test_odd_objects_that_can_be_read_are(column, values):
    taken = take_snapshot(plain().assign(**{column: objects(*values)}), SPEC, key=KEY, holdout=False)
    assert taken.native.rows == ROWS


def unknown_zone(path):
    pq.write_table(pa.table({"seen": pa.array([1, 2], pa.timestamp("us", "Mars/Olympus"))}), path)


def bad_text(path):
    pq.write_table(pa.table({"text": pa.array([b"\xff\xfeZyx", b"b"]).view(pa.string())}), path)


def index_named_as_a_column(path):
    frame = plain()
    frame.index = pd.Index(range(ROWS), name="number")
    frame.to_parquet(path)


def lost_index(path):
    content = b'{"columns": [], "index_columns": ["nowhere"]}'
    pq.write_table(pa.Table.from_pandas(plain()).replace_schema_metadata({b"pandas": content}), path)


@pytest.mark.parametrize("make", [unknown_zone, bad_text, index_named_as_a_column, lost_index])
def test_a_parquet_file_that_pandas_cannot_hold_is_refused_in_one_line(tmp_path, make):
    make(tmp_path / "t.parquet")
    with pytest.raises(
        TableError, match=r"t.parquet: holds a column that pandas cannot represent; store plain"
    ) as refusal:
        read_table(tmp_path / "t.parquet", SPEC)
    assert "Zyx" not in str(refusal.value)


HEADERLESS = {
    "one row a line": "7,0.25,Zyx-Secret,2021-09-09\n8,0.5,A,2020-01-01\n",
    "a value like a name": "7,0.25,ward,2021-09-09\n8,0.5,Zyx-Secret,2020-01-01\n",
    "another delimiter": "7;0.25;Zyx-Secret;2021-09-09\n8;0.5;A;2020-01-01\n",
    "equal values": "Zyx-Secret,0.25,Zyx-Secret,2021-09-09\n8,0.5,A,2020-01-01\n",
}


@pytest.mark.parametrize("name", HEADERLESS)
def test_the_first_row_of_a_csv_file_without_a_header_is_not_told(tmp_path, name):
    path = tmp_path / "t.csv"
    path.write_text(HEADERLESS[name])
    with pytest.raises(TableError, match="header line") as refusal:
        take_snapshot(read_table(path, SPEC), SPEC, key=KEY, holdout=False)
    told = str(refusal.value)
    assert not any(value in told for value in ("Zyx-Secret", "0.25", "2021-09-09"))
    assert "\n" not in told


def test_the_first_row_of_a_csv_file_without_a_header_is_no_finding_either(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(HEADERLESS["one row a line"])
    found = schema_findings(read_table(path), SPEC)
    assert {finding.kind for finding in found} == {"missing column"}
    assert "Zyx" not in "".join(map(str, found))


def test_a_whole_number_beyond_64_bits_in_a_csv_file_changes_no_dtype_and_wraps_to_no_other(tmp_path):
    spec = Spec.from_mapping(
        {
            "dataset": "nasty",
            "columns": {"number": {"kind": "integer", "min": -5, "max": 100, "on_outside": "clip"}},
            "privacy": {"epsilon": 1},
        }
    )
    path = tmp_path / "t.csv"
    for text in ("18446744073709551615", "9" * 400):  # as int64 the first would be -1, which is declared
        path.write_text(f"number\n5\n{text}\n")
        frame = read_table(path, spec)
        assert str(frame["number"].dtype) == "int64"
        assert take_snapshot(frame, spec, key=KEY, holdout=False).native.columns["number"].tolist() == [10, 105]
        assert read_table(path)["number"].iloc[0] == 5


@pytest.mark.parametrize("dtype", ["int64", "float64", "Int64", "bool", "category of int64"])
def test_a_discovered_column_of_numbers_in_which_nothing_was_discovered_is_text(dtype):
    column = CategoricalColumn(kind="categorical", discover=True)
    made = restore_dtypes(pd.DataFrame({"zip": ["other"] * 3}), {"zip": dtype}, {"zip": column})
    assert made["zip"].tolist() == ["other"] * 3
    real = pd.DataFrame({"zip": [10115, 80331, 50667]})
    check_comparable({"train": made, "holdout": real}, {"zip": "categorical"}, remedy="")
    check_comparable({"train": real, "synthetic": made}, {"zip": "categorical"}, remedy="")
    with pytest.raises(TableError, match="holds text"):
        check_comparable({"train": real, "synthetic": made}, {"zip": "numeric"}, remedy="")


@pytest.mark.parametrize(
    "column",
    [
        {"kind": "integer", "min": 0, "max": 10**400},
        {"kind": "integer", "min": -(2**62), "max": 0},
        {"kind": "float", "min": 0, "max": 1e308},
        {"kind": "float", "min": 0, "max": 1e7, "precision": 12},
    ],
)
def test_bounds_beyond_64_bits_are_refused_before_a_plan_is_made(column):
    with pytest.raises(SpecError, match="bounds reach further than"):
        Spec.from_mapping({"dataset": "nasty", "columns": {"x": column}, "privacy": {"epsilon": 1}})
