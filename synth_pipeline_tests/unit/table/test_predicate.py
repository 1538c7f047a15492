"""What conditions mean over real tables, and what is refused with which words."""

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.errors import PredicateError
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoricalColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    OrdinalColumn,
)
from synth_pipeline.table.predicate import parse_predicate, region_table
from synth_pipeline.table.region import Region

COLUMNS = {
    "age": IntegerColumn(min=0, max=90, nullable=True),
    "income": FloatColumn(min=0, max=1000, precision=2, nullable=True),
    "tax": FloatColumn(min=0, max=1000, precision=2),
    "net": FloatColumn(min=0, max=1000, precision=2),
    "capital-gain": IntegerColumn(min=0, max=99_999),
    "sex": CategoricalColumn(categories=("F", "M"), nullable=True),
    "code": CategoricalColumn(categories=(1, 2, -1)),
    "edu": OrdinalColumn(categories=("HS", "BSc", "MSc")),
    "edu_parent": OrdinalColumn(categories=("HS", "BSc", "MSc")),
    "level": OrdinalColumn(categories=(1, 2, 3)),
    "member": BooleanColumn(nullable=True),
    "seen": DatetimeColumn(min="2015-01-01", max="2030-01-01", nullable=True),
    "city": CategoricalColumn(discover=True),
}


def rows_that_meet(sql, frame):
    return np.flatnonzero(parse_predicate(sql, COLUMNS).is_true(frame)).tolist()


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([10, None, 40]),
        pd.Series([10, None, 40], dtype="Int64"),
        pd.Series([10, None, 40], dtype="Int16"),
        pd.Series([10, None, 40], dtype="int64[pyarrow]"),
        pd.Series([10, None, 40], dtype=object),
        pd.Series([10, None, 40], dtype="category"),
    ],
)
def test_numbers_are_compared_however_they_are_stored(values):
    frame = pd.DataFrame({"age": values})
    assert rows_that_meet("age < 30", frame) == [0]
    assert rows_that_meet("age IS NULL", frame) == [1]
    assert rows_that_meet("NOT age < 30", frame) == [2]
    assert parse_predicate("age < 30", COLUMNS).is_not_false(frame).tolist() == [True, True, False]


@pytest.mark.parametrize("dtype", ["str", "string", "category", object, "string[pyarrow]"])
def test_categories_are_compared_however_they_are_stored(dtype):
    frame = pd.DataFrame({"sex": pd.Series(["F", None, "M"], dtype=dtype)})
    assert rows_that_meet("sex = 'F'", frame) == [0]
    assert rows_that_meet("sex <> 'F'", frame) == [2]
    assert rows_that_meet("sex IS NULL OR sex IN ('M')", frame) == [1, 2]


@pytest.mark.parametrize("values", [[1, 2, -1], [1.0, 2.0, -1.0], ["1", "2", "-1"]])
def test_a_category_that_is_a_number_matches_its_text(values):
    frame = pd.DataFrame({"code": values})
    assert rows_that_meet("code = 1", frame) == [0]
    assert rows_that_meet("code = '2' OR code = -1", frame) == [1, 2]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([True, None, False], dtype=object),
        pd.Series([True, None, False], dtype="boolean"),
        pd.Series([1.0, None, 0.0]),
        pd.Series([1, None, 0], dtype="Int64"),
    ],
)
def test_booleans_are_conditions_however_they_are_stored(values):
    frame = pd.DataFrame({"member": values})
    assert rows_that_meet("member", frame) == [0]
    assert rows_that_meet("NOT member", frame) == [2]
    assert rows_that_meet("member IS NOT TRUE", frame) == [1, 2]
    assert rows_that_meet("member = FALSE", frame) == [2]


@pytest.mark.parametrize("dtype", ["datetime64[us]", "datetime64[ns]", "datetime64[us, Europe/Berlin]", "dates"])
def test_dates_are_compared_with_text_literals_in_local_time(dtype):
    moments = pd.Series(pd.to_datetime(["2020-01-01 00:00", None, "2021-06-01 12:00"]))
    values = (
        moments.dt.date
        if dtype == "dates"
        else moments.dt.tz_localize("Europe/Berlin")
        if "," in dtype
        else moments.astype(dtype)
    )
    frame = pd.DataFrame({"seen": values})
    assert rows_that_meet("seen <= '2020-01-01'", frame) == [0]
    assert rows_that_meet("seen > DATE '2020-12-31' AND seen < TIMESTAMP '2021-06-01 12:00:01'", frame) == [2]


def test_ordinal_columns_compare_by_their_declared_order():
    frame = pd.DataFrame({"edu": ["HS", "BSc", "MSc"], "edu_parent": ["BSc", "BSc", "HS"], "level": [1, 2, 3]})
    assert rows_that_meet("edu > 'HS'", frame) == [1, 2]
    assert rows_that_meet("edu BETWEEN 'HS' AND 'BSc'", frame) == [0, 1]
    assert rows_that_meet("edu >= edu_parent", frame) == [1, 2]
    assert rows_that_meet("level < 2.5", frame) == [0, 1]


def test_sums_of_decimals_are_equal_although_their_binary_fractions_are_not():
    frame = pd.DataFrame({"income": [0.3, 0.31], "net": [0.1, 0.1], "tax": [0.2, 0.2]})
    assert frame["net"][0] + frame["tax"][0] != frame["income"][0]
    assert rows_that_meet("income = net + tax", frame) == [0]


def test_division_by_zero_is_unknown():
    frame = pd.DataFrame({"income": [1.0, 1.0], "tax": [0.0, 0.5]})
    assert rows_that_meet("income / tax > 1", frame) == [1]
    assert rows_that_meet("(income / tax) IS NULL", frame) == [0]


def test_names_are_folded_unless_quoted_and_quoted_where_they_are_not_plain():
    frame = pd.DataFrame({"age": [3], "capital-gain": [7]})
    assert rows_that_meet('AGE = 3 AND "capital-gain" = 7', frame) == [0]
    assert parse_predicate('"capital-gain" > 1 AND age > 1', COLUMNS).columns == ("age", "capital-gain")


@pytest.mark.parametrize(
    "sql, fault",
    [
        ("", "empty"),
        ("age <", "does not parse as an SQL condition near character 5"),
        ("age = 'x", "text 'x' compared|does not parse"),
        ("age = 1; age = 2", "several statements"),
        ("1 = 1", "names no column; compare at least one of age, income"),
        ("agee < 3", "no column 'agee'.*did you mean 'age'"),
        ("passport = 'x'", "no column 'passport'.*identifiers are never read"),
        ("capital-gain > 3", 'double quotes: "capital-gain"'),
        ('sex = "F"', r"text goes in single quotes \('F'\)"),
        ("t.age = 3", "names a table"),
        ("count(age) > 3", "aggregate 'COUNT.age.' is not supported"),
        ("age IN (SELECT 1)", "subquery"),
        ("SELECT 1", "subquery"),
        ("abs(age) > 3", "function 'ABS.age.' is not supported; use AND OR NOT"),
        ("age % 2 = 0", "is not supported"),
        ("age = '30'", "write the number without quotes"),
        ("sex = age", "column 'sex' is categorical, compared with a number"),
        ("sex = 'X'", "no category 'X'; its categories: F, M"),
        ("edu = 'BScc'", "did you mean 'BSc'"),
        ("sex > 'F'", "no order for >; use = or IN, or declare kind: ordinal"),
        ("sex = TRUE", "column 'sex' is categorical; compare it with its categories"),
        ("sex < edu", "needs two ordinal columns"),
        ("seen > '2020-13-01'", "'2020-13-01' compared with column 'seen' is no date"),
        ("seen > '2020-01-01T00:00:00+01:00'", "has a time zone"),
        ("seen > 3", "compares a datetime with a number"),
        ("seen + 3 > age", "arithmetic .* with 'seen'"),
        ("sex + 1 > 3", "arithmetic .* with 'sex'"),
        ("age", "is a number, not boolean"),
        ("age + 1", "is a value, not a condition"),
        ("1 < age < 5", "write 1 < age AND age < 5"),
        ("age = NULL", "write IS NULL"),
        ("age IN (1, NULL)", "write OR column IS NULL"),
        ("age IN ()", "empty list"),
        ("age > 1 / 0", "division by zero"),
        ("age LIKE '3%'", "LIKE needs a categorical"),
        ("seen::date = '2020-01-01'", "casts are not supported"),
        ("(" * 3000 + "age > 1" + ")" * 3000, "nested too deeply|does not parse"),
        ("age > 1 AND " * 2000 + "age > 1", "at most 20000"),
    ],
)
def test_a_faulty_condition_is_refused_in_one_line_that_says_what_to_do(sql, fault):
    with pytest.raises(PredicateError, match=f"^constraints\\[2\\]: .*({fault})") as refusal:
        parse_predicate(sql, COLUMNS, where="constraints[2]")
    assert "\n" not in str(refusal.value)


def test_a_long_list_of_categories_is_shortened_in_the_refusal():
    columns = {"x": CategoricalColumn(categories=tuple(f"c{number}" for number in range(200)))}
    with pytest.raises(PredicateError, match=r"its categories: c0, c1, .*c7, … \(200 in all\)"):
        parse_predicate("x = 'nope'", columns)


def test_a_predicate_does_not_evaluate_over_a_table_without_its_column():
    with pytest.raises(PredicateError, match="no column 'age'"):
        parse_predicate("age > 3", COLUMNS).is_true(pd.DataFrame({"tax": [1.0]}))


def test_regions_are_as_few_as_the_condition_needs_and_null_has_its_own():
    predicate = parse_predicate("age < 30 AND (sex = 'F' OR income IS NULL)", COLUMNS)
    table = region_table([predicate], COLUMNS, semantics="where")
    assert table is not None
    assert table.columns == ("age", "income", "sex")
    null = Region((), has_null=True)
    assert table.regions[0] == (Region(((0, 30),)), Region(((30, 91),)), null)
    assert table.regions[1] == (Region(((0, 100_001),)), null)
    assert table.regions[2] == (Region(((0, 1),)), Region(((1, 2),)), null)
    assert table.allowed.sum() == 4
    assert table.allowed[0].tolist() == [[True, False, False], [True, True, True]]


def test_a_float_break_lies_between_the_cells_of_the_decimal_grid():
    table = region_table([parse_predicate("tax > 10.55", COLUMNS)], COLUMNS, semantics="where")
    assert table is not None
    assert table.regions[0] == (Region(((0, 1056),)), Region(((1056, 100_001),)))


def test_regions_with_equal_truth_are_merged_into_one_region_of_several_ranges():
    table = region_table([parse_predicate("age IN (1, 2, 5)", COLUMNS)], COLUMNS, semantics="check")
    assert table is not None
    assert table.regions[0][:2] == (Region(((0, 1), (3, 5), (6, 91))), Region(((1, 3), (5, 6))))
    assert table.allowed.tolist() == [False, True, True]


@pytest.mark.parametrize("sql", ["income = net + tax", "edu < edu_parent", "city = 'Oslo'"])
def test_a_condition_without_regions_gives_none(sql):
    assert region_table([parse_predicate(sql, COLUMNS)], COLUMNS, semantics="where") is None


def test_too_many_combinations_give_none():
    predicate = parse_predicate("age > 3 OR sex = 'F'", COLUMNS)
    assert region_table([predicate], COLUMNS, semantics="where", max_combinations=8) is None
    assert region_table([predicate], COLUMNS, semantics="where", max_combinations=9) is not None


def test_a_discovered_column_has_regions_once_its_categories_are_filled_in():
    predicate = parse_predicate("city LIKE 'O%' AND city <> 'Otta'", COLUMNS)
    resolved = {**COLUMNS, "city": CategoricalColumn(categories=("Bergen", "Oslo", "Otta"))}
    table = region_table([predicate], resolved, semantics="where")
    assert table is not None
    assert table.regions[0] == (Region(((0, 1), (2, 3))), Region(((1, 2),)))
    assert table.allowed.tolist() == [False, True]


def test_a_contradiction_has_an_empty_table():
    table = region_table([parse_predicate("age < 3 AND age > 5", COLUMNS)], COLUMNS, semantics="where")
    assert table is not None
    assert table.is_empty
