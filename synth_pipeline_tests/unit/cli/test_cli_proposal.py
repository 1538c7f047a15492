"""`init`'s proposals: what comes from a schema, what is left to a person, and that no value is in them."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from synth_pipeline.cli.proposal import CONFIRM, Field, propose, read_fields
from synth_pipeline.errors import SpecError, TableError
from synth_pipeline.spec import Spec

TABLE = {
    "age": pa.array([17, 90], pa.int16()),
    "pay": pa.array([1.5, None], pa.float64()),
    "cost": pa.array([1, 2], pa.decimal128(9, 2)),
    "on": pa.array([True, False]),
    "day": pa.array([1, 2], pa.date32()),
    "seen_at": pa.array([1, 2], pa.timestamp("us", tz="UTC")),
    "city": pa.array(["Ulm", "Bonn"]),
    "ward": pa.array(["A", "B"]).dictionary_encode(),
    "patient_id": pa.array([100001, 100002]),
    "firstName": pa.array(["Zoltan", "Quirin"]),
    "photo": pa.array([b"1", b"2"]),
    "tags": pa.array([["x"], ["y"]]),
    "yes": pa.array([1, 2]),
    "hours: per week #": pa.array([1, 2]),
}


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "People 2024.parquet"
    pq.write_table(pa.table(TABLE), path)
    return path


def test_every_physical_type_gets_the_kind_that_can_hold_it(parquet: Path):
    kinds = propose(read_fields(parquet), dataset="people").kinds
    assert kinds == {
        "age": "integer",
        "pay": "float",
        "cost": "float",
        "on": "boolean",
        "day": "datetime",
        "seen_at": "datetime",
        "city": "categorical",
        "ward": "categorical",
        "patient_id": "identifier",
        "firstName": "identifier",
        "photo": "identifier",
        "tags": None,
        "yes": "integer",
        "hours: per week #": "integer",
    }


def test_the_proposal_is_yaml_that_names_every_column_as_it_is(parquet: Path):
    content = yaml.safe_load(propose(read_fields(parquet), dataset="people").text)
    assert list(content["columns"]) == list(TABLE)
    assert content["columns"]["cost"]["precision"] == 2
    assert content["columns"]["firstName"]["faker"] == "first_name"


def test_no_value_of_the_table_is_in_the_proposal(parquet: Path):
    text = propose(read_fields(parquet), dataset="people").text
    for value in ("Ulm", "Bonn", "Zoltan", "Quirin", "100001", "17", "90", "1970"):
        assert value not in text


def test_the_proposal_of_two_tables_with_the_same_schema_is_the_same(tmp_path: Path):
    texts = []
    for values in ([1, 2, 3], [9_999_999]):
        path = tmp_path / "t.parquet"
        pq.write_table(pa.table({"x": pa.array(values, pa.int64())}), path)
        texts.append(propose(read_fields(path), dataset="t").text)
    assert texts[0] == texts[1]


def test_a_proposal_is_refused_as_a_spec_until_it_is_filled_in(parquet: Path):
    content = yaml.safe_load(propose(read_fields(parquet), dataset="people").text)
    with pytest.raises(SpecError, match=r"privacy\.epsilon"):
        Spec.from_mapping(content)


def test_a_table_of_booleans_alone_still_waits_for_its_epsilon(tmp_path: Path):
    path = tmp_path / "flags.parquet"
    pq.write_table(pa.table({"on": pa.array([True])}), path)
    content = yaml.safe_load(propose(read_fields(path), dataset="flags").text)
    with pytest.raises(SpecError, match=r"privacy\.epsilon"):
        Spec.from_mapping(content)
    content["privacy"]["epsilon"] = 1.0
    assert Spec.from_mapping(content).columns["on"].kind == "boolean"


def test_a_filled_in_proposal_is_a_valid_spec(tmp_path: Path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"age": pa.array([1]), "city": pa.array(["Ulm"]), "id": pa.array(["a"])}), path)
    content = yaml.safe_load(propose(read_fields(path), dataset="t").text)
    content["columns"]["age"] |= {"min": 0, "max": 120}
    content["columns"]["city"]["categories"] = ["Ulm", "Jena"]
    content["privacy"]["epsilon"] = 1
    assert list(Spec.from_mapping(content).identifiers) == ["id"]


def test_every_line_that_a_person_has_to_fill_in_says_confirm(parquet: Path):
    proposal = propose(read_fields(parquet), dataset="people")
    lines = proposal.text.splitlines()
    unfilled = [
        line for line in lines if line.partition("#")[0].rstrip().endswith((":", "[]")) and line.startswith("    ")
    ]
    assert unfilled
    assert all(CONFIRM in line for line in unfilled)
    assert proposal.to_confirm == sum(CONFIRM in line for line in lines)


def test_of_a_csv_only_the_header_is_used(tmp_path: Path):
    path = tmp_path / "t.csv"
    pd.DataFrame({"age": [31], "name": ["Zoltan"]}).to_csv(path, index=False)
    proposal = propose(read_fields(path), dataset="t")
    assert proposal.kinds == {"age": None, "name": "identifier"}
    assert "31" not in proposal.text
    assert "Zoltan" not in proposal.text


@pytest.mark.parametrize(
    "stem, name",
    [("People 2024", "people_2024"), ("2024", "d_2024"), ("ä", "d"), ("x" * 90, "x" * 63), ("__", "d")],
)
def test_the_dataset_is_named_after_the_file_in_letters_that_a_spec_allows(stem: str, name: str):
    text = propose([Field("on", pa.bool_())], dataset=stem).text
    assert yaml.safe_load(text)["dataset"] == name
    Spec.from_mapping({**yaml.safe_load(text), "privacy": {"epsilon": 1}})


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("t.parquet", b"", "0 bytes"),
        ("t.parquet", b"PAR1 and then nothing", "not a readable parquet file"),
        ("t.csv", b"", "0 bytes"),
        ("t.csv", b"a,a\n1,2\n", "share a name: a"),
        ("t.csv", b"\xff\xfe\x00", "does not parse as CSV"),
        ("t.xlsx", b"x", "not supported"),
    ],
)
def test_a_file_without_a_readable_schema_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, words: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TableError, match=words) as caught:
        read_fields(path)
    assert "\n" not in str(caught.value)


def test_whole_numbers_that_name_somebody_are_told_what_the_invention_makes_of_them(parquet: Path):
    lines = propose(read_fields(parquet), dataset="d").text.splitlines()
    (line,) = (line for line in lines if "faker: uuid4" in line and "random_number" in line)
    assert "invents texts, all different" in line


@pytest.mark.parametrize("name", ["idNum", "patient_id_nr", "KEY-NUMBER", "caseId", "uuid"])
def test_names_that_end_in_the_number_of_an_identifier_are_identifiers(name: str):
    assert propose([Field(name, pa.string())], dataset="d").kinds == {name: "identifier"}


def test_a_column_of_a_csv_shows_the_keys_that_its_kind_will_need(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("age,city\n17,Ulm\n", encoding="utf-8")
    text = propose(read_fields(path), dataset="d").text
    for key in ("min", "max", "categories", "nullable"):
        assert text.count(f"    # {key}:") == 2
    for kind, keys in (("integer", "min: 0\n    max: 9"), ("categorical", "categories: [Ulm]")):
        text = text.replace("    kind:        ", f"    kind: {kind}\n    {keys}  ", 1)
    parsed = yaml.safe_load(text)
    parsed["privacy"]["epsilon"] = 1
    assert list(Spec.from_mapping(parsed).columns) == ["age", "city"]
