"""Walks that do not come through Dagster's queue wait for one another too, and one that was killed stands in nobody's way."""

import os
import signal
import subprocess
import sys
import threading
import time

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus

from synth_pipeline.integrations.run_queue import DATASET_TAG
from synth_pipeline.integrations.run_workers import is_dead, mark_until_exit, marked_alive
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.orchestration.turn import runs_under_way, stage_turn, walk_turn

HOLD = """
import sys
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.integrations.run_workers import marked_alive
from synth_pipeline.orchestration.turn import stage_turn
home = Home.at(sys.argv[1])
with open_instance(home) as instance, marked_alive(instance, sys.argv[2]), stage_turn(home, "d"):
    print("held", flush=True)
    sys.stdin.read()
"""


@dg.op
def nothing():
    pass


@dg.job(tags={DATASET_TAG: "d"})
def walk():
    nothing()


@pytest.fixture
def home(tmp_path):
    return Home.at(tmp_path).make()


@pytest.fixture
def instance(home):
    with open_instance(home) as instance:
        yield instance


@pytest.fixture
def holder(home, instance):
    """A process that walks, as far as anybody can tell: its run, and the process."""
    run = instance.create_run_for_job(walk, tags=walk.tags)
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name), run.run_id)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HOLD, str(home.folder), run.run_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    assert process.stdout.readline() == b"held\n"
    yield run, process
    process.kill()
    process.communicate()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_run_with_a_process_is_alive_and_one_whose_process_was_killed_is_dead(instance, holder):
    run, process = holder
    health = instance.run_launcher.check_run_worker_health
    assert not is_dead(instance, run.run_id)
    assert health(run).status == WorkerStatus.RUNNING
    kill(process)
    assert is_dead(instance, run.run_id)
    assert health(run).status == WorkerStatus.FAILED


def test_a_run_without_a_mark_on_this_machine_is_taken_to_be_alive(instance):
    run = instance.create_run_for_job(walk, tags=walk.tags)
    assert not is_dead(instance, run.run_id)
    with marked_alive(instance, run.run_id):
        assert not is_dead(instance, run.run_id)
    assert not is_dead(instance, run.run_id)


def started(instance):
    run = instance.create_run_for_job(walk, tags=walk.tags)
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name), run.run_id)
    return run


def test_a_run_whose_end_could_not_be_recorded_stands_in_nobodys_way(instance):
    run = started(instance)
    with marked_alive(instance, run.run_id):
        assert runs_under_way(instance, "d")
    assert is_dead(instance, run.run_id)
    assert runs_under_way(instance, "d") == []
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE


def test_the_mark_of_a_process_stays_until_it_ends_and_a_later_one_removes_those_of_runs_that_are_over(instance):
    over, run = started(instance), started(instance)
    with marked_alive(instance, over.run_id):
        pass
    instance.report_run_canceled(over)
    mark_until_exit(instance, run.run_id)
    assert not is_dead(instance, run.run_id)
    assert not is_dead(instance, over.run_id)  # its mark is gone
    instance.report_run_canceled(run)


def test_an_error_takes_the_mark_with_it(instance):
    with pytest.raises(ZeroDivisionError), marked_alive(instance, "some-run"):
        raise ZeroDivisionError
    assert not is_dead(instance, "some-run")


def test_the_command_line_waits_for_a_run_of_its_dataset_says_so_and_goes_on_when_it_ends(home, instance, holder):
    run, _ = holder
    told = []

    def tell(line):
        told.append(line)
        instance.report_run_canceled(run)

    with walk_turn(instance, home, "d", tell=tell) as run_id:
        assert run_id != run.run_id
    assert told == [f"d: waiting for run {run.run_id[:8]} to end; walks of a dataset go one after another"]


def test_the_command_line_does_not_wait_for_other_datasets(home, instance, holder):
    told = []
    with walk_turn(instance, home, "other", tell=told.append):
        assert told == []


def test_a_run_whose_process_was_killed_is_set_down_as_failed_and_not_waited_for(home, instance, holder):
    run, process = holder
    kill(process)
    told = []
    with walk_turn(instance, home, "d", tell=told.append):
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    assert told == []
    assert runs_under_way(instance, "d") == []


def test_two_command_lines_take_turns(home, instance):
    order = []
    inside = threading.Event()

    def first():
        with open_instance(home) as own, walk_turn(own, home, "d"):
            inside.set()
            time.sleep(0.5)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with walk_turn(instance, home, "d", tell=order.append):
        order.append("second")
    thread.join()
    assert order == ["d: waiting for another walk of this home", "first", "second"]


def test_a_charged_stage_waits_for_one_that_outlived_its_run(home, holder):
    _, process = holder
    told = []

    def tell(line):
        told.append(line)
        kill(process)

    with stage_turn(home, "d", tell=tell):
        assert told == ["d: waiting for a stage of an earlier run to end"]


TRAINING = """
import sys, time
import dagster as dg
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.launch import open_instance

@dg.asset(key=["d", "generator"], pool="d_training")
def training():
    time.sleep(1)

with open_instance(Home.at(sys.argv[1])) as instance:
    assert dg.materialize([training], instance=instance).success
"""


@pytest.mark.slow
def test_a_pool_that_nobody_declared_has_one_place_under_our_settings(home):
    """Two runs without the queue, without the dataset's tag: the pool alone keeps their charged steps apart."""
    runs = [subprocess.Popen([sys.executable, "-c", TRAINING, str(home.folder)]) for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0]
    with open_instance(home) as instance:
        steps = [instance.get_run_step_stats(run.run_id)[0] for run in instance.get_runs()]
    first, second = sorted(steps, key=lambda stats: stats.start_time)
    assert first.end_time <= second.start_time


def test_the_command_line_takes_a_place_of_the_pool_back_from_a_run_that_is_over(home, instance):
    run = instance.create_run_for_job(walk, tags=walk.tags)
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default("d_training")
    assert storage.claim_concurrency_slot("d_training", run.run_id, "d__generator").is_claimed
    with walk_turn(instance, home, "d"):
        assert storage.get_concurrency_info("d_training").active_run_ids == {run.run_id}
    instance.report_run_failed(run)
    with walk_turn(instance, home, "d"):
        assert storage.get_concurrency_info("d_training").active_run_ids == set()
