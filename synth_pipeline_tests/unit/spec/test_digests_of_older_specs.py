"""Digests are stored in ledgers, certificates and beside the release in force: a new optional key must not change those of older specs."""

import pytest

from synth_pipeline.spec import Spec
from synth_pipeline.spec.document import json_schema
from synth_pipeline_tests.released_example import EXAMPLE, example_spec

STORED_DIGEST = "a22efca2cffcfd7194de84446b66fb4b2549eb197a5c5293d609cc07742200dc"
STORED_LEARNT_DIGEST = "cbfd01188ec449bb3c7e69943e014923fe54bbc36456dc05cbab74deb51e7492"


def with_note(text: str | None) -> Spec:
    columns = {name: dict(column) for name, column in EXAMPLE["columns"].items()}
    columns["age"]["notes"] = text
    return example_spec(columns=columns)


def test_a_spec_without_the_newer_keys_has_the_digests_that_were_stored_before_there_were_any():
    assert example_spec().digest == STORED_DIGEST
    assert example_spec().learnt_digest == STORED_LEARNT_DIGEST
    targeted = example_spec(benchmark={"target": "ward"}, release={"max_age": "30 days"})
    assert targeted.digest == "2cc84303c8009dcb6784f65a6df120b2a50576e7983d4120f5bd55777992b7ae"
    assert targeted.learnt_digest == "bc6a67695bd0be95c83aeca1553b46423d39ae69df0d823a00eced33bcecab3e"


def test_an_empty_note_is_no_note():
    assert with_note(None).digest == STORED_DIGEST


def test_notes_change_the_digest_of_a_spec_but_not_of_what_is_learnt():
    noted = with_note("Self-reported.")
    assert noted.digest != STORED_DIGEST
    assert noted.learnt_digest == STORED_LEARNT_DIGEST


def test_who_publishes_changes_the_digest_of_a_spec_but_not_of_what_is_learnt():
    spec = example_spec(release={"publication": {"publisher": "City Clinic"}})
    assert spec.digest != STORED_DIGEST
    assert spec.learnt_digest == STORED_LEARNT_DIGEST


def test_how_long_an_automatic_approval_holds_changes_the_digest_of_a_spec_that_says_it_and_of_no_other():
    def automatic(**days):
        return example_spec(
            benchmark={"target": "ward", "publish": {"epsilon": 0.2}},
            release={"approval": "auto", "floors": {"accuracy": 0.6}, **days},
        )

    without = automatic()
    assert without.digest == "2a90f76d798cb848663088f9a3713221a75d4a192c308bf6b9044bf2302d5c08"
    assert "approval_days" not in without.to_yaml()
    assert automatic(approval_days=30).digest != without.digest
    assert automatic(approval_days=30).learnt_digest == without.learnt_digest


def test_notes_and_publication_survive_yaml_and_plain_data(tmp_path):
    columns = {**EXAMPLE["columns"], "patient": {"kind": "identifier", "notes": "Invented."}}
    spec = example_spec(columns=columns, release={"publication": {"contact": "data@clinic.example"}})
    (tmp_path / "clinic.yaml").write_text(spec.to_yaml())
    assert Spec.from_yaml(tmp_path / "clinic.yaml") == spec
    assert Spec.from_mapping(spec.model_dump(mode="json", by_alias=True)) == spec


@pytest.mark.parametrize("kind", ["IntegerColumn", "CategoricalColumn", "DatetimeColumn", "IdentifierColumn"])
def test_the_json_schema_describes_notes_on_every_kind_of_column(kind):
    assert "public" in json_schema()["$defs"][kind]["properties"]["notes"]["description"]


@pytest.mark.parametrize("fault", [{"license": "CC-BY"}, {"url": "clinic"}, {"owner": "x"}])
def test_a_publication_that_cannot_be_understood_is_refused(fault):
    with pytest.raises(ValueError, match="release"):
        example_spec(release={"publication": fault})
