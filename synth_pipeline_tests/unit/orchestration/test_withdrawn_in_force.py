"""A release that was withdrawn, or whose approval expired, as the one in force: what a later walk makes of it, and of which loads stop."""

import json
from dataclasses import asdict, replace
from datetime import date

import pytest

from synth_pipeline.drift.decision import PriorFacts, decide
from synth_pipeline.errors import ApprovalRefused, BudgetRefused, TableError
from synth_pipeline.generate.engine_registry import chosen_kind
from synth_pipeline.orchestration.drift_assets import Settled
from synth_pipeline.orchestration.in_force import (
    in_force,
    load_prior,
    prior_release,
    prior_table,
    require_not_withdrawn,
)
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.approval import Wish
from synth_pipeline.settle import is_compared, settle, share_of
from synth_pipeline.spec import Spec
from synth_pipeline_tests.approval_example import copy_world, make_released_world
from synth_pipeline_tests.dagster_example import ATTRIBUTES

APPROVAL = Wish("approve", "teaching", "", date(2026, 6, 2))
WITHDRAWAL = Wish("withdraw", "described wrongly")
PRIVACY = {"epsilon": 2.0, "delta": 1e-5, "cap": {"epsilon": 9.0}}
SPEC = Spec.from_mapping({**ATTRIBUTES, "privacy": PRIVACY, "drift": {"epsilon": 0.5, "on_drift": "refresh"}})


def facts(spec=SPEC, **changes):
    made = PriorFacts("a-1", "a", 100.0, spec.learnt_digest, chosen_kind(spec), can_refresh=True)
    return replace(made, **changes)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A home with one release, which is in force."""
    made = make_released_world(tmp_path_factory.mktemp("fresh"), "a")
    text = json.dumps(asdict(facts()))
    save = lambda folder: (folder / "release.json").write_text(text)  # noqa: E731
    made.home.released.write(save, "clinic", "release.in_force")
    return made


@pytest.fixture
def world(fresh, tmp_path):
    return copy_world(fresh, tmp_path / "home")


def test_the_release_in_force_is_known_to_be_withdrawn_from_the_moment_it_is(world):
    assert in_force(world.home, SPEC).ended is None
    world.decide(replace(APPROVAL, expires=None))
    assert in_force(world.home, SPEC).ended is None
    world.decide(WITHDRAWAL)
    assert in_force(world.home, SPEC).ended == "withdrawn"
    assert in_force(world.home, SPEC) == facts()  # it is the same release, whatever became of it


def test_the_release_in_force_is_known_to_be_expired(world):
    world.decide(APPROVAL)
    assert in_force(world.home, SPEC).ended == "expired"  # this machine's clock is later


def test_a_release_that_was_withdrawn_by_its_bundle_alone_is_withdrawn_too(world):
    world.home.add_to_release(world.release("a").place, "approval", world.signed("a", WITHDRAWAL))
    assert in_force(world.home, SPEC).ended == "withdrawn"


def test_a_note_of_an_earlier_version_of_this_program_is_read(world):
    content = {name: value for name, value in asdict(facts()).items() if name != "ended"}
    save = lambda folder: (folder / "release.json").write_text(json.dumps(content))  # noqa: E731
    world.home.released.write(save, "clinic", "release.in_force")
    assert in_force(world.home, SPEC) == facts()


def test_no_snapshot_is_compared_with_a_release_that_was_withdrawn():
    assert is_compared(SPEC, facts(), "b")
    assert is_compared(SPEC, facts(ended="expired"), "b")
    assert not is_compared(SPEC, facts(ended="withdrawn"), "b")


def test_after_a_withdrawal_the_next_snapshot_is_trained_anew_and_no_test_for_drift_is_missed(world):
    ledger = open_ledger(world.home.ledger)
    found = settle(SPEC, snapshot="b", walk_id="w", ledger=ledger, prior=facts(ended="withdrawn"), report=None)
    assert (found.kind, share_of(SPEC, found.kind)) == ("refit", 1.0)


def test_after_a_withdrawal_a_training_that_the_cap_forbids_is_refused_and_not_made_a_refresh():
    found = decide(
        SPEC, prior=facts(ended="withdrawn"), report=None, room=lambda kind: None if kind == "refresh" else "no room"
    )
    assert (found.kind, found.wanted) == ("refuse", "refit")
    with pytest.raises(BudgetRefused, match="was withdrawn"):
        Settled(found).require_budget()


@pytest.mark.parametrize("load", [load_prior, prior_table, prior_release, require_not_withdrawn])
def test_a_walk_that_decided_to_build_on_a_release_stops_once_that_is_withdrawn(world, load):
    world.decide(WITHDRAWAL)
    with pytest.raises(
        ApprovalRefused,
        match="was withdrawn since this walk decided to build on it; start again from clinic/real_snapshot",
    ):
        load(world.home, SPEC, facts())


def test_a_report_that_was_reserved_before_a_withdrawal_still_may_compare(world):
    world.decide(WITHDRAWAL)
    with pytest.raises(TableError):  # there is none here; it was not refused for the withdrawal
        load_prior(world.home, SPEC, facts(), is_built_on=False)
