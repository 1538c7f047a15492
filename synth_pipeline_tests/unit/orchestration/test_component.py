import dagster as dg
import pytest
import yaml

from synth_pipeline.errors import TableError
from synth_pipeline.orchestration import SyntheticDataset
from synth_pipeline.orchestration.code_location import build_defs, load_specs
from synth_pipeline.orchestration.failures import failure_of
from synth_pipeline.orchestration.keys import APPROVAL, ASSET_NAMES, DatasetKeys
from synth_pipeline.spec import Spec
from synth_pipeline.validate.planned import planned_checks
from synth_pipeline_tests.dagster_example import ATTRIBUTES, make_place


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    place = make_place(tmp_path_factory.mktemp("loaded"))
    return place, build_defs(home=place.home.folder, own=place.own)


def test_the_component_reads_the_specification_itself():
    assert SyntheticDataset.model() is Spec
    component = SyntheticDataset.from_attributes_dict(attributes=ATTRIBUTES)
    assert component.spec == Spec.from_mapping(ATTRIBUTES)


def test_texts_may_be_templates(monkeypatch):
    monkeypatch.setenv("CLINIC_FOLDER", "/data/clinic")
    attributes = {**ATTRIBUTES, "source": {"uri": "{{ env.CLINIC_FOLDER }}"}}
    assert SyntheticDataset.from_attributes_dict(attributes=attributes).spec.source.uri == "/data/clinic"


def test_a_fault_in_the_yaml_is_told_with_its_place(tmp_path):
    place = make_place(tmp_path, holdout=2)
    with pytest.raises(Exception, match="clinic") as caught:
        build_defs(home=place.home.folder, own=place.own)
    chain = [caught.value]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    assert any("holdout" in str(error) for error in chain)


ASKED_FOR = ("drift_report", "published_score")
PLAIN = tuple(name for name in ASSET_NAMES if name not in ASKED_FOR)
PARENTS = {
    "real_snapshot": set(),
    "profile": {"real_snapshot"},
    "generator": {"real_snapshot", "profile"},
    "synthetic_table": {"generator"},
    "validation_suite": {"generator", "synthetic_table"},
    "tstr_benchmark": {"real_snapshot", "generator", "synthetic_table"},
    "published_score": {"real_snapshot", "synthetic_table"},
    "privacy_audit": {"real_snapshot", "generator", "synthetic_table"},
    "internal_report": {"real_snapshot", "synthetic_table", "tstr_benchmark", "privacy_audit"},
    "release": {"generator", "synthetic_table", "validation_suite", "tstr_benchmark", "privacy_audit"},
}


@pytest.fixture(scope="module")
def drifting(tmp_path_factory):
    asked = {"drift": {"epsilon": 0.2}, "benchmark": {"target": "insured", "publish": {"epsilon": 0.1}}}
    place = make_place(tmp_path_factory.mktemp("drifting"), **asked)
    return place, build_defs(home=place.home.folder, own=place.own)


def parents_of(definitions, names):
    graph = definitions.resolve_asset_graph()
    return {name: {key.path[1] for key in graph.get(DatasetKeys("clinic").asset(name)).parent_keys} for name in names}


def asset_names(definitions):
    return {key.path[1] for key in definitions.resolve_all_asset_keys() if key.path[0] == "clinic"}


def test_one_spec_becomes_the_assets_of_the_walk_and_no_others(loaded, drifting):
    assert asset_names(loaded[1]) == {*PLAIN, APPROVAL}
    assert asset_names(drifting[1]) == {*PLAIN, *ASKED_FOR, APPROVAL}


def test_the_assets_depend_on_one_another_as_the_walk_does(loaded):
    assert parents_of(loaded[1], PLAIN) == {name: PARENTS[name] for name in PLAIN}


def test_where_drift_is_looked_for_the_report_stands_between_the_snapshot_and_what_it_decides(drifting):
    found = parents_of(drifting[1], ASSET_NAMES)
    assert found["drift_report"] == {"real_snapshot"}
    assert "drift_report" in found["profile"]
    without = {name: parents - {"drift_report"} for name, parents in found.items() if name != "drift_report"}
    assert without.pop("release") == PARENTS["release"] | {"published_score"}
    assert without == {name: parents for name, parents in PARENTS.items() if name != "release"}


def test_every_asset_has_one_partition_a_snapshot_a_group_a_zone_and_words(drifting):
    _, definitions = drifting
    for name in ASSET_NAMES:
        spec = definitions.resolve_assets_def(DatasetKeys("clinic").asset(name)).get_asset_spec()
        assert spec.partitions_def == dg.DynamicPartitionsDefinition(name="clinic_snapshots")
        assert spec.group_name == "clinic"
        assert spec.tags["zone"] == (
            "private" if name in ("real_snapshot", "tstr_benchmark", "internal_report") else "released"
        )
        assert spec.kinds
        assert spec.description


def test_every_expectation_is_a_check_that_blocks_as_the_spec_says(loaded):
    place, definitions = loaded
    spec = load_specs(place.own)["clinic"]
    suite = definitions.resolve_assets_def(DatasetKeys("clinic").asset("validation_suite"))
    declared = {check.name: check.blocking for check in suite.check_specs}
    assert declared == {check.name: check.is_blocking for check in planned_checks(spec)}
    assert all(blocks for name, blocks in declared.items() if name.startswith("rule"))
    assert declared["shares__ward"] is False


def test_the_demo_dataset_and_own_ones_are_in_one_code_location(loaded):
    place, definitions = loaded
    assert {key.path[0] for key in definitions.resolve_all_asset_keys()} == {"clinic", "gss"}
    assert set(load_specs(place.own)) == {"clinic", "gss"}
    assert {job.name for job in definitions.resolve_all_job_defs()} >= {"clinic_walk", "gss_walk"}


def test_a_run_of_several_snapshots_at_once_is_refused_for_good_before_anything_is_opened(loaded):
    place, definitions = loaded
    keys = DatasetKeys("clinic")
    ends = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(keys.partitions_name, ["a", "b"])
        job = definitions.resolve_job_def(keys.job)
        result = job.execute_in_process(instance=instance, raise_on_error=False, tags=ends)
        assert instance.get_run_by_id(result.run_id).tags["dagster/max_retries"] == "0"
    failure = failure_of(result)
    assert isinstance(failure, TableError)
    assert "clinic/real_snapshot: a run of 2 snapshots; a walk is of one" in str(failure)
    assert not place.home.folder.joinpath("ledger.sqlite").exists()


def test_resources_can_be_replaced(tmp_path):
    place = make_place(tmp_path)
    marker = object()
    definitions = build_defs(home=place.home.folder, own=place.own, resources={"runtime": marker})
    assert definitions.resources["runtime"] is marker


def test_owners_come_from_the_yaml(tmp_path):
    place = make_place(tmp_path)
    path = place.own / "clinic" / "defs.yaml"
    content = yaml.safe_load(path.read_text())
    content["post_processing"] = {"assets": [{"target": "*", "attributes": {"owners": ["team:privacy"]}}]}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    definitions = build_defs(home=place.home.folder, own=place.own)
    assert definitions.resolve_assets_def(DatasetKeys("clinic").asset("release")).get_asset_spec().owners == [
        "team:privacy"
    ]
