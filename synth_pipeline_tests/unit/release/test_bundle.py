import json
from dataclasses import replace

import pandas as pd
import pyarrow.parquet as pq
import pytest

from synth_pipeline.errors import CheckFailed, PrivacyError, SynthPipelineError
from synth_pipeline.privacy.gate import mark_private
from synth_pipeline.release.bundle import BUNDLE_FILES, verify_digests, write_bundle
from synth_pipeline_tests.released_example import example_facts, example_spec, example_table

PAGE = "<!DOCTYPE html><title>report</title>"


@pytest.fixture(scope="module")
def facts():
    return example_facts()


@pytest.fixture
def bundle(facts, tmp_path):
    return write_bundle(tmp_path / "clinic" / facts.version, facts, example_table(), report=PAGE)


def test_a_bundle_holds_its_files_and_verifies(bundle):
    assert {path.name for path in bundle.iterdir()} == {*BUNDLE_FILES, "certificate.json"}
    assert verify_digests(bundle) == []
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_rows_of_a_snapshot_are_refused_and_nothing_is_written(facts, tmp_path):
    with pytest.raises(PrivacyError, match="a DataFrame is private and does not leave"):
        write_bundle(tmp_path / facts.version, facts, mark_private(example_table()), report=PAGE)
    assert list(tmp_path.iterdir()) == []


def test_the_table_comes_back_with_its_dtypes(bundle):
    pd.testing.assert_frame_equal(pd.read_parquet(bundle / "data.parquet"), example_table())


def test_the_parquet_metadata_states_the_guarantee(bundle, facts):
    metadata = {
        key.decode(): value.decode() for key, value in pq.read_metadata(bundle / "data.parquet").metadata.items()
    }
    assert float(metadata["synth_pipeline.epsilon"]) == facts.epsilon
    assert float(metadata["synth_pipeline.delta"]) == facts.delta
    assert metadata["synth_pipeline.unit"] == "one row (neighbours: one row added or removed)"
    assert metadata["synth_pipeline.neighbours"] == "add or remove one unit"
    assert metadata["synth_pipeline.version"] == facts.version
    assert len(metadata["synth_pipeline.certificate_digest"]) == 64


def test_the_certificate_is_an_in_toto_statement_that_names_the_files_and_every_mechanism(bundle, facts):
    certificate = json.loads((bundle / "certificate.json").read_text())
    predicate = certificate["predicate"]
    assert certificate["_type"] == "https://in-toto.io/Statement/v1"
    assert [item["name"] for item in certificate["subject"]] == list(BUNDLE_FILES)
    assert len(predicate["mechanisms"]) == len(facts.events)
    assert predicate["mechanisms"][-1]["words"] == "DP-SGD, noise multiplier 8, Poisson rate 0.05, 200 steps"
    assert predicate["composedEpsilon"] == facts.composed_epsilon
    assert predicate["approval"] == {"required": "manual", "state": "candidate"}
    assert predicate["signature"] == "unsigned"
    assert predicate["validation"]["passed"] == len(facts.outcomes)


def test_the_schema_states_public_and_discovered_domains_apart(bundle):
    columns = {column["name"]: column for column in json.loads((bundle / "schema.json").read_text())["columns"]}
    assert list(columns) == list(example_spec().columns)
    assert columns["age"]["domain"] == {"source": "declared", "min": 0, "max": 99}
    assert columns["age"]["description"] == "Age at the visit."
    assert columns["town"]["domain"] == {
        "source": "discovered under differential privacy",
        "categories": ["Ulm", "Bonn", "Jena"],
    }
    assert columns["patient"]["domain"]["invented"] == "uuid4"
    assert columns["fee"]["type"] == "double"


def change_data(bundle):
    frame = pd.read_parquet(bundle / "data.parquet")
    frame.loc[0, "age"] = 1
    frame.to_parquet(bundle / "data.parquet")


def change_claim(bundle):
    path = bundle / "certificate.json"
    certificate = json.loads(path.read_text())
    certificate["predicate"]["epsilon"] = 0.01
    path.write_text(json.dumps(certificate))


@pytest.mark.parametrize(
    "tamper, fault",
    [
        (change_data, "data.parquet: differs from what the certificate names"),
        (change_claim, "data.parquet: its metadata states another epsilon than the certificate"),
        (
            lambda bundle: (bundle / "datasheet.md").write_text("# other"),
            "datasheet.md: differs from what the certificate names",
        ),
        (lambda bundle: (bundle / "report.html").unlink(), "report.html: missing"),
        (lambda bundle: (bundle / "extra.csv").write_text("x"), "extra.csv: not named by the certificate"),
        (
            lambda bundle: (bundle / "data.parquet").write_bytes(b"PAR1"),
            "data.parquet: differs from what the certificate names",
        ),
        (
            lambda bundle: (bundle / "signature").write_text("x"),
            "signature: is there, though the certificate says unsigned",
        ),
        (lambda bundle: (bundle / "certificate.json").unlink(), "certificate.json: missing"),
        (
            lambda bundle: (bundle / "certificate.json").write_text("{}"),
            "certificate.json: cannot be read as a certificate",
        ),
        (
            lambda bundle: (bundle / "certificate.json").write_text("[1"),
            "certificate.json: cannot be read as a certificate",
        ),
    ],
)
def test_whatever_was_changed_is_named(bundle, tamper, fault):
    tamper(bundle)
    assert fault in verify_digests(bundle)


def test_a_certificate_with_another_claim_does_not_fit_the_data_even_where_the_files_are_the_same(bundle):
    change_claim(bundle)
    assert "data.parquet: its metadata states another certificate digest than the certificate" in verify_digests(bundle)


def test_a_certificate_cannot_name_files_outside_its_folder(bundle):
    path = bundle / "certificate.json"
    certificate = json.loads(path.read_text())
    certificate["subject"].append({"name": "../other", "digest": {"sha256": "00"}})
    path.write_text(json.dumps(certificate))
    assert verify_digests(bundle) == [
        "certificate.json: names ../other, which is no file that a certificate may name",
        "certificate.json: names no SHA-256 for ../other",
        "../other: missing",
    ]


def test_an_existing_version_is_never_overwritten(bundle, facts):
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    with pytest.raises(SynthPipelineError, match="never overwritten"):
        write_bundle(bundle, facts, example_table(seed=5), report=PAGE)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


def test_a_release_that_is_made_once_more_by_its_walk_stands_as_it_is(bundle, facts):
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    later = replace(facts, created_at="2026-01-02T03:09:00+00:00")
    assert write_bundle(bundle, later, example_table(), report=PAGE) == bundle
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_a_release_of_the_same_table_with_another_claim_is_refused(bundle, facts):
    with pytest.raises(SynthPipelineError, match="never overwritten"):
        write_bundle(bundle, replace(facts, ledger_entry="clinic/other/walk"), example_table(), report=PAGE)
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_a_release_that_was_tampered_with_is_not_taken_for_the_same(bundle, facts):
    (bundle / "report.html").write_text("changed")
    with pytest.raises(SynthPipelineError, match="never overwritten"):
        write_bundle(bundle, facts, example_table(), report=PAGE)
    assert (bundle / "report.html").read_text() == "changed"


def test_a_failed_write_leaves_nothing(facts, tmp_path):
    broken = replace(facts, extra={"run": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        write_bundle(tmp_path / "v", broken, example_table(), report=PAGE)
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_failed_a_blocking_expectation_is_not_released(tmp_path):
    frame = example_table()
    frame.loc[0, "age"] = 500
    with pytest.raises(CheckFailed, match="bounds__age"):
        write_bundle(tmp_path / "v", example_facts(frame=frame), frame, report=PAGE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("frame", [example_table(10), example_table().drop(columns="age")])
def test_facts_about_another_table_are_refused(facts, tmp_path, frame):
    with pytest.raises(SynthPipelineError):
        write_bundle(tmp_path / "v", facts, frame, report=PAGE)


def test_the_datasheet_answers_the_questions_of_a_reader(bundle, facts):
    text = (bundle / "datasheet.md").read_text()
    for heading in ("Motivation", "Composition", "Privacy", "Columns", "How it was made", "Limits", "How to use"):
        assert f"## {heading}" in text
    assert f"ε = {facts.composed_epsilon:.6g} (budget 1)" in text
    assert "| age | integer | int64 | 0 to 99 | declared | years | Age at the visit. |" in text
    assert "floating point" in text
    assert "the exact count is not released" in text


def test_a_description_cannot_break_the_datasheet_table(tmp_path):
    columns = {"x|y": {"kind": "boolean", "description": "a | b\n<script>"}}
    spec = example_spec(columns=columns, constraints=[])
    frame = pd.DataFrame({"x|y": [True, False] * 50})
    facts = example_facts(spec, frame)
    text = (write_bundle(tmp_path / "v", facts, frame, report=PAGE) / "datasheet.md").read_text()
    assert "| x\\|y | boolean | bool | False, True | declared | – | a \\| b &lt;script> |" in text
