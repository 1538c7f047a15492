import json

import pytest

from synth_pipeline.release.card import card
from synth_pipeline_tests.described_release import PUBLICATION, described_facts
from synth_pipeline_tests.released_example import example_facts


@pytest.fixture(scope="module")
def described():
    return card(described_facts(), certificate_digest="ab" * 32)["deployment"]


@pytest.fixture(scope="module")
def bare():
    return card(example_facts())["deployment"]


def test_it_answers_what_the_registry_asks(described):
    assert list(described) == [
        "basic", "dp_variant", "privacy_loss", "budget_across_releases", "deployment_model", "accounting", "implementation",
        "verification", "administrative",
    ]  # fmt: skip
    assert described["basic"]["data_product_type"] == "Synthetic data"
    assert described["dp_variant"]["variant_name"] == "Approximate DP"
    assert described["deployment_model"]["model_name"] == "Central"
    assert described["deployment_model"]["access_type"] == "Non-interactive"


def test_the_guarantee_is_the_one_that_is_proven(described):
    facts, loss = described_facts(), described["privacy_loss"]
    assert loss["privacy_parameters"] == {"epsilon": facts.composed_epsilon, "delta": 1e-6}
    assert loss["budget"] == {"epsilon": 1.0, "delta": 1e-6}
    assert loss["neighbouring_relation"] == "add or remove one unit"
    assert (loss["privacy_unit"], loss["contribution_bound_rows"]) == ("User-level", 3)
    assert "patient" in loss["privacy_unit_details"]


def test_each_part_of_the_budget_is_listed(described):
    parts = described["implementation"]["mechanisms"]
    assert {part["stage"] for part in parts} == {"profile", "generator"}
    assert [part["mechanism"] for part in parts if part["answers"] == 200] == ["DP-SGD"]
    assert all(part["epsilon_alone"] > 0 for part in parts)
    assert "lattice" in described["implementation"]["floating_point"]


def test_the_cap_over_releases_is_told_with_its_period(described, bare):
    assert described["budget_across_releases"]["cap"] == {"epsilon": 2.0, "delta": 1e-5}
    assert described["budget_across_releases"]["period"] == "year"
    assert described["budget_across_releases"]["lifetime_epsilon"] == 8.0
    assert described["deployment_model"]["release_type"] == "Many releases"
    assert bare["budget_across_releases"]["period"] is None
    assert bare["budget_across_releases"]["lifetime_epsilon"] == 10.0
    assert bare["deployment_model"]["release_type"] == "One release"


def test_what_is_public_by_declaration_is_named_and_what_was_discovered_is_not(bare):
    unprotected = bare["dp_variant"]["unprotected_quantities"]
    assert "age, fee, ward" in unprotected
    assert "town" not in unprotected
    assert "patient" not in unprotected


def test_what_the_owner_states_is_stated_and_nothing_is_made_up(described, bare):
    assert described["basic"]["data_curators"] == [{"data_curator_name": "City Clinic"}]
    assert described["basic"]["intended_use"] == PUBLICATION["intended_use"]
    assert described["basic"]["data_product_region"] == "Germany"
    for key in ("contact", "license", "url", "data_product_region", "data_product_sector"):
        assert bare["basic"][key] is None
    assert bare["basic"]["data_curators"] == []


def test_audit_checks_and_signature_are_told_with_what_they_mean(described, bare):
    verification = described["verification"]
    assert verification["audit"]["lowerBound"] == 0.71
    assert "does not show that a mechanism is private" in verification["audit"]["meaning"]
    assert verification["checks"]["failed"] == []
    assert verification["certificate_digest"] == "ab" * 32
    assert (bare["verification"]["audit"], bare["verification"]["signed_by"]) == (None, None)


def test_a_signed_release_names_its_key():
    signed = card(example_facts(signed_by="key-1"))["deployment"]["verification"]
    assert (signed["signed_by"], signed["signature"]) == ("key-1", "signature")


def test_a_score_that_was_measured_under_differential_privacy_is_told(described):
    score = {"target": "insured", "accuracy": 0.8, "summary": "accuracy 0.80 [0.75, 0.85]"}
    scored = card(example_facts(extra={"publishedScore": score}))["deployment"]["verification"]
    assert scored["published_score"] == score
    assert described["verification"]["published_score"] is None


def test_it_is_plain_json(described):
    assert json.loads(json.dumps(described, allow_nan=False)) == described
