"""A walk whose process is killed from outside Dagster's sight holds up its dataset for seconds, not for good."""

import os
import signal
import subprocess
import sys

import pytest

from synth_pipeline.integrations.run_queue import DATASET_TAG
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline_tests.daemon_world import awaited, make_world

pytestmark = pytest.mark.slow


def started_command(world):
    """`synth-pipeline run one` in a process of its own, as soon as Dagster calls it started."""
    command = [sys.executable, "-m", "synth_pipeline", "run", "one"]
    settings = {
        "SYNTH_PIPELINE_HOME": str(world.home.folder),
        "SYNTH_PIPELINE_DEFS": str(world.own),
        "PYTHONPATH": ":".join(sys.path),
    }
    process = subprocess.Popen(
        command,
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with open_instance(world.home) as instance:

        def found():
            assert process.poll() is None, "the command ended by itself"
            return [run for run in instance.get_runs() if run.status.value == "STARTED"]

        return process, awaited(found, "the command's run has started")[0]


def test_a_killed_command_is_found_by_the_daemon_and_the_next_walk_goes_on(tmp_path):
    world = make_world(tmp_path, "one")
    world.put("one", "a")
    process, lost = started_command(world)
    assert lost.tags[DATASET_TAG] == "one"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with open_instance(world.home) as instance:
        assert instance.get_run_by_id(lost.run_id).status.value == "STARTED"  # so it would stay
    with world.daemon() as daemon:
        awaited(lambda: daemon.instance.get_run_by_id(lost.run_id).is_finished, "the lost run is seen")
        daemon.backfill("one", ["a"], assets=("real_snapshot",))
        runs = daemon.await_ended(2, tags={DATASET_TAG: "one"})
        assert [run.status.value for run in runs] == ["FAILURE", "SUCCESS"]
