import re

import pytest

from synth_pipeline.release.datasheet import datasheet
from synth_pipeline.release.schema import released_schema
from synth_pipeline_tests.described_release import NOTE, described_facts, described_spec
from synth_pipeline_tests.released_example import EXAMPLE, example_facts, example_spec


def sheet(facts):
    return datasheet(facts, released_schema(facts, dict.fromkeys(facts.spec.columns, "int64")))


@pytest.fixture(scope="module")
def bare():
    return sheet(example_facts())


@pytest.fixture(scope="module")
def described():
    return sheet(described_facts())


def test_every_heading_of_the_datasheets_for_datasets_has_an_answer(bare):
    headings = re.findall(r"^## (.+)$", bare, re.MULTILINE)
    assert headings == [
        "Motivation", "Composition", "Privacy", "Columns", "How the real table was collected", "How it was made", "Limits", "How to use",
        "Distribution and maintenance",
    ]  # fmt: skip
    assert not re.search(r"\n\n\n|[ \t]+\n|\.\.", bare)


def test_columns_are_told_with_description_unit_and_notes(described):
    assert f"| age | integer | int64 | 0 to 99 | declared | years | Age at the visit. | {NOTE} |" in described
    assert "| ward | categorical | int64 | A, B, C | declared | – | – | – |" in described


def test_an_unsigned_release_says_so_and_where_its_approval_lies(bare):
    assert "**Signature**: none." in bare
    assert "in the file `approval` beside it; where that is missing, nobody did" in bare


def test_a_signed_release_names_its_key_and_how_it_is_checked():
    signed = sheet(example_facts(signed_by="key-1"))
    assert "signed with the key `key-1`" in signed
    assert "`synth-pipeline verify`" in signed


def test_what_the_owner_did_not_state_is_said_to_be_missing(bare, described):
    assert "**Made by**: not stated by the owner" in bare
    assert "**Licence**: not stated by the owner: ask before passing it on." in bare
    assert "**Contact**: data@clinic.example." in described
    assert "**Meant for**: Teaching triage statistics." in described
    assert "https://creativecommons.org/licenses/by/4.0/" in described


def test_a_score_that_was_measured_under_differential_privacy_is_told(bare):
    scored = sheet(example_facts(extra={"publishedScore": {"summary": "accuracy 0.80 [0.75, 0.85]"}}))
    assert "measured under differential privacy, as part of ε: accuracy 0.80 [0.75, 0.85]\n" in scored
    assert "A score on held-out people" not in bare


def test_the_cap_over_releases_is_told(bare, described):
    assert "ε = 10 (δ = 1e-06), over all releases from the same people." in bare
    assert "ε = 2 (δ = 1e-05) in each period (year), and ε = 8 over a lifetime." in described


def test_a_renewing_cap_without_a_lifetime_says_that_there_is_no_bound():
    privacy = {"epsilon": 1, "cap": {"epsilon": 2, "period": "year"}}
    text = sheet(example_facts(example_spec(privacy=privacy)))
    assert "in each period (year), without a bound over a lifetime." in text


def test_the_files_for_machines_are_named(bare):
    for name in ("schema.json", "croissant.json", "card.json", "lineage.json", "certificate.json", "data.parquet"):
        assert f"`{name}`" in bare


def test_people_have_their_own_limits():
    people = {
        "column": "patient", "mean_rows": 1.5, "most_rows": 3, "constant_columns": [], "may_vary_in": 0.1, "order_column": None,
    }  # fmt: skip
    text = sheet(example_facts(described_spec(), generator={"kind": "maxent", "facts": {"people": people}}))
    assert "Rows of a person were drawn one by one" in text
    alone = sheet(example_facts(described_spec(), generator={"kind": "independent", "facts": {"people": people}}))
    assert "The independent generator does not know" in alone


def test_what_an_owner_writes_cannot_break_the_page():
    columns = {"x|y": {"kind": "boolean", "notes": "a | b\n# c <script>"}, **EXAMPLE["columns"]}
    publication = {"intended_use": "x\n# Heading <b>", "publisher": "A\n\nB"}
    text = sheet(
        example_facts(example_spec(columns=columns, constraints=[], release={"publication": publication}), table())
    )
    assert "a \\| b # c &lt;script>" in text
    assert "**Made by**: A B, with" in text
    assert not re.search(r"^# Heading", text, re.MULTILINE)


def table():
    from synth_pipeline_tests.released_example import example_table

    frame = example_table(200)
    frame.insert(0, "x|y", [True, False] * 100)
    return frame
