"""OpenLineage: what its events say and do not say, where they go, and what a receiver that fails costs."""

import json
import os
import time
import uuid
from functools import cache

import pytest

from synth_pipeline.errors import PrivacyError
from synth_pipeline.integrations.openlineage import LineageReceiver
from synth_pipeline.integrations.openlineage_event import Finding, Step, step_event
from synth_pipeline.integrations.openlineage_facet import PRIVACY_SCHEMA
from synth_pipeline.integrations.stores import is_owner_only
from synth_pipeline.privacy.gate import Released
from synth_pipeline_tests.openlineage_receiver import receiver
from synth_pipeline_tests.released_example import example_facts, example_spec, example_table

RUN = "7f55b3d1-333d-4417-ad0f-c088d0ab9aea"
UPSTREAM = {
    "real_snapshot": (),
    "drift_report": ("real_snapshot",),
    "profile": ("real_snapshot",),
    "generator": ("real_snapshot", "profile"),
    "synthetic_table": ("generator",),
    "validation_suite": ("generator", "synthetic_table"),
    "tstr_benchmark": ("real_snapshot", "synthetic_table"),
    "privacy_audit": ("synthetic_table",),
    "release": ("generator", "synthetic_table", "validation_suite", "privacy_audit"),
}


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch, tmp_path):
    """No setting of the machine decides where events of a test go."""
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def step(asset, **changes):
    return Step(example_spec(**changes), asset, "2020_a", RUN, RUN, 0, UPSTREAM[asset], f"What {asset} is.")


@cache
def outcomes():
    return example_facts().outcomes


def finding(asset):
    return Finding(
        table=example_table(200) if asset == "synthetic_table" else None,
        outcomes=outcomes() if asset == "validation_suite" else (),
        composed_epsilon=0.9,
        fingerprint="ab" * 32,
        walk_id=RUN,
    )


def told(asset, moment="COMPLETE", **more):
    """An event as it is sent."""
    from openlineage.client.serde import Serde

    found = finding(asset) if moment == "COMPLETE" else None
    return json.loads(Serde.to_json(step_event(step(asset), moment, found=found, **more)))


def links_of(fields):
    """Dataset, column, kind and masking of each transformation."""
    return [
        (link["name"], link["field"], how["type"], how["masking"]) for link in fields for how in link["transformations"]
    ]


def test_a_step_has_one_run_in_all_of_its_events_and_the_walk_is_its_parent():
    started, ended = told("profile", "START"), told("profile")
    assert started["run"]["runId"] == ended["run"]["runId"] == step("profile").event_run_id
    assert uuid.UUID(started["run"]["runId"]) != uuid.UUID(told("generator")["run"]["runId"])
    parent = ended["run"]["facets"]["parent"]
    assert (parent["run"]["runId"], parent["job"]["name"]) == (RUN, "clinic_walk")
    assert (started["eventType"], ended["eventType"]) == ("START", "COMPLETE")


def test_a_failed_step_names_the_fault_and_not_its_message():
    event = told("generator", "FAIL", fault="ValueError")
    assert event["eventType"] == "FAIL"
    assert event["run"]["facets"]["errorMessage"]["message"] == "generator: ValueError"
    assert "synthPipeline_differentialPrivacy" not in event["outputs"][0]["facets"]


def test_noise_is_told_as_masking_and_the_joint_model_as_indirect():
    facet = told("generator")["outputs"][0]["facets"]["columnLineage"]
    own = links_of(facet["fields"]["age"]["inputFields"])
    assert own == [
        ("clinic/real_snapshot", "age", "DIRECT", True),
        ("clinic/profile", "age", "DIRECT", False),
    ]
    assert {link["field"] for link in facet["dataset"]} == set(example_spec().modelled)
    assert {(kind, masking) for _, _, kind, masking in links_of(facet["dataset"])} == {("INDIRECT", True)}


def test_an_invented_column_has_a_schema_and_no_origin():
    facets = told("synthetic_table")["outputs"][0]["facets"]
    assert "patient" in {field["name"] for field in facets["schema"]["fields"]}
    assert set(facets["columnLineage"]["fields"]) == set(example_spec().modelled)


def test_metrics_are_of_the_synthetic_table_alone():
    measured = {
        asset for asset in UPSTREAM for output in told(asset)["outputs"] if "dataQualityMetrics" in output["facets"]
    }
    assert measured == {"synthetic_table"}
    metrics = told("synthetic_table")["outputs"][0]["facets"]["dataQualityMetrics"]
    assert metrics["rowCount"] == 200
    assert metrics["columnMetrics"]["fee"]["nullCount"] > 0
    assert 0 <= metrics["columnMetrics"]["age"]["min"] <= metrics["columnMetrics"]["age"]["max"] <= 99


def test_every_expectation_is_an_assertion_about_the_synthetic_table():
    inputs = {item["name"]: item for item in told("validation_suite")["inputs"]}
    assertions = inputs["clinic/synthetic_table"]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert len(assertions) == len(outcomes())
    assert {assertion["severity"] for assertion in assertions} <= {"error", "warn"}
    assert "dataQualityAssertions" not in inputs["clinic/generator"]["inputFacets"]


def test_the_guarantee_is_a_facet_of_our_own_that_follows_its_schema():
    from importlib.resources import files

    from jsonschema import Draft202012Validator

    schema = json.loads((files("synth_pipeline.integrations") / "openlineage_dp_facet.json").read_text())
    facet = told("release")["outputs"][0]["facets"]["synthPipeline_differentialPrivacy"]
    assert (facet["_schemaURL"], schema["$id"]) == (PRIVACY_SCHEMA, PRIVACY_SCHEMA)
    assert list(Draft202012Validator(schema).iter_errors(facet)) == []
    assert (facet["epsilon"], facet["composedEpsilon"], facet["ledgerEntry"]) == (1.0, 0.9, f"clinic/2020_a/{RUN}")


def test_owners_are_told_where_the_specification_states_them():
    event = step_event(
        step("release", release={"publication": {"publisher": "Clinic", "contact": "d@c.example"}}), "START"
    )
    owners = {(owner.name, owner.type) for owner in event.outputs[0].facets["ownership"].owners}
    assert owners == {("Clinic", "PUBLISHER"), ("d@c.example", "CONTACT")}
    assert "ownership" not in told("release")["outputs"][0]["facets"]


def test_a_source_is_told_by_scheme_and_host_alone():
    source = {
        "uri": "postgresql://reader@db.example/people",
        "query": "SELECT * FROM visits",
        "watermark": "SELECT max(id) FROM visits",
    }
    event = step_event(step("real_snapshot", source=source), "START")
    assert event.inputs[0].facets["dataSource"].uri == "postgresql://db.example"


def test_what_the_release_in_force_gave_has_no_lineage_to_this_snapshot():
    event = step_event(step("generator"), "COMPLETE", found=Finding(is_kept=True))
    assert "columnLineage" not in event.outputs[0].facets


def test_events_survive_the_clients_own_classes_unchanged():
    from openlineage.client import event_v2
    from openlineage.client.serde import Serde

    for asset in UPSTREAM:
        plain = told(asset)
        again = event_v2.RunEvent(
            eventTime=plain["eventTime"],
            producer=plain["producer"],
            eventType=event_v2.RunState[plain["eventType"]],
            run=event_v2.Run(**plain["run"]),
            job=event_v2.Job(**plain["job"]),
            inputs=[event_v2.InputDataset(**item) for item in plain["inputs"]],
            outputs=[event_v2.OutputDataset(**item) for item in plain["outputs"]],
        )
        assert json.loads(Serde.to_json(again)) == plain


def test_events_are_lines_of_a_file_that_its_owner_alone_may_read(tmp_path):
    to = LineageReceiver(tmp_path / "home", 30)
    assert to.send(Released([step_event(step("profile"), "START"), step_event(step("profile"), "COMPLETE")])) is None
    lines = to.file.read_text().splitlines()
    assert [json.loads(line)["eventType"] for line in lines] == ["START", "COMPLETE"]
    assert is_owner_only(to.file)
    assert is_owner_only(to.file.parent)


def test_what_is_not_released_is_not_sent(tmp_path):
    to = LineageReceiver(tmp_path)
    with pytest.raises(PrivacyError):
        to.send([step_event(step("profile"), "START")])
    assert not to.file.exists()


def test_a_switch_turns_events_off(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    to = LineageReceiver(tmp_path)
    assert not to.is_on
    assert to.send(Released([step_event(step("profile"), "START")])) is None
    assert not to.file.exists()


def test_a_server_gets_them_where_the_client_is_told_so(tmp_path, monkeypatch):
    with receiver() as server:
        monkeypatch.setenv("OPENLINEAGE_URL", server.url)
        assert LineageReceiver(tmp_path, 30).send(Released([step_event(step("release"), "START")])) is None
    assert server.paths == ["/api/v1/lineage"]
    assert server.events[0]["job"]["name"] == "clinic.release"
    assert not (tmp_path / "openlineage").exists()


def test_a_server_that_never_answers_costs_no_more_than_the_patience(tmp_path, monkeypatch):
    event = step_event(step("release"), "START")
    with receiver(answers=False) as server:
        monkeypatch.setenv("OPENLINEAGE_URL", server.url)
        began = time.monotonic()
        trouble = LineageReceiver(tmp_path, 0.5).send(Released([event]))
        waited = time.monotonic() - began
    assert trouble == "no answer within 0.5 s"
    assert waited < 10  # the patience, and making the client


def test_a_server_that_refuses_is_told_as_the_kind_of_fault(tmp_path, monkeypatch):
    with receiver(status=400) as server:
        monkeypatch.setenv("OPENLINEAGE_URL", server.url)
        assert LineageReceiver(tmp_path, 30).send(Released([step_event(step("release"), "START")])) == "HTTPError"
