"""Two datasets under a real daemon: walks of one go one after another, each charged once, and neither dataset waits for the other."""

import pytest

from synth_pipeline.integrations.run_queue import DATASET_TAG
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.daemon_world import CHARGED_STEPS, awaited, make_world, overlaps

pytestmark = pytest.mark.slow
SNAPSHOTS = {"one": ["a", "b"], "two": ["x", "y"]}
DATASETS = list(SNAPSHOTS)
# Two walks of ε = 2 at δ = 1e-5 compose to 2.9, three to 3.7: the cap holds two.
CAPPED = {"epsilon": 2.0, "delta": 1e-5, "cap": {"epsilon": 3.2}}


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    """What happened: files arrive for one dataset while a job is backfilled for another; then that is asked for more than its cap holds."""
    world = make_world(tmp_path_factory.mktemp("turns"), *DATASETS, privacy=CAPPED, release={"max_age": "30 days"})
    for dataset, names in SNAPSHOTS.items():
        for number, name in enumerate(names):
            world.put(dataset, name, seed=number)
    with world.daemon() as daemon:
        daemon.instance.add_dynamic_partitions(DatasetKeys("two").partitions_name, SNAPSHOTS["two"])
        daemon.start_sensor("one")
        daemon.backfill("two", SNAPSHOTS["two"])
        walked = {dataset: daemon.await_ended(2, tags={DATASET_TAG: dataset}) for dataset in DATASETS}
        spent = kinds(world, "two")
        daemon.backfill("two", ["x"], assets=CHARGED_STEPS)
        refused = daemon.await_ended(3, tags={DATASET_TAG: "two"})[2:]
        yield world, daemon, walked, spent, refused


def kinds(world, dataset):
    return [entry.kind for entry in open_ledger(world.home.ledger).history(dataset)]


def test_every_walk_ended_well(past):
    _, _, walked, _, _ = past
    assert [run.status.value for dataset in DATASETS for run in walked[dataset]] == ["SUCCESS"] * 4


@pytest.mark.parametrize("dataset", DATASETS)
def test_walks_of_a_dataset_never_overlapped(past, dataset):
    _, daemon, walked, _, _ = past
    assert not overlaps([daemon.times(run) for run in walked[dataset]])
    assert not overlaps([daemon.step_times(run, "generator") for run in walked[dataset]])


@pytest.mark.parametrize("dataset", DATASETS)
def test_walks_went_in_the_order_of_arrival_or_of_the_backfill(past, dataset):
    _, daemon, walked, _, _ = past
    in_time = sorted(walked[dataset], key=daemon.times)
    assert [run.tags["dagster/partition"] for run in in_time] == SNAPSHOTS[dataset]


def test_neither_dataset_waited_for_the_other(past):
    _, daemon, walked, _, _ = past
    first_starts = [min(daemon.times(run)[0] for run in walked[dataset]) for dataset in DATASETS]
    last_ends = [max(daemon.times(run)[1] for run in walked[dataset]) for dataset in DATASETS]
    assert max(first_starts) < min(last_ends)


def test_each_snapshot_of_a_backfill_was_charged_once(past):
    _, _, _, spent, _ = past
    assert spent == ["reserve", "read", "commit"] * 2


def test_a_repeated_backfill_beyond_the_cap_is_refused_once_and_reads_nothing(past):
    world, daemon, _, spent, refused = past
    (run,) = refused
    assert run.status.value == "FAILURE"
    assert daemon.instance.get_run_by_id(run.run_id).tags["dagster/max_retries"] == "0"
    assert kinds(world, "two") == spent


def test_a_backfill_over_single_assets_carries_the_tag_that_jobs_have(past):
    _, _, _, _, refused = past
    (run,) = refused
    assert run.job_name == "__ASSET_JOB"
    assert run.tags[DATASET_TAG] == "two"


def test_a_fresh_release_passes_its_freshness_policy(past):
    _, daemon, _, _, _ = past
    key = DatasetKeys("one").asset("release")

    def is_fresh():
        record = daemon.instance.get_freshness_state_records([key]).get(key)
        return record is not None and record.freshness_state.value == "PASS"

    awaited(is_fresh, "the daemon finds the release fresh", patience_seconds=120)
