"""Crashes, failed checks, refusals and talkative libraries: what they leave behind holds no value and no exact count either.

A fault says every marker, so one search of everything that all faulty walks left covers all of them.
"""

import json
import textwrap
from pathlib import Path

import pytest

from synth_pipeline_tests.marked_faults import FAULTS, WORDS
from synth_pipeline_tests.marked_walk import MARKERS, Trace

pytestmark = pytest.mark.slow

EXIT_CODES = dict.fromkeys(FAULTS, 2) | {
    "check fails": 4,
    "libraries talk": 0,
    "fit crashes": 1,
    "budget is refused": 3,
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Trace:
    trace = Trace.prepare(tmp_path_factory.mktemp("faulty"))
    (trace.arrivals / "second.parquet").symlink_to(trace.raw / "first.parquet")
    trace.run("faults", ["-m", "synth_pipeline_tests.marked_faults", "faults"])
    return trace


@pytest.fixture(scope="module")
def ungated(tmp_path_factory) -> Trace:
    trace = Trace.prepare(tmp_path_factory.mktemp("ungated"))
    trace.run("ungated", ["-m", "synth_pipeline_tests.marked_faults", "ungated"])
    return trace


def kept(trace: Trace) -> str:
    return "".join(
        path.read_text() for name in ("errors", "output", "logs") for path in (trace.private / name).rglob("*.txt")
    )


def test_every_fault_ended_its_run_as_it_should(faulty):
    assert json.loads((faulty.folder / "faults.json").read_text()) == EXIT_CODES, faulty.said("faults")


def test_every_fault_is_told_by_type_and_place(faulty):
    told = faulty.said("faults")
    for words in (
        "profile: stopped by ValueError at private_assets.py:",
        "generator: stopped by RustPanic",
        "generator: stopped by SystemExit",
        "real_snapshot (its store): stopped by TypeError",
        "real_snapshot (its store): stopped by EOFError",
        "tstr_benchmark: stopped by MemoryError",
        "published_score: stopped by RustPanic",
        "data: some rows, some rows of some people, some rows are null",
        "categories__ward",
    ):
        assert words in told, words


def test_the_owner_finds_every_word_in_the_private_store(faulty):
    assert kept(faulty).count(WORDS) > 20


@pytest.mark.parametrize("marker", MARKERS)
def test_no_fault_brought_a_value_or_a_count_out_of_the_private_zone(faulty, marker):
    assert faulty.leaks(MARKERS[marker], in_cells=True) == []


@pytest.mark.parametrize("marker", MARKERS)
def test_without_the_gate_the_search_finds_what_leaks(ungated, marker):
    """The control: the same fault in a walk whose stages are not private ones."""
    leaks = ungated.leaks(MARKERS[marker], in_cells=True)
    assert {Path(name).suffix for name in leaks} >= {
        ".db",
        ".err",
        ".txt",
    }  # the event log, a compute log, what was said


@pytest.fixture(scope="module")
def killed(faulty) -> Trace:
    """A run whose steps are processes, as Dagster's daemon starts them: the step that reads says everything and kills itself."""
    patch = faulty.folder / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(
        textwrap.dedent(
            """
            import os

            from synth_pipeline import walk


            def die(*_, **__):
                from synth_pipeline_tests.marked_faults import WORDS

                os.write(2, WORDS.encode())
                print(WORDS, flush=True)
                os.kill(os.getpid(), 9)


            walk.profile = die
            """
        )
    )
    steps = ["marked/real_snapshot,marked/profile", "--partition", "first"]
    argv = ["-m", "dagster", "asset", "materialize", "-m", "synth_pipeline.definitions", "--select", *steps]
    faulty.run("killed", argv, PYTHONPATH=f"{patch}:{Path(__file__).parents[2]}")
    return faulty


def test_a_step_that_kills_itself_is_told_as_killed(killed):
    told = killed.said("killed")
    assert "RUN_FAILURE" in told
    assert "SIGKILL" in told


@pytest.mark.parametrize("marker", MARKERS)
def test_a_step_that_kills_itself_leaves_no_value_behind(killed, marker):
    assert killed.leaks(MARKERS[marker], in_cells=True) == []
