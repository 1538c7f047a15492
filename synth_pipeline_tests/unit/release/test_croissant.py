import hashlib
import json

import pandas as pd
import pytest

from synth_pipeline.release.bundle import write_bundle
from synth_pipeline.release.croissant import CONFORMS_TO, croissant_type
from synth_pipeline_tests.described_release import NOTE, described_facts
from synth_pipeline_tests.released_example import example_facts, example_spec, example_table


def describe(folder, facts, frame=None):
    bundle = write_bundle(folder / facts.version, facts, example_table() if frame is None else frame, report="<p>x</p>")
    return bundle, json.loads((bundle / "croissant.json").read_text())


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    return describe(tmp_path_factory.mktemp("described"), described_facts())


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return describe(tmp_path_factory.mktemp("bare"), example_facts())


def test_it_names_the_specifications_and_every_prefix_that_it_uses(described):
    _, found = described
    assert found["conformsTo"] == list(CONFORMS_TO)
    text = json.dumps({key: value for key, value in found.items() if key != "@context"})
    assert found["@context"]["@vocab"] == "https://schema.org/"
    for prefix in ("cr", "sc", "rai"):
        assert f'"{prefix}:' in text
        assert found["@context"][prefix].startswith("http")


def test_it_names_the_finished_data_and_the_certificate_names_it_so_there_is_no_circle(described):
    bundle, found = described
    (file,) = found["distribution"]
    data = (bundle / "data.parquet").read_bytes()
    assert (file["contentUrl"], file["sha256"]) == ("data.parquet", hashlib.sha256(data).hexdigest())
    assert file["contentSize"] == f"{len(data)} B"
    certificate = json.loads((bundle / "certificate.json").read_text())
    named = {item["name"]: item["digest"]["sha256"] for item in certificate["subject"]}
    assert named["croissant.json"] == hashlib.sha256((bundle / "croissant.json").read_bytes()).hexdigest()
    assert named["data.parquet"] == file["sha256"]


def test_every_column_is_a_field_with_its_type_and_source_in_the_order_of_the_table(described):
    bundle, found = described
    fields = found["recordSet"][0]["field"]
    assert [field["name"] for field in fields] == list(pd.read_parquet(bundle / "data.parquet").columns)
    types = {field["name"]: field["dataType"] for field in fields}
    assert types == {
        "age": "sc:Integer", "fee": "sc:Float", "ward": "sc:Text", "triage": "sc:Float", "insured": "sc:Boolean",
        "visit": "sc:DateTime", "town": "sc:Text", "patient": "sc:Text",
    }  # fmt: skip
    for field in fields:
        assert field["source"] == {"fileObject": {"@id": "data.parquet"}, "extract": {"column": field["name"]}}


def test_description_unit_and_notes_of_a_column_are_told(described):
    _, found = described
    age, fee = found["recordSet"][0]["field"][:2]
    assert age["description"] == (
        f"Age at the visit. Unit: years. Notes: {NOTE} Domain: 0 to 99 (declared). Never null."
    )
    assert (age["unitText"], fee["unitText"]) == ("years", "EUR")
    assert fee["description"] == "Unit: EUR. Domain: 0.0 to 500.0 (declared). May be null."


def test_ids_are_safe_and_unique_whatever_columns_are_called(tmp_path):
    names = ["a/b", "a b", "a|b", "ä<b>", "rows"]
    spec = example_spec(columns={name: {"kind": "boolean"} for name in names}, constraints=[])
    frame = pd.DataFrame({name: [True, False] * 50 for name in names})
    _, found = describe(tmp_path, example_facts(spec, frame), frame)
    ids = [field["@id"] for field in found["recordSet"][0]["field"]]
    assert ids == ["rows/a%2Fb", "rows/a%20b", "rows/a%7Cb", "rows/%C3%A4%3Cb%3E", "rows/rows"]


def test_what_the_owner_states_is_stated_and_nothing_is_made_up(described, bare):
    assert described[1]["license"] == "https://creativecommons.org/licenses/by/4.0/"
    assert described[1]["creator"]["name"] == "City Clinic"
    assert described[1]["rai:dataUseCases"] == ["Teaching triage statistics."]
    assert not {"license", "url", "creator", "publisher"} & set(bare[1])


def test_the_guarantee_and_the_sensitive_points_are_said_in_words(described):
    _, found = described
    assert "ε = " in found["description"]
    assert "every row of one patient, at most 3 rows" in found["description"]
    assert "at most 3 rows were kept" in " ".join(found["rai:dataPreprocessingProtocol"])
    assert "No row is a person's record" in found["rai:personalSensitiveInformation"][0]
    assert "fee, triage" in found["rai:dataCollectionMissingData"]


@pytest.mark.parametrize(
    "arrow, expected",
    [
        ("int64", "sc:Integer"), ("uint8", "sc:Integer"), ("double", "sc:Float"), ("bool", "sc:Boolean"),
        ("timestamp[us, tz=UTC]", "sc:DateTime"), ("date32[day]", "sc:Date"), ("large_string", "sc:Text"),
        ("dictionary<values=large_string, indices=int8, ordered=0>", "sc:Text"),
        ("dictionary<values=int64, indices=int8, ordered=1>", "sc:Integer"), ("decimal128(9, 2)", "sc:Float"),
    ],
)  # fmt: skip
def test_each_arrow_type_has_its_croissant_type(arrow, expected):
    assert croissant_type(arrow) == expected
