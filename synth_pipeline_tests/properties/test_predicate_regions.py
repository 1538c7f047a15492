"""Conditions agree with SQLite row by row, and their regions agree with the rows, for random tables of every kind of column."""

import itertools
import sqlite3

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.table.column import (
    BooleanColumn,
    CategoricalColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    OrdinalColumn,
    declared_categories,
)
from synth_pipeline.table.grid import native_grid
from synth_pipeline.table.predicate import parse_predicate, region_table

COLUMNS = {
    "age": IntegerColumn(min=-2, max=4, nullable=True),
    "pay-rate": FloatColumn(min=-0.2, max=0.3, precision=1),
    "sex": CategoricalColumn(categories=("F", "M", "it's"), nullable=True),
    "grade": OrdinalColumn(categories=(1, 2, 3)),
    "member": BooleanColumn(nullable=True),
    "seen": DatetimeColumn(min="2020-01-01", max="2020-01-04", precision="day", nullable=True),
}
NUMBERS = {"age": st.integers(-4, 6), '"pay-rate"': st.sampled_from([-0.3, -0.2, -0.1, 0, 0.1, 0.15, 0.2, 0.3])}
COMPARE = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
LITERALS = {
    "sex": st.sampled_from(["'F'", "'M'", "'it''s'"]),
    "grade": st.sampled_from(["1", "2", "3"]),
    "seen": st.sampled_from(["'2019-12-31'", "'2020-01-02'", "'2020-01-03'", "'2020-01-02 12:00:00'"]),
}


def native_values(column):
    """Every value of a column's declared domain, as one array of what a table would hold."""
    if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
        values = list(native_grid(column).values(np.arange(native_grid(column).cells)))
    else:
        values = list(declared_categories(column))
    return [*values, None] if column.nullable else values


def whole_domain(names):
    """Every combination of the native values of some columns, and of their cells (-1 for null)."""
    spans = [native_values(COLUMNS[name]) for name in names]
    rows = pd.DataFrame(list(itertools.product(*spans)), columns=names, dtype=object)
    cells = itertools.product(*[[-1 if value is None else index for index, value in enumerate(span)] for span in spans])
    for name in names:
        if isinstance(COLUMNS[name], IntegerColumn):
            rows[name] = rows[name].astype("Int64")
        elif isinstance(COLUMNS[name], FloatColumn):
            rows[name] = rows[name].astype("float64")
        elif isinstance(COLUMNS[name], DatetimeColumn):
            rows[name] = rows[name].astype("datetime64[us]")
    return rows, np.array(list(cells))


@st.composite
def number_test(draw):
    name = draw(st.sampled_from(list(NUMBERS)))
    literal = draw(NUMBERS[name])
    form = draw(st.integers(0, 6))
    if form == 0:
        return f"{name} BETWEEN {literal} AND {draw(NUMBERS[name])}"
    if form == 1:
        return f"{name} {draw(st.sampled_from(['IN', 'NOT IN']))} ({literal}, {draw(NUMBERS[name])})"
    if form == 2:
        return f"{name} IS {draw(st.sampled_from(['', 'NOT ']))}NULL"
    subject = {3: f"-{name} * 2 + 1", 4: f"({name} - 1) * {name}", 5: f"3 / {name}"}.get(form, name)
    return f"{subject} {draw(COMPARE)} {literal}"


@st.composite
def other_test(draw):
    name = draw(st.sampled_from([*LITERALS, "member"]))
    if name == "member":
        return draw(
            st.sampled_from(["member", "member = TRUE", "member IS NOT TRUE", "member IS NULL", "(NOT member) IS TRUE"])
        )
    operator = draw(st.sampled_from(["=", "<>"]) if name == "sex" else COMPARE)
    if draw(st.booleans()):
        return f"{name} NOT IN ({draw(LITERALS[name])}, {draw(LITERALS[name])})"
    return f"{name} {operator} {draw(LITERALS[name])}"


CONDITION = st.recursive(
    number_test() | other_test() | st.sampled_from(["sex LIKE '%''_'", "sex LIKE 'M'", "sex NOT LIKE 'F%'"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})")
        | inner.map(lambda part: f"NOT ({part})")
        | st.tuples(inner, st.sampled_from(["IS TRUE", "IS NOT FALSE", "IS NULL"])).map(lambda p: f"({p[0]}) {p[1]}")
    ),
    max_leaves=5,
)


def truths_of_sqlite(sql, rows):
    """Truth of each row according to SQLite: 1, 0 or None."""
    plain = pd.DataFrame({name: rows[name].astype(object).where(rows[name].notna(), None) for name in rows})
    if "seen" in plain:
        plain["seen"] = [None if moment is None else str(pd.Timestamp(moment)) for moment in plain["seen"]]
    with sqlite3.connect(":memory:") as database:
        database.execute("PRAGMA case_sensitive_like = ON")
        kinds = {"age": "REAL", "pay-rate": "REAL", "grade": "INTEGER", "member": "INTEGER"}
        database.execute("CREATE TABLE t (" + ", ".join(f'"{name}" {kinds.get(name, "TEXT")}' for name in plain) + ")")
        marks = ", ".join("?" * len(plain.columns))
        database.executemany(f"INSERT INTO t VALUES ({marks})", plain.to_numpy(dtype=object).tolist())
        for day in (
            "2019-12-31",
            "2020-01-02",
            "2020-01-03",
        ):  # SQLite compares dates as text: make them points in time
            sql = sql.replace(f"'{day}'", f"'{day} 00:00:00'")
        return [row[0] for row in database.execute(f"SELECT ({sql}) FROM t")]


@settings(max_examples=150, deadline=None)
@given(CONDITION)
def test_a_condition_has_the_truth_that_sqlite_gives_it(sql):
    predicate = parse_predicate(sql, COLUMNS)
    rows, _ = whole_domain(list(predicate.columns))
    expected = truths_of_sqlite(sql, rows)
    assert predicate.is_true(rows).tolist() == [truth == 1 for truth in expected]
    assert predicate.is_not_false(rows).tolist() == [truth != 0 for truth in expected]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(CONDITION, st.sampled_from(["where", "check"])), min_size=1, max_size=3))
def test_the_regions_of_conditions_allow_exactly_the_rows_that_meet_them(conditions):
    predicates = [parse_predicate(sql, COLUMNS) for sql, _ in conditions]
    table = region_table(predicates, COLUMNS, semantics=[kind for _, kind in conditions])
    assert table is not None
    rows, cells = whole_domain(list(table.columns))
    expected = np.ones(len(rows), dtype=bool)
    for predicate, (_, kind) in zip(predicates, conditions, strict=True):
        expected &= predicate.is_true(rows) if kind == "where" else predicate.is_not_false(rows)
    assert (
        table.allowed[tuple(region_of(table, axis, cells[:, axis]) for axis in range(cells.shape[1]))] == expected
    ).all()


def region_of(table, axis, cells):
    """Region of each cell; every cell must be in exactly one."""
    found = np.zeros(len(cells), dtype=int)
    hits = np.zeros(len(cells), dtype=int)
    for index, region in enumerate(table.regions[axis]):
        inside = (cells < 0) & region.has_null
        for start, stop in region.ranges:
            inside |= (cells >= start) & (cells < stop)
        found[inside] = index
        hits += inside
    assert (hits == 1).all()
    return found


@pytest.mark.parametrize("column", [IntegerColumn(min=-1000, max=10**12), FloatColumn(min=-5, max=10**6, precision=7)])
@settings(max_examples=40, deadline=None)
@given(
    st.floats(-10, 10**6), COMPARE, st.sampled_from(["x", "-x", "x / 3 - 1", "2 * (x + 0.5)", "x * -3", "1 - x / -4"])
)
def test_a_cut_of_a_huge_domain_lies_where_the_truth_changes(column, literal, operator, subject):
    predicate = parse_predicate(f"{subject} {operator} {literal!r}", {"x": column})
    table = region_table([predicate], {"x": column}, semantics="where")
    assert table is not None
    grid = native_grid(column)
    edges = np.array([edge for region in table.regions[0] for span in region.ranges for edge in span])
    cells = np.unique(np.clip(np.concatenate([edges - 1, edges, edges + 1]), 0, grid.cells - 1))
    truth = predicate.is_true(pd.DataFrame({"x": grid.values(cells)}))
    assert (table.allowed[region_of(table, 0, cells)] == truth).all()
