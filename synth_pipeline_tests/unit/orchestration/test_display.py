import numpy as np
import pandas as pd

from synth_pipeline.orchestration.display import (
    column_schema,
    markdown_table,
    profile_plots,
    sample_rows,
    sparkline,
    table_digest,
)
from synth_pipeline_tests.released_example import example_profile, example_spec, example_table


def test_bars_are_as_high_as_the_shares():
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline(np.zeros(3)) == "▁▁▁"


def test_more_shares_than_fit_are_joined():
    assert sparkline([1.0] * 400) == "█" * 40
    assert sparkline([1.0] * 400, widest=24) == "█" * 24


def test_a_cell_cannot_break_out_of_its_table():
    text = markdown_table(["a"], [["x | y\nz"]]).value
    assert text.splitlines()[-1] == "| x \\| y z |"


def test_every_column_of_a_profile_is_plotted_with_its_null_share():
    spec = example_spec()
    lines = profile_plots(example_profile(spec, example_table(2000))).value.splitlines()[2:]
    assert [line.split("`")[1] for line in lines] == list(spec.modelled)
    fee = next(line for line in lines if "`fee`" in line)
    assert "%" in fee.split("|")[-2]


def test_the_schema_shows_declared_facts_only():
    columns = {column.name: column for column in column_schema(example_spec()).value.columns}
    assert columns["age"].constraints.other == ["between 0 and 99"]
    assert columns["town"].constraints.other == ["categories discovered under differential privacy"]
    assert columns["patient"].constraints.other == ["never read; invented"]
    assert columns["fee"].constraints.nullable
    assert not columns["age"].constraints.nullable


def test_nulls_of_sample_rows_are_left_blank():
    text = sample_rows(pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": ["x", "y"]})).value
    assert text.splitlines()[2:] == ["| 1 | x |", "|  | y |"]


def test_the_digest_follows_values_and_order_of_rows():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert table_digest(frame) == table_digest(frame.copy())
    assert table_digest(frame) != table_digest(frame.iloc[::-1])
