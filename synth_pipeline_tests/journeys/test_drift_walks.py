"""Snapshot after snapshot through Dagster: what is found decides what is trained, what is charged, and which release is in force."""

import json

import pytest

from synth_pipeline.errors import BudgetRefused
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.drifting_walks import decision, drifting_place, reserved, standing, stored, visits, walk


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """Four snapshots: the first, one like it, a larger one like it, and one that moved."""
    place = drifting_place(tmp_path_factory.mktemp("drift"))
    failures = {
        "first": walk(place, "first", visits(seed=0)),
        "same": walk(place, "same", visits(seed=1)),
        "larger": walk(place, "larger", visits(6000, seed=2)),
        "moved": walk(place, "moved", visits(6000, seed=3, moved=0.5)),
    }
    return place, failures


def test_every_snapshot_ends_with_a_release(walked):
    _, failures = walked
    assert failures == dict.fromkeys(failures)


def test_a_first_snapshot_is_fitted_and_charged_without_a_drift_report(walked):
    place, _ = walked
    assert decision(place, "first").kind == "refit"
    assert stored(place, "first", "drift_report").report is None
    assert reserved(place)[0] == pytest.approx(
        1.91, abs=0.01
    )  # what the drift report would cost is set aside all the same


def test_a_snapshot_of_the_same_population_keeps_the_release_at_the_cost_of_the_report(walked):
    place, _ = walked
    assert decision(place, "same").kind == "reuse"
    assert reserved(place)[1] == 0.5
    assert stored(place, "same", "release") == stored(place, "first", "release")
    assert stored(place, "same", "synthetic_table").equals(stored(place, "first", "synthetic_table"))


def test_more_people_of_the_same_population_are_new_rows_of_the_old_generator(walked):
    place, _ = walked
    assert decision(place, "larger").kind == "resample"
    assert reserved(place)[2] == 0.5
    assert len(stored(place, "larger", "synthetic_table")) == pytest.approx(0.8 * 6000, rel=0.05)
    assert stored(place, "larger", "release") != stored(place, "first", "release")
    assert stored(place, "larger", "generator").events == stored(place, "first", "generator").events


def test_what_moved_is_measured_anew_for_a_share_of_the_budget(walked):
    place, _ = walked
    found = decision(place, "moved")
    assert found.kind == "refresh"
    assert "ward" in found.changed
    assert reserved(place)[3] == 0.5
    assert reserved(place)[4] == pytest.approx(0.955, abs=0.01)
    shares = stored(place, "moved", "synthetic_table")["ward"].value_counts(normalize=True)
    real = visits(6000, seed=3, moved=0.5)["ward"].value_counts(normalize=True)
    assert (shares - real).abs().max() < 0.05
    assert standing(place).snapshot == "moved"


def test_the_certificate_of_a_refresh_states_the_drift_report_and_what_it_builds_on(walked):
    place, _ = walked
    content = json.loads((stored(place, "moved", "release") / "certificate.json").read_text())["predicate"]
    stages = {event["stage"] for event in content["mechanisms"]}
    assert stages == {"drift_report", "profile", "generator"}
    assert content["extra"]["buildsOn"]["release"].startswith("larger-")
    assert content["composedEpsilon"] < 1.3  # ε = .5 and half of what is left, composed


@pytest.mark.slow
def test_training_that_the_cap_forbids_is_refused_after_the_report_and_the_release_stands(tmp_path):
    place = drifting_place(tmp_path, drift={"on_drift": "refit"}, cap={"epsilon": 2.2})
    assert walk(place, "first", visits(seed=0)) is None
    failure = walk(place, "moved", visits(seed=3, moved=0.5))
    assert isinstance(failure, BudgetRefused)
    assert decision(place, "moved").kind == "refuse"
    assert decision(place, "moved").wanted == "refit"
    assert decision(place, "moved").reason in str(failure)
    assert reserved(place) == [pytest.approx(1.91, abs=0.01), 0.5]
    assert standing(place).snapshot == "first"


@pytest.mark.slow
def test_a_schedule_asks_nothing_of_the_rows_before_it_trains(tmp_path):
    place = drifting_place(tmp_path, drift={"mode": "schedule"}, cap={"epsilon": 8.0})
    assert walk(place, "first", visits(seed=0)) is None
    assert walk(place, "second", visits(seed=1)) is None
    assert decision(place, "second").kind == "refresh"
    assert stored(place, "second", "drift_report").report is None
    assert reserved(place) == [2.0, 1.0]


@pytest.mark.slow
def test_a_snapshot_whose_release_is_in_force_is_walked_again_when_somebody_asks(tmp_path):
    place = drifting_place(tmp_path, cap={"epsilon": 8.0})
    assert walk(place, "first", visits(seed=0)) is None
    assert walk(place, "first", visits(seed=0)) is None
    assert decision(place, "first").kind == "refit"
    assert len(reserved(place)) == 2


@pytest.mark.slow
def test_one_charge_watches_many_snapshots_of_the_same_people_up_to_the_first_alarm(tmp_path):
    watched = {"mode": "sparse_vector", "on_drift": "refit"}
    place = drifting_place(tmp_path, drift=watched, cap={"epsilon": 8.0})
    assert walk(place, "first", visits(seed=0)) is None
    assert [walk(place, name, visits(seed=seed)) for seed, name in enumerate(("second", "third"), 1)] == [None, None]
    assert [decision(place, name).kind for name in ("second", "third")] == ["reuse", "reuse"]
    assert reserved(place) == [
        pytest.approx(1.91, abs=0.01),
        0.5,
    ]  # the second begins the epoch, the third is covered by it
    assert walk(place, "moved", visits(seed=3, moved=0.9)) is None
    assert decision(place, "moved").kind == "refit"
    assert reserved(place)[2:] == [pytest.approx(1.91, abs=0.01)]
    walks = open_ledger(place.home.ledger).account("clinic").walks
    assert walks[1].reservation.blocks == ("all",)
    certificate = json.loads((stored(place, "moved", "release") / "certificate.json").read_text())["predicate"]
    asked = [event["stage"] for event in certificate["mechanisms"]]
    assert (
        "drift_report" in asked
    )  # the alarm hangs on this snapshot's rows, though another walk paid for the threshold
    assert certificate["composedEpsilon"] == pytest.approx(2.0, abs=0.01)


@pytest.mark.slow
def test_after_an_alarm_a_refresh_measures_the_columns_at_a_charge_of_its_own_which_its_certificate_states(tmp_path):
    place = drifting_place(tmp_path, drift={"mode": "sparse_vector"}, cap={"epsilon": 8.0})
    assert walk(place, "first", visits(seed=0)) is None
    assert walk(place, "moved", visits(seed=3, moved=0.9)) is None
    assert decision(place, "moved").kind == "refresh"
    assert reserved(place)[1:3] == [0.5, 0.5]
    certificate = json.loads((stored(place, "moved", "release") / "certificate.json").read_text())["predicate"]
    kinds = {event["kind"] for event in certificate["mechanisms"] if event["stage"] == "drift_report"}
    assert kinds == {"above_threshold", "discrete_gaussian"}
    assert 1.15 < certificate["composedEpsilon"] < 1.25  # half of the training with two reports; with one it is 1.11
    assert certificate["extra"]["audited"].startswith("a fit from nothing")
