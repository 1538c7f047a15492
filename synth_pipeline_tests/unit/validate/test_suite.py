import re

import pytest

from synth_pipeline.errors import SpecError
from synth_pipeline.validate.expectation import Expectation
from synth_pipeline.validate.planned import planned_checks
from synth_pipeline.validate.suite import build_suite
from synth_pipeline_tests.released_example import example_profile, example_spec, example_table


def suite_of(**changes):
    spec = example_spec(**changes)
    return build_suite(spec, example_profile(spec, example_table()), rows=2000)


def by_name(suite):
    return {expectation.name: expectation for expectation in suite}


def test_every_name_is_valid_and_unique():
    names = [expectation.name for expectation in suite_of()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_]{1,100}", name) for name in names)


def test_columns_whose_names_differ_only_in_signs_get_different_check_names():
    columns = {
        "a-b": {"kind": "boolean"},
        "a_b": {"kind": "boolean"},
        "a b": {"kind": "boolean"},
        "é": {"kind": "boolean"},
    }
    spec = example_spec(columns=columns, constraints=[])
    frame = example_table(50).assign(**dict.fromkeys(columns, True))
    names = [
        item.name for item in build_suite(spec, example_profile(spec, frame), rows=50) if item.name.startswith("type")
    ]
    assert names == ["type__a_b", "type__a_b_2", "type__a_b_3", "type__column"]


def test_an_overlong_column_name_still_makes_valid_check_names():
    columns = {"x" * 300: {"kind": "boolean"}, "x" * 299: {"kind": "boolean"}}
    spec = example_spec(columns=columns, constraints=[])
    frame = example_table(50).assign(**dict.fromkeys(columns, True))
    names = [item.name for item in build_suite(spec, example_profile(spec, frame), rows=50)]
    assert len(set(names)) == len(names)


def test_each_part_of_the_specification_has_its_expectations():
    suite = by_name(suite_of())
    assert suite["columns"].arguments["column_list"][0] == "age"
    assert suite["row_count"].arguments == {"value": 2000}
    assert suite["bounds__age"].arguments == {"column": "age", "min_value": 0, "max_value": 99}
    assert suite["precision__fee"].arguments == {"column": "fee", "decimals": 2}
    assert suite["bounds__visit"].arguments["max_value"] == "2020-12-31T00:00:00"
    assert suite["precision__visit"].arguments["seconds"] == 86_400
    assert suite["categories__triage"].arguments["value_set"] == [1, 2, 3]
    assert suite["unique__patient"].kind == "domain"
    assert suite["rule_2"].arguments["rule"] == "NOT (ward = 'C') OR (fee IS NULL OR fee < 400)"
    assert list(suite["rule_2"].arguments["declarations"]) == ["fee", "ward"]
    assert "not_null__fee" not in suite
    assert {"shares__age", "shares__town", "null_share__fee", "mean__fee"} <= set(suite)


def test_discovered_categories_are_the_released_ones_and_say_so():
    expectation = by_name(suite_of())["categories__town"]
    assert expectation.arguments["value_set"] == ["Ulm", "Bonn", "Jena"]
    assert "discovered under differential privacy" in expectation.description


def test_fidelity_warns_and_everything_else_blocks_unless_the_specification_says_otherwise():
    assert {item.severity for item in suite_of() if item.kind == "fidelity"} == {"warn"}
    assert {item.severity for item in suite_of() if item.kind != "fidelity"} == {"block"}
    changed = suite_of(validation={"severity": {"fidelity": "block", "nulls": "warn"}})
    assert {item.severity for item in changed if item.kind == "fidelity"} == {"block"}
    assert {item.severity for item in changed if item.kind == "nulls"} == {"warn"}


def test_an_identifier_that_names_people_with_many_rows_need_not_be_unique():
    suite = suite_of(privacy={"epsilon": 1, "unit": {"column": "patient", "max_rows": 3}})
    assert "unique__patient" not in by_name(suite)


def test_a_name_that_no_asset_check_could_have_is_refused():
    with pytest.raises(SpecError, match="letters, digits and underscores"):
        Expectation("no spaces", "schema", None, "", "block", "expect_table_row_count_to_equal")


def test_the_plan_knows_every_check_before_anything_is_measured():
    planned = [
        (check.name, check.gx_type, check.kind, check.column, check.severity)
        for check in planned_checks(example_spec())
    ]
    built = [(item.name, item.gx_type, item.kind, item.column, item.severity) for item in suite_of()]
    assert planned == built
