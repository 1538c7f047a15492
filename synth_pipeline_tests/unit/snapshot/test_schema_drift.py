"""Schema drift as findings: names and types of a table against its specification, and no value of it."""

import pandas as pd
import pytest

from synth_pipeline.snapshot.schema_drift import SchemaFinding, schema_findings
from synth_pipeline_tests.toy_table import toy_frame, toy_spec

SPEC = toy_spec()


def kinds(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return [(finding.kind, finding.column) for finding in schema_findings(frame, SPEC)]


def test_a_table_as_declared_has_no_findings() -> None:
    assert schema_findings(toy_frame(20), SPEC) == ()


def test_missing_new_and_retyped_columns_are_findings_of_their_own() -> None:
    frame = toy_frame(20).drop(columns="city").assign(extra=1, visit="soon", age=1.5)
    assert kinds(frame) == [("missing column", "city"), ("new column", "extra"), ("changed type", "visit")]


def test_findings_hold_no_value_of_the_table() -> None:
    frame = toy_frame(20).assign(visit="Kohlenhydrat", member="Kohlenhydrat")
    findings = schema_findings(frame, SPEC)
    assert {finding.column for finding in findings} == {"visit", "member"}
    assert "Kohlenhydrat" not in "".join(map(str, findings))


def test_rows_that_do_not_fit_a_declared_kind_are_no_finding_about_the_schema() -> None:
    """How many rows are not whole numbers is private; the check refuses such a table, the findings say nothing of it."""
    assert kinds(toy_frame(20).assign(age=1.5)) == []


def test_a_column_given_twice_is_not_looked_into() -> None:
    frame = toy_frame(20).assign(visit="soon")
    assert kinds(pd.concat([frame, frame[["visit"]]], axis=1)) == []


@pytest.mark.parametrize("categories", [(), ("Essen", "Fulda")])
def test_a_finding_is_read_back_as_it_was_written(categories: tuple[str, ...]) -> None:
    finding = SchemaFinding("new category", "city", "2 found", categories)
    assert SchemaFinding.from_json(finding.to_json()) == finding
