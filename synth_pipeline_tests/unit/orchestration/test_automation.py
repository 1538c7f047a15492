"""One mechanism asks for walks, and none overlaps another: what the definitions and the instance's settings say (adr/0016)."""

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy
from dagster._core.definitions.sensor_definition import SensorType

from synth_pipeline.integrations.run_queue import DATASET_TAG, DatasetQueue, missing_tags
from synth_pipeline.integrations.run_workers import WatchedLauncher
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration import launch
from synth_pipeline.orchestration.asset_options import CHARGED_ASSETS
from synth_pipeline.orchestration.code_location import build_defs
from synth_pipeline.orchestration.component import dataset_definitions
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.spec import Spec
from synth_pipeline_tests.daemon_world import make_world

ROOT = Path(__file__).parents[3]
SCORED = {"benchmark": {"target": "member", "publish": {"epsilon": 0.1}}}


def spec_with(**changes):
    base = {
        "dataset": "d",
        "source": {"uri": "./in"},
        "columns": {"x": {"kind": "boolean"}},
        "privacy": {"epsilon": 1},
    }
    return Spec.from_mapping({**base, **changes})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("automation"), "one", "two", drift={"epsilon": 0.1}, **SCORED)


@pytest.fixture(scope="module")
def definitions(world):
    return build_defs(home=world.home.folder, own=world.own)


@pytest.fixture
def instance(tmp_path):
    with open_instance(Home.at(tmp_path).make()) as instance:
        yield instance


def test_no_asset_has_an_automation_condition_and_no_sensor_evaluates_any(definitions):
    repository = definitions.get_repository_def()
    conditions = {
        key: repository.asset_graph.get(key).automation_condition for key in definitions.resolve_all_asset_keys()
    }
    assert len(conditions) >= 18
    assert set(conditions.values()) == {None}
    assert all(sensor.sensor_type == SensorType.STANDARD for sensor in repository.sensor_defs)


def test_each_dataset_has_one_thing_that_asks_for_walks():
    by_arrival, by_clock = dataset_definitions(spec_with()), dataset_definitions(spec_with(schedule="0 4 * * 1"))
    asking = [
        [sensor.name for sensor in made.sensors if not sensor.name.endswith("_approvals")]
        for made in (by_arrival, by_clock)
    ]
    assert [asking[0], len(list(by_arrival.schedules))] == [["d_arrivals"], 0]
    assert [asking[1], len(list(by_clock.schedules))] == [[], 1]


def test_the_sensor_of_approvals_asks_for_no_walk(definitions):
    (watching,) = [found for found in definitions.get_repository_def().sensor_defs if found.name == "one_approvals"]
    assert watching.asset_selection.resolve(definitions.resolve_asset_graph()) == {DatasetKeys("one").asset("approval")}


def test_the_charged_stages_of_a_dataset_share_a_pool_of_its_own(definitions):
    pools = {
        key.path[0]: {
            definitions.resolve_assets_def(DatasetKeys(key.path[0]).asset(stage)).op.pool for stage in CHARGED_ASSETS
        }
        for key in definitions.resolve_all_asset_keys()
        if key.path[0] in ("one", "two")
    }
    assert pools == {"one": {"one_training"}, "two": {"two_training"}}
    free = definitions.resolve_assets_def(DatasetKeys("one").asset("synthetic_table"))
    assert free.op.pool is None


def test_the_runs_of_a_job_carry_the_tag_of_their_dataset(definitions):
    assert definitions.resolve_job_def("one_walk").run_tags[DATASET_TAG] == "one"
    assert "dagster/max_retries" not in definitions.resolve_job_def("one_walk").run_tags


def test_the_settings_of_a_home_are_those_of_the_repository():
    ours = Path(launch.__file__).with_name("instance.yaml")
    assert yaml.safe_load((ROOT / "dagster.yaml").read_text()) == yaml.safe_load(ours.read_text())


def test_an_instance_with_our_settings_has_our_queue_launcher_and_limits(instance):
    assert isinstance(instance.run_coordinator, DatasetQueue)
    assert isinstance(instance.run_launcher, WatchedLauncher)
    concurrency = instance.get_concurrency_config()
    (limit,) = concurrency.run_queue_config.tag_concurrency_limits
    assert limit == {"key": DATASET_TAG, "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    assert concurrency.pool_config.default_pool_limit == 1
    assert instance.run_monitoring_enabled
    assert instance.freshness_enabled
    assert [instance.run_retries_enabled, instance.run_retries_max_retries] == [True, 3]


@dg.asset(key=["clinic", "generator"])
def clinic_generator():
    pass


@dg.asset(key=["town"])
def town():
    pass


@pytest.mark.parametrize(
    "assets, given, added",
    [
        (["clinic/generator"], {}, {DATASET_TAG: "clinic"}),
        (["clinic/generator"], {DATASET_TAG: "clinic"}, {}),
        (["clinic/generator"], {"dagster/retry_number": "1"}, {DATASET_TAG: "clinic", "dagster/priority": "1"}),
        (["clinic/generator"], {DATASET_TAG: "clinic", "dagster/retry_number": "2", "dagster/priority": "7"}, {}),
        (["town"], {}, {}),
    ],
)
def test_a_run_gets_the_tag_of_its_dataset_and_a_retry_goes_before_those_that_wait(instance, assets, given, added):
    job = dg.Definitions(assets=[clinic_generator, town]).resolve_implicit_global_asset_job_def()
    selection = frozenset(dg.AssetKey.from_user_string(name) for name in assets)
    assert missing_tags(instance.create_run_for_job(job, asset_selection=selection, tags=given)) == added


def test_a_release_without_a_greatest_age_is_never_overdue():
    definitions = dataset_definitions(spec_with())
    assert [
        asset.freshness_policy for made in definitions.assets for asset in made.specs if asset.freshness_policy
    ] == []


def test_the_release_and_nothing_else_is_overdue_after_its_greatest_age_and_warned_of_before():
    definitions = dataset_definitions(spec_with(release={"max_age": "10 days"}))
    found = {asset.key.path[-1]: asset.freshness_policy for made in definitions.assets for asset in made.specs}
    (name,) = (name for name, policy in found.items() if policy is not None)
    assert name == "release"
    assert isinstance(found[name], TimeWindowFreshnessPolicy)
    assert found[name].fail_window.to_timedelta() == dt.timedelta(days=10)
    assert found[name].warn_window.to_timedelta() == dt.timedelta(days=7.5)
