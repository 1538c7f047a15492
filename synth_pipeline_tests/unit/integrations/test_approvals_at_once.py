"""Two people in two processes who decide about the same release at once, on both ledgers: one decides after the other, never both."""

import pytest

from synth_pipeline.integrations.approvals import standing
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.approval import Wish
from synth_pipeline_tests.approval_example import NOW, make_world
from synth_pipeline_tests.racing_decisions import Deciders

APPROVAL, WITHDRAWAL = Wish("approve", "teaching"), Wish("withdraw", "described wrongly")


@pytest.fixture
def world(tmp_path, ledger_place, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_LEDGER", ledger_place)
    return make_world(tmp_path / "home")


def records(world, release):
    entries = open_ledger(world.home.ledger).history("clinic")
    return [entry.body for entry in entries if entry.kind == "record" and entry.body["release"] == release.name]


def two_approve(world, deciders, snapshot):
    release, people = world.add_release(snapshot), ("approver", "stranger")
    ended = deciders.race(release.name, [world.signed(snapshot, APPROVAL, who) for who in people])
    assert sorted(one.code for one in ended) == [0, 4]
    kept, refused = (next(n for n, one in enumerate(ended) if one.code == code) for code in (0, 4))
    assert f"{release.name}: was approved already, by key {world.name_of(people[kept])}" in ended[refused].line
    assert "\n" not in ended[refused].line
    assert [body["key"] for body in records(world, release)] == [world.name_of(people[kept])]
    assert standing(world.home, release, now=NOW).state == "approved"


def one_approves_and_one_withdraws(world, deciders, snapshot):
    release = world.add_release(snapshot)
    envelopes = [world.signed(snapshot, APPROVAL), world.signed(snapshot, WITHDRAWAL, "requester")]
    approval, withdrawal = deciders.race(release.name, envelopes)
    assert withdrawal.code == 0
    assert (approval.code, "which is final" in approval.line) in ((0, False), (4, True))
    wanted = ["approve", "withdraw"] if approval.code == 0 else ["withdraw"]
    assert [body["what"] for body in records(world, release)] == wanted
    assert standing(world.home, release, now=NOW).state == "withdrawn"


def race(world, rounds):
    with Deciders(world.home.folder, world.home.ledger) as deciders:
        for number in range(rounds):
            two_approve(world, deciders, f"a{number}")
            one_approves_and_one_withdraws(world, deciders, f"b{number}")
            assert open_ledger(world.home.ledger).verify().is_intact


def test_of_two_decisions_at_once_one_is_kept_and_the_other_sees_it(world):
    race(world, 2)


@pytest.mark.slow
def test_of_many_pairs_of_decisions_at_once_never_two_are_kept_that_exclude_each_other(world):
    race(world, 40)
