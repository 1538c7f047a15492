"""What assets after an approval get: the release of their own snapshot, or the one that was let stand, and only while approved."""

from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial

import dagster as dg
import pytest

from synth_pipeline.errors import ApprovalRefused
from synth_pipeline.integrations import approvals
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.orchestration import approval_command
from synth_pipeline.orchestration.approval_events import Stood, _walks_of, catch_up
from synth_pipeline.orchestration.codecs import CODECS
from synth_pipeline.orchestration.io_managers import load_approved, save_made
from synth_pipeline.orchestration.made import Made, Origin
from synth_pipeline.privacy.ledger import WalkKey
from synth_pipeline.release.approval import Wish, sign
from synth_pipeline_tests.approval_example import NOW, copy_world, make_released_world
from synth_pipeline_tests.signed_example import small_bundle

APPROVAL, WITHDRAWAL = Wish("approve", "teaching"), Wish("withdraw", "described wrongly")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A home with two releases of two snapshots."""
    return make_released_world(tmp_path_factory.mktemp("fresh"), "a", "b")


@pytest.fixture
def world(fresh, tmp_path):
    return copy_world(fresh, tmp_path / "home")


@pytest.fixture
def follow(world, tmp_path):
    """Brings what follows from decisions up to them."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with dg.DagsterInstance.ephemeral() as instance:
        yield lambda: catch_up(instance, world.home, Tracking(uri), "clinic")


def let_stand(world, partition, *, instead_of="a"):
    """The walk of a snapshot found no drift, and released nothing of its own."""
    origin = Origin(WalkKey("clinic", partition, "digest", "1.0", f"walk-of-{partition}"), 1, "print")
    save = partial(save_made, CODECS["release"], Made(world.release(instead_of).place, origin))
    world.home.released.write(save, "clinic", partition, "release")


def loaded(world, partition="a"):
    return load_approved(world.home, "clinic", partition, now=NOW)


def test_a_snapshot_whose_walk_let_a_release_stand_is_served_by_that_one_while_it_is_approved(world):
    let_stand(world, "c")
    with pytest.raises(ApprovalRefused, match="clinic/a-1: a candidate"):
        loaded(world, "c")
    world.decide(APPROVAL)
    assert loaded(world, "c").version == "a-1"
    world.decide(WITHDRAWAL)
    with pytest.raises(ApprovalRefused, match="clinic/a-1: withdrawn by key"):
        loaded(world, "c")


def test_a_snapshot_without_a_walk_gets_nothing(world):
    world.decide(APPROVAL)
    with pytest.raises(ApprovalRefused, match="snapshot c: no release of it was approved"):
        loaded(world, "c")


def test_the_value_of_another_snapshot_put_in_place_is_not_handed_on_and_is_put_right(world, follow):
    world.decide(APPROVAL)
    world.decide(snapshot="b")
    follow()
    assert (loaded(world, "a").version, loaded(world, "b").version) == ("a-1", "b-1")
    folder = world.home.released.place("clinic", "b", "approval")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in world.home.released.place("clinic", "a", "approval").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ApprovalRefused, match="what is stored names release a-1, of another snapshot"):
        loaded(world, "b")
    assert follow().completed == ()  # Dagster was told before
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert loaded(world, "b").version == "b-1"


@pytest.mark.parametrize("damage", ["gone", "stray", "half"])
def test_a_stored_value_that_is_not_the_approved_release_is_written_anew(world, follow, damage):
    world.decide(APPROVAL)
    follow()
    folder = world.home.released.place("clinic", "a", "approval")
    paths = sorted(folder.iterdir())
    for path in paths:
        path.write_bytes(path.read_bytes()[:20]) if damage == "half" else path.unlink()
    if damage == "stray":
        (folder / "x").touch()
    follow()
    assert loaded(world).version == "a-1"
    assert sorted(folder.iterdir()) == paths


def test_after_the_withdrawal_of_the_newer_of_two_releases_of_a_snapshot_the_older_one_is_handed_on(world, follow):
    """A snapshot that was walked twice: both releases were approved."""
    newer = world.home.releases / "clinic" / "a-2"
    facts = {"ledger_entry": "clinic/a/walk-of-a", "created_at": "2026-05-03T00:00:00+00:00"}
    small_bundle(newer, world.keys.requester, **facts)
    second = approvals.find_release(world.home, "clinic/a-2")
    key = world.private_key("approver")
    world.decide(APPROVAL)
    approvals.decide(world.home, second, sign(second.subject, APPROVAL, key, now=NOW), approvers=(), now=NOW)
    follow()
    assert loaded(world).version == "a-2"
    approvals.decide(world.home, second, sign(second.subject, WITHDRAWAL, key, now=NOW), approvers=(), now=NOW)
    with pytest.raises(ApprovalRefused, match="clinic/a-2: withdrawn"):
        loaded(world)
    follow()
    assert loaded(world).version == "a-1"


def test_a_damaged_bundle_is_told_and_does_not_stop_what_follows_for_others(world, follow):
    world.decide(APPROVAL)
    world.decide(snapshot="b")
    (world.release("a").place / "certificate.json").write_text("{}")
    found = follow()
    assert (found.damaged, found.completed) == (("clinic/a-1",), ("clinic/b-1",))
    assert loaded(world, "b").version == "b-1"


def test_an_approval_whose_time_is_over_is_not_taken_for_one_that_was_cut_off(world):
    """The same officer approves once more, after the last day: the command finds the expiry to record, and that is no approval."""
    key, wish = world.private_key("approver"), Wish("approve", "teaching", "", date(2026, 12, 31))
    world.decide(wish)
    late = datetime(2027, 1, 1, tzinfo=UTC)
    with pytest.raises(ApprovalRefused, match="its approval expired"):
        approval_command.decide(
            world.home, world.release("a"), replace(wish, expires=None), key, approvers=(), now=late
        )


def test_the_generator_of_a_withdrawn_release_is_not_served_for_one_that_goes_on_with_it(world):
    place, key = world.home.releases / "clinic" / "c-1", world.private_key("approver")
    extra = {"buildsOn": {"release": "a-1", "how": "resample"}}
    facts = {"ledger_entry": "clinic/c/walk-of-c", "created_at": "2026-05-03T00:00:00+00:00", "extra": extra}
    small_bundle(place, world.keys.requester, **facts)
    built = approvals.find_release(world.home, "clinic/c-1")
    approvals.decide(world.home, built, sign(built.subject, APPROVAL, key, now=NOW), approvers=(), now=NOW)
    world.decide(APPROVAL)

    def walks():
        releases, _ = approvals.decided_releases(world.home, "clinic")
        return _walks_of(world.home, [Stood(one, approvals.standing(world.home, one)) for one in releases])

    assert walks() == ("walk-of-c", "walk-of-a")
    certificate = world.release("a").place / "certificate.json"
    whole = certificate.read_bytes()
    certificate.write_text("{}")  # a damaged bundle below does not keep the alias where it was
    assert walks() == ("walk-of-c",)
    certificate.write_bytes(whole)
    world.decide(WITHDRAWAL)
    assert walks() == ("walk-of-c",)
