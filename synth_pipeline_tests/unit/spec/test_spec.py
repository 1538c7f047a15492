"""The specification: what it accepts, what it refuses and in which words."""

import json
from typing import Any

import pytest
import yaml

from synth_pipeline.errors import SpecError
from synth_pipeline.spec import Spec, json_schema

WHOLE: dict[str, Any] = {
    "dataset": "adult",
    "source": {"uri": "./snapshots/adult", "format": "parquet", "pattern": "*.parquet"},
    "columns": {
        "age": {"kind": "integer", "min": 17, "max": 90},
        "income_usd": {"kind": "float", "min": 0, "max": 200000, "precision": 2, "nullable": True},
        "workclass": {"kind": "categorical", "categories": ["Private", "State-gov"], "nullable": True},
        "education": {"kind": "ordinal", "categories": ["HS", "BSc", "MSc"]},
        "member": {"kind": "boolean"},
        "visit_at": {"kind": "datetime", "min": "2015-01-01", "max": "2030-01-01"},
        "city": {"kind": "categorical", "discover": True},
        "name": {"kind": "identifier", "faker": "name"},
    },
    "privacy": {
        "epsilon": 1.0,
        "delta": 1e-6,
        "unit": {"column": None, "max_rows": 1},
        "cap": {"epsilon": 10.0, "delta": 1e-5, "period": None},
        "cohorts": {"by": None},
    },
    "generator": {"kind": "auto"},
    "holdout": 0.2,
    "rows": "match",
    "constraints": ["age <= 90", {"if": "age < 18", "then": "education = 'HS'"}],
    "benchmark": {"target": "member", "task": "classification"},
    "schedule": None,
    "release": {"approval": "manual"},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    content = json.loads(json.dumps(WHOLE))
    *parents, last = path.split("/")
    place = content
    for parent in parents:
        place = place[parent]
    place[last] = value
    return content


def test_of_very_many_faults_a_dozen_is_named_and_the_rest_counted() -> None:
    columns = {f"c{number}": {"kind": "integer", "max": 9} for number in range(30)}
    with pytest.raises(SpecError) as refusal:
        Spec.from_mapping({"dataset": "d", "columns": columns, "privacy": {"epsilon": 1}})
    assert str(refusal.value).count("min: missing") == 12
    assert str(refusal.value).endswith("; and 18 more")


def test_the_whole_contract_is_read() -> None:
    spec = Spec.from_mapping(WHOLE)
    assert list(spec.modelled) == ["age", "income_usd", "workclass", "education", "member", "visit_at", "city"]
    assert list(spec.identifiers) == ["name"]
    assert spec.rules == ("age <= 90", "NOT (age < 18) OR (education = 'HS')")


def test_yaml_round_trip_keeps_it_equal(tmp_path) -> None:
    spec = Spec.from_mapping(WHOLE)
    (tmp_path / "spec.yaml").write_text(spec.to_yaml())
    again = Spec.from_yaml(tmp_path / "spec.yaml")
    assert again.model_copy(update={"source": spec.source}) == spec


def test_a_component_file_and_a_bare_file_read_the_same(tmp_path) -> None:
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump(WHOLE))
    (tmp_path / "defs.yaml").write_text(
        yaml.safe_dump({"type": "synth_pipeline.orchestration.SyntheticDataset", "attributes": WHOLE})
    )
    assert Spec.from_yaml(tmp_path / "bare.yaml") == Spec.from_yaml(tmp_path / "defs.yaml")


def test_its_digest_moves_with_what_it_says() -> None:
    assert Spec.from_mapping(WHOLE).digest != Spec.from_mapping(changed("privacy/epsilon", 2.0)).digest
    assert Spec.from_mapping(WHOLE).digest == Spec.from_mapping(WHOLE).digest


def test_its_columns_can_follow_a_table_without_another_digest() -> None:
    spec = Spec.from_mapping(WHOLE)
    turned = spec.in_order(reversed(list(spec.columns)))
    assert list(turned.columns) == list(spec.columns)[::-1]
    assert turned.digest == spec.digest


def test_every_field_of_the_schema_is_described() -> None:
    schema = json_schema()
    for name, definition in {"Spec": schema, **schema["$defs"]}.items():
        for field, facts in definition.get("properties", {}).items():
            assert facts.get("description") or field == "kind", f"{name}.{field} has no description"


REFUSED = [
    ("privacy/epsilon", 0, "privacy.epsilon: input should be greater than 0"),
    ("privacy/epsilon", -1, "greater than 0"),
    ("privacy/epsilon", float("inf"), "privacy.epsilon"),
    ("privacy/epsilon", 20, "cap.epsilon (10) is below epsilon (20)"),
    ("privacy/delta", 1e-4, "cap.delta (1e-05) is below delta (0.0001)"),
    ("privacy/delta", 1.0, "privacy.delta"),
    ("dataset", "Adult data", "dataset: string should match"),
    ("extra", 1, "extra: unknown key; see `synth-pipeline schema`"),
    ("columns/age/step", 1, "columns.age.integer.step: unknown key"),
    ("columns/age/min", 95, "min (95) must be below max (90)"),
    ("columns/age/kind", "int", "unknown kind; use one of"),
    ("columns/city/discover", False, "give `categories: [...]` (public), or `discover: true`"),
    ("columns/city/categories", ["Bonn"], "not both"),
    ("columns/education/categories", [], "categories is empty"),
    ("columns/education/categories", ["HS", "HS"], "'HS' is listed twice"),
    ("columns/education/categories", [True, False], 'quote them ("yes") or use kind: boolean'),
    ("columns/education/categories", ["HS", None], "use `nullable: true` instead"),
    ("columns/education/on_outside", "clip", "needs `nullable: true`"),
    ("benchmark/target", "salary", "benchmark.target: no modelled column 'salary'"),
    ("benchmark/target", "name", "benchmark.target: no modelled column 'name'"),
    ("privacy/unit", {"column": "age", "max_rows": 2}, "must be declared under columns with kind: identifier"),
    ("privacy/unit", {"column": None, "max_rows": 2}, "max_rows above 1 needs `column`"),
    (
        "columns/age/determined_by",
        "ages",
        "columns.age.determined_by: no modelled column 'ages'; there are age, income_usd",
    ),
    ("columns/age/determined_by", "name", "columns.age.determined_by: no modelled column 'name'"),
    ("columns/age/determined_by", "age", "columns.age.determined_by: 'age' determines itself; leave it out"),
    ("rows", 0, "rows must be `match` or a number of at least 1"),
    ("holdout", 0.95, "holdout"),
    ("generator/kind", "magic", "generator.kind"),
    ("drift", {"epsilon": 0.9}, "drift.epsilon (0.9) is part of privacy.epsilon"),
    ("drift", {"epsilon": 0.05, "ignore": ["aeg"]}, "drift.ignore: no modelled column 'aeg'"),
    ("fairness", {"sensitive": ["aeg"]}, "fairness.sensitive: no modelled column 'aeg'"),
    ("fairness", {"sensitive": ["age"]}, "fairness.bins: 'age' is a number; give the values that part its groups"),
    ("fairness", {"sensitive": ["age"], "bins": {"age": [50, 30]}}, "bins.age: give finite values in ascending order"),
    ("fairness", {"sensitive": [], "bins": {"age": [50]}}, "bins.age: is not among `sensitive`"),
    (
        "fairness",
        {"sensitive": ["education"], "bins": {"education": [1]}},
        "is ordinal, whose categories are its groups",
    ),
    ("privacy/cap/period", "monthly", "use year, quarter, month, week, day"),
    ("release/approval", "auto", "add benchmark.publish and release.floors, or use manual"),
    ("release/approval_days", 30, "release.approval_days: goes with release.approval: auto"),
    ("release/approval_days", 0, "greater than or equal to 1"),
    ("source/uri", "gs://bucket/adult", "gs:// is not supported; use a local folder, s3:// or postgresql://"),
    ("source/uri", "postgresql://db/claims", "needs `query` (the rows) and `watermark`"),
    ("source/uri", "s3://me:secret@bucket/adult", "holds a password; leave it out"),
]


@pytest.mark.parametrize("path, value, message", REFUSED, ids=[f"{path}={value}" for path, value, _ in REFUSED])
def test_a_fault_is_one_line_that_says_where_and_what(path: str, value: Any, message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        Spec.from_mapping(changed(path, value))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_columns_that_determine_each_other_in_a_circle_are_refused() -> None:
    content = changed("columns/age/determined_by", "city")
    content["columns"]["city"]["determined_by"] = "education"
    assert Spec.from_mapping(content).determined == {"age": "city", "city": "education"}
    content["columns"]["education"]["determined_by"] = "age"
    with pytest.raises(SpecError, match="'city' and 'education' and 'age' determine each other; leave one of them out"):
        Spec.from_mapping(content)


def test_a_column_that_another_one_determines_is_known_by_name() -> None:
    assert Spec.from_mapping(changed("columns/education/determined_by", "age")).determined == {"education": "age"}
    assert Spec.from_mapping(WHOLE).determined == {}


@pytest.mark.parametrize(
    "text, message",
    [
        ("- a\n- b\n", "holds no mapping"),
        ("dataset: [", "not valid YAML"),
        ("", "holds no mapping"),
    ],
)
def test_a_file_that_is_no_specification_is_refused(tmp_path, text: str, message: str) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(SpecError, match=message):
        Spec.from_yaml(tmp_path / "spec.yaml")


def test_a_missing_file_is_refused(tmp_path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        Spec.from_yaml(tmp_path / "none.yaml")
