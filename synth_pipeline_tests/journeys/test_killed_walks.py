"""Walks whose process is killed with SIGKILL, then started again: one release, one charge, nothing half-written, nothing held back."""

import random

import pytest

from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline_tests.killed_walks import NEVER, Left, Window, make_killed_place, run_killed

WINDOWS = (
    Window("marked", "profile"),
    Window("asked", "profile", 2),
    Window("torn", "generator", 1),
    Window("committed"),
    Window("stored", "generator"),
    Window("bundled"),
    Window("made", "release"),
)
KILLS_OF_A_WALK = 3
WALKS = {"real_snapshot": 7, "profile": 7, "generator": 7}  # of other stages 2: what they do again is charged to nobody
# The most that a step takes, about: random instants lie within it, and some a little after.
SECONDS = {
    "real_snapshot": 0.5,
    "profile": 0.6,
    "generator": 2.5,
    "validation_suite": 3.0,
    "privacy_audit": 4.0,
    "tstr_benchmark": 2.0,
}


def check_ended_well(place, *, kills):
    left = Left.at(place)
    assert left.releases == 1
    assert left.ledger == {"reserve": 1 + left.ledger["release"], "read": 2, "commit": 1, **released(left)}
    assert left.reserved_epsilon == 0
    assert left.spent_epsilon <= 2.0 * (1 + 1e-6)
    assert left.faults == ()
    assert left.journals == 0
    assert left.runs == {"SUCCESS": 1, **({"FAILURE": kills} if kills else {})}


def released(left):
    return {"release": left.ledger["release"]} if left.ledger["release"] else {}


@pytest.mark.slow
def test_a_walk_that_is_killed_again_and_again_ends_with_one_release_and_one_charge(tmp_path):
    place = make_killed_place(tmp_path)
    for window in (WINDOWS[1], WINDOWS[2], WINDOWS[3]):
        assert run_killed(place, window) == "killed"
        assert Left.at(place).faults == ()
    assert run_killed(place, NEVER) == "done"
    check_ended_well(place, kills=3)


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: f"{window.after}-{window.name}")
def test_a_walk_that_is_killed_at_a_window_ends_with_one_release_and_one_charge(window, tmp_path):
    place = make_killed_place(tmp_path)
    assert run_killed(place, window) == "killed"
    assert run_killed(place, NEVER) == "done"
    check_ended_well(place, kills=1)


@pytest.mark.slow
@pytest.mark.parametrize("stage", DatasetKeys("clinic").assets(with_drift=False), ids=lambda key: key.path[-1])
def test_a_walk_that_is_killed_at_random_instants_of_a_stage_ends_with_one_release_and_one_charge(stage, tmp_path):
    rng, name = random.Random(str(stage)), stage.path[-1]
    for walk in range(WALKS.get(name, 2)):
        place = make_killed_place(tmp_path / str(walk))
        kills = 0
        for _ in range(KILLS_OF_A_WALK):
            ended = run_killed(place, Window("step", name, seconds=rng.uniform(0.0, SECONDS.get(name, 1.0)) + 0.001))
            assert ended in ("killed", "done")
            if ended == "done":
                break
            kills += 1
            assert Left.at(place).faults == ()
        if ended != "done":
            assert run_killed(place, NEVER) == "done"
        check_ended_well(place, kills=kills)
