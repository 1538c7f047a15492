"""Two datasets under a real daemon: walks of one go one after another, each charged once, and neither dataset waits for the other."""

import pytest

from synth_pipeline.integrations.run_queue import DATASET_TAG
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.daemon_world import CHARGED_STEPS, awaited, make_world, overlaps

pytestmark = pytest.mark.slow
ARRIVED, BACKFILLED = ["a", "b"], ["x", "y", "z"]
PARTITION_TAG = "dagster/partition"


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    """What happened: files arrive for one dataset while another is backfilled; then both are asked for more than their caps hold."""
    folder = tmp_path_factory.mktemp("turns")
    # Three walks of ε = 2 at δ = 1e-5 compose to 3.7: the cap holds three, and not a fourth.
    changes = {"privacy": {"epsilon": 2.0, "delta": 1e-5, "cap": {"epsilon": 3.9}}, "release": {"max_age": "30 days"}}
    world = make_world(folder, "one", "two", **changes)
    for number, name in enumerate(ARRIVED):
        world.put("one", name, seed=number)
    for number, name in enumerate(BACKFILLED):
        world.put("two", name, seed=number)
    with world.daemon() as daemon:
        daemon.instance.add_dynamic_partitions(DatasetKeys("two").partitions_name, BACKFILLED)
        daemon.start_sensor("one")
        daemon.backfill("two", BACKFILLED, assets=CHARGED_STEPS)
        walked = {
            "one": daemon.await_ended(2, tags={DATASET_TAG: "one"}),
            "two": daemon.await_ended(3, tags={DATASET_TAG: "two"}),
        }
        spent = [entry.kind for entry in open_ledger(world.home.ledger).history("two")]
        daemon.backfill("two", BACKFILLED[:2], assets=CHARGED_STEPS)
        daemon.backfill("one", ["a"])
        again = daemon.await_ended(5, tags={DATASET_TAG: "two"})[3:]
        job = daemon.await_ended(3, tags={DATASET_TAG: "one"})[2:]
        yield world, daemon, {**walked, "again": again, "job": job, "spent": spent}


def test_every_walk_ended_well(past):
    _, _, runs = past
    assert {run.status.value for run in (*runs["one"], *runs["two"])} == {"SUCCESS"}


def test_walks_of_a_dataset_never_overlapped(past):
    _, daemon, runs = past
    for dataset in ("one", "two"):
        assert not overlaps([daemon.times(run) for run in runs[dataset]])
        assert not overlaps([daemon.step_times(run, "generator") for run in runs[dataset]])


def test_walks_went_in_the_order_of_arrival_and_of_the_backfill(past):
    _, daemon, runs = past
    for dataset, wanted in (("one", ARRIVED), ("two", BACKFILLED)):
        in_time = sorted(runs[dataset], key=daemon.times)
        assert [run.tags[PARTITION_TAG] for run in in_time] == wanted


def test_neither_dataset_waited_for_the_other(past):
    _, daemon, runs = past
    first = [min(daemon.times(run) for run in runs[dataset]) for dataset in ("one", "two")]
    last = [max(daemon.times(run) for run in runs[dataset]) for dataset in ("one", "two")]
    assert max(start for start, _ in first) < min(end for _, end in last)


def test_a_backfill_over_assets_carries_the_tag_that_jobs_have(past):
    _, _, runs = past
    assert {run.job_name for run in runs["two"]} == {"__ASSET_JOB"}
    assert {run.tags[DATASET_TAG] for run in runs["two"]} == {"two"}


def test_each_snapshot_of_a_backfill_was_charged_once(past):
    _, _, runs = past
    assert [runs["spent"].count(kind) for kind in ("reserve", "commit", "release")] == [3, 3, 0]


def test_a_repeated_backfill_is_refused_by_the_cap_once_and_reads_nothing(past):
    world, daemon, runs = past
    entries = [entry.kind for entry in open_ledger(world.home.ledger).history("two")]
    assert entries == runs["spent"]
    assert [run.status.value for run in runs["again"]] == ["FAILURE", "FAILURE"]
    for run in runs["again"]:
        assert daemon.instance.get_run_by_id(run.run_id).tags["dagster/max_retries"] == "0"


def test_a_backfill_of_the_job_walks_a_snapshot_again_where_the_cap_allows(past):
    world, _, runs = past
    (run,) = runs["job"]
    assert [run.job_name, run.status.value] == ["one_walk", "SUCCESS"]
    entries = [entry.kind for entry in open_ledger(world.home.ledger).history("one")]
    assert entries.count("commit") == 3


def test_a_fresh_release_passes_its_freshness_policy(past):
    _, daemon, _ = past
    key = DatasetKeys("one").asset("release")

    def state():
        record = daemon.instance.get_freshness_state_records([key]).get(key)
        return record and record.freshness_state.value

    assert awaited(lambda: state() == "PASS", "the release is fresh", patience_seconds=120)
