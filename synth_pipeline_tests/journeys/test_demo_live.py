"""The live demo: files arrive, the daemon walks them, and whatever ends the demo leaves no process and no unread reservation behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synth_pipeline.errors import TableError
from synth_pipeline.integrations.stores import HOME_VARIABLE, Home
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.orchestration.live import live_dagster, waiting_files
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.dagster_example import clinic_rows, make_place
from synth_pipeline_tests.postgres_server import free_port

pytestmark = pytest.mark.slow
PRIVACY = {"epsilon": 2.0, "delta": 1e-5, "cap": {"epsilon": 3.0}, "cohorts": {"by": "disjoint"}}
DRIFT = {"epsilon": 0.4, "on_drift": "refresh"}


def processes_of(home):
    """Processes that were started over a home, by the variable in their environment."""
    mark = f"{HOME_VARIABLE}={home}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in place.read_bytes().split(b"\0"):
                found.append(int(place.parent.name))
        except OSError:  # it has ended
            continue
    return found


def write_two(folder):
    """A snapshot, and one of other people, half of whom moved to another ward."""
    first, second = clinic_rows(rows=3000), clinic_rows(rows=3000, seed=1)
    second.loc[second.index % 2 == 0, "ward"] = "C"
    paths = [folder / "visits_2024.parquet", folder / "visits_2025.parquet"]
    for path, frame in zip(paths, (first, second), strict=True):
        frame.to_parquet(path, index=False)
    return paths


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Two snapshots that arrived one after another: the home, what became of each, and what was said."""
    place = make_place(tmp_path_factory.mktemp("live"), privacy=PRIVACY, drift=DRIFT)
    moments = []
    with (
        waiting_files(place.home, write_two) as files,
        live_dagster("clinic", home=place.home, port=free_port(), own=place.own) as dagster,
    ):
        chapters = dagster.play(files, moments.append)
    return place, chapters, moments


def test_every_snapshot_that_arrives_is_walked_without_a_hand(played):
    place, chapters, _ = played
    assert [chapter.snapshot for chapter in chapters] == ["visits_2024", "visits_2025"]
    with open_instance(place.home) as instance:
        assert {run.run_id for run in instance.get_runs()} == {chapter.run_id for chapter in chapters}
        assert all(run.is_success for run in instance.get_runs())


def test_the_first_has_nothing_to_compare_with_and_the_second_is_found_to_have_drifted(played):
    _, (first, second), _ = played
    assert (first.drifted, first.decision) == (None, "refit")
    assert "ward" in second.drifted
    assert second.decision == "refresh"
    assert second.reason


def test_what_was_spent_is_what_the_ledger_says(played):
    place, chapters, _ = played
    account = open_ledger(place.home.ledger).account("clinic")
    spent = {block.cohort: block.spent_epsilon for block in account.blocks}
    assert {chapter.snapshot: chapter.spent_epsilon for chapter in chapters} == spent
    first, second = chapters
    assert first.drift_epsilon == 0.0
    assert second.drift_epsilon == pytest.approx(DRIFT["epsilon"], rel=1e-3)
    assert all(0 < chapter.spent_epsilon <= PRIVACY["epsilon"] * (1 + 1e-6) for chapter in chapters)
    assert second.spent_epsilon < first.spent_epsilon
    assert account.reserved_epsilon == 0.0


def test_quality_and_release_are_told_for_each(played):
    place, chapters, _ = played
    for chapter in chapters:
        assert 0 <= chapter.quality.tvd_2way <= 1
        assert 0 <= chapter.quality.tstr_auc <= 1
        assert (place.home.releases / "clinic" / chapter.release).is_dir()


def test_the_viewer_is_told_of_arrival_run_drift_decision_and_release(played):
    _, _, moments = played
    told = [moment.text for moment in moments if moment.snapshot == "visits_2025" and moment.is_news]
    begins = [
        "visits_2025.parquet put",
        "seen by the sensor",
        "real_snapshot",
        "drift in: ",
        "generator",
        "release in force",
    ]
    places = [next(place for place, line in enumerate(told) if line.startswith(begin)) for begin in begins]
    assert places == sorted(places)


def test_nothing_is_left_running_and_no_file_waits(played):
    place, _, _ = played
    assert processes_of(place.home.folder) == []
    assert list(place.home.folder.glob(".waiting-*")) == []


def test_a_home_that_was_played_in_is_refused(played):
    place, _, _ = played
    with (
        pytest.raises(TableError, match="fresh --home"),
        live_dagster("clinic", home=place.home, port=free_port(), own=place.own),
    ):
        pass


def await_first_reservation(home, process, patience_seconds=300):
    """Wait until the first walk of the demo has reserved its budget."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        assert process.poll() is None
        if Path(home.ledger).exists() and open_ledger(home.ledger).walks("gss"):
            return
        time.sleep(0.2)
    raise AssertionError(f"nothing was reserved within {patience_seconds} s")


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_stops_every_process_and_holds_no_unread_budget(tmp_path, sent, code):
    home = Home.at(tmp_path / "home")
    command = [
        sys.executable,
        "-m",
        "synth_pipeline",
        "demo",
        "--live",
        "--home",
        str(home.folder),
        "--port",
        str(free_port()),
    ]
    variables = {name: value for name, value in os.environ.items() if name != HOME_VARIABLE}
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as process:
        await_first_reservation(home, process)
        assert processes_of(home.folder)
        process.send_signal(sent)
        _, told = process.communicate(timeout=180)
    assert process.returncode == code, told
    assert processes_of(home.folder) == []
    assert open_ledger(home.ledger).account("gss").reserved_epsilon == 0.0
    with open_instance(home) as instance:
        assert [run.is_finished for run in instance.get_runs()] == [True]
