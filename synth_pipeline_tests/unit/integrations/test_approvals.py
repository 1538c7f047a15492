"""Decisions about kept releases: what is refused before anything is written, what a cut leaves between steps; in a folder and S3."""

import hashlib
import json
import threading

import pytest

from synth_pipeline.errors import ApprovalRefused, SigningError, StoreError, TableError
from synth_pipeline.integrations.approvals import (
    decide,
    file_decision,
    find_release,
    note_expiry,
    require_approved,
    standing,
)
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.approval_example import APPROVAL, LATER, NOW, WITHDRAWAL, make_released_world
from synth_pipeline_tests.object_server import CREDENTIALS, running_object_server

BUCKET = "synth-released-zone"


@pytest.fixture(scope="module")
def server():
    with running_object_server(BUCKET) as running:
        yield running


@pytest.fixture
def folder_world(tmp_path):
    return make_released_world(tmp_path, "a")


@pytest.fixture(params=["folder", "s3"])
def world(request, tmp_path, monkeypatch):
    if request.param == "s3":
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        server = request.getfixturevalue("server")
        monkeypatch.setenv("SYNTH_PIPELINE_S3_ENDPOINT", server.endpoint)
        monkeypatch.setenv("SYNTH_PIPELINE_RELEASED_STORE", f"s3://{BUCKET}/{tmp_path.name}")
    return make_released_world(tmp_path, "a")


def test_a_release_is_approved_and_withdrawn_with_every_step_in_the_chain(world):
    assert world.state() == "candidate"
    entry = world.decide()
    assert (world.state(), world.state(now=LATER)) == ("approved", "expired")
    assert (entry.kind, entry.reservation, entry.body["key"]) == ("record", 1, world.name_of("approver"))
    assert entry.body["statement"] == hashlib.sha256(entry.body["envelope"].encode()).hexdigest()
    world.decide(WITHDRAWAL, who="requester")
    assert world.state() == "withdrawn"
    assert open_ledger(world.home.ledger).verify().is_intact


def test_the_statement_is_filed_in_the_bundle_once_and_again_where_it_is_gone(world):
    world.decide()
    release = world.release("a")
    approval = standing(world.home, release, now=NOW).approval
    assert file_decision(world.home, release, approval)
    assert not file_decision(world.home, release, approval)
    assert world.home.release_file(release.place, "approval") == approval.envelope
    found = require_approved(world.home, "clinic/a-1", now=NOW)
    assert (found.version, found.purpose, found.expires) == ("a-1", "teaching", "2026-12-31")
    world.decide(WITHDRAWAL)
    assert file_decision(world.home, release, standing(world.home, release, now=NOW).withdrawal)
    assert world.home.release_file(release.place, "approval") != approval.envelope


def test_a_bundle_with_its_approval_is_kept_once_more_as_it_is(world):
    world.decide()
    release = world.release("a")
    file_decision(world.home, release, standing(world.home, release, now=NOW).approval)
    before = world.home.release_file(release.place, "approval")
    world.make_bundle("a", created="2026-05-03")
    assert world.home.release_file(release.place, "approval") == before
    assert world.state() == "approved"


def test_the_newest_release_is_meant_where_none_is_named(world):
    world.add_release("b", created="2026-05-02")
    assert find_release(world.home, "clinic").name == "clinic/b-1"
    assert find_release(world.home, "clinic/a-1").version == "a-1"
    for word in ("clinic/z", "nobody", "../x", "clinic/../a"):
        with pytest.raises(TableError):
            find_release(world.home, word)


def test_an_unsigned_release_is_refused_with_what_to_do(folder_world):
    folder_world.add_release("b", is_signed=False)
    envelope = folder_world.signed("a", APPROVAL)
    with pytest.raises(ApprovalRefused, match=r"is not signed, .*; walk again, which signs what it makes$"):
        decide(folder_world.home, folder_world.release("b"), envelope, approvers=(), now=NOW)
    (folder_world.home.folder / "keys" / "requester.key").unlink()
    with pytest.raises(ApprovalRefused, match=r"is not signed, .*synth-pipeline keys new"):
        decide(folder_world.home, folder_world.release("b"), envelope, approvers=(), now=NOW)


@pytest.mark.parametrize("name", ["data.parquet", "datasheet.md", "certificate.json", "signature"])
def test_a_bundle_that_does_not_verify_is_not_approved(folder_world, name):
    envelope, release = folder_world.signed("a", APPROVAL), folder_world.release("a")
    path = release.place / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises((ApprovalRefused, SigningError)):
        decide(folder_world.home, folder_world.release("a"), envelope, approvers=(), now=NOW)
    assert all(entry.kind != "record" for entry in open_ledger(folder_world.home.ledger).history())


def test_a_release_that_an_unknown_key_signed_is_not_approved(folder_world):
    (folder_world.home.folder / "keys" / "requester.key.pub").unlink()
    with pytest.raises(ApprovalRefused, match=r"does not know; put its \.pub file"):
        folder_world.decide()


def test_a_statement_about_another_release_is_refused(folder_world):
    folder_world.add_release("b")
    with pytest.raises(ApprovalRefused, match="about release clinic/a-1"):
        decide(folder_world.home, folder_world.release("b"), folder_world.signed("a", APPROVAL), approvers=(), now=NOW)


def test_an_approval_that_is_played_again_after_a_withdrawal_is_refused(folder_world):
    envelope, release = folder_world.signed("a", APPROVAL), folder_world.release("a")
    decide(folder_world.home, release, envelope, approvers=(), now=NOW)
    folder_world.decide(WITHDRAWAL)
    before = open_ledger(folder_world.home.ledger).head()
    with pytest.raises(ApprovalRefused, match="which is final"):
        decide(folder_world.home, release, envelope, approvers=(), now=NOW)
    folder_world.home.add_to_release(release.place, "approval", envelope)
    assert folder_world.state() == "withdrawn"
    assert open_ledger(folder_world.home.ledger).head() == before


def test_the_same_statement_handed_in_again_is_found_again(folder_world):
    envelope, release = folder_world.signed("a", APPROVAL), folder_world.release("a")
    first = decide(folder_world.home, release, envelope, approvers=(), now=NOW)
    assert decide(folder_world.home, release, envelope, approvers=(), now=NOW) == first
    assert sum(entry.kind == "record" for entry in open_ledger(folder_world.home.ledger).history()) == 1


def test_an_approval_in_the_bundle_alone_approves_nothing_and_a_withdrawal_there_stops(folder_world):
    release = folder_world.release("a")
    folder_world.home.add_to_release(release.place, "approval", folder_world.signed("a", APPROVAL))
    assert folder_world.state() == "candidate"
    folder_world.decide()
    assert folder_world.state() == "approved"
    folder_world.home.add_to_release(release.place, "approval", folder_world.signed("a", WITHDRAWAL))
    assert folder_world.state() == "withdrawn"


def test_a_release_whose_certificate_was_exchanged_is_no_longer_approved(folder_world):
    folder_world.decide()
    path = folder_world.release("a").place / "certificate.json"
    content = json.loads(path.read_text())
    content["predicate"]["epsilon"] = 0.1
    path.write_text(json.dumps(content))
    with pytest.raises(ApprovalRefused, match="a candidate"):
        require_approved(folder_world.home, "clinic/a-1", now=NOW)


def test_a_table_that_was_changed_after_its_approval_is_not_handed_on(folder_world):
    folder_world.decide()
    path = folder_world.release("a").place / "data.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ApprovalRefused, match=r"is not what was approved: data\.parquet"):
        require_approved(folder_world.home, "clinic/a-1", now=NOW)


def test_a_clock_that_is_put_back_brings_no_approval_back(folder_world):
    folder_world.decide()
    release = folder_world.release("a")
    approval = standing(folder_world.home, release, now=LATER).approval
    assert note_expiry(folder_world.home, release, approval, now=LATER)
    assert not note_expiry(folder_world.home, release, approval, now=LATER)
    assert folder_world.state(now=NOW) == "expired"
    with pytest.raises(ApprovalRefused, match="expired: its approval held until 2026-12-31"):
        require_approved(folder_world.home, "clinic/a-1", now=NOW)


def test_two_people_who_decide_at_once_decide_one_after_the_other(folder_world):
    said = []

    def approve(who):
        try:
            folder_world.decide(who=who)
            said.append("kept")
        except ApprovalRefused as refusal:
            said.append(str(refusal))

    threads = [threading.Thread(target=approve, args=(who,)) for who in ("approver", "stranger")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(text == "kept" for text in said) == [False, True]
    assert any("approved already" in text for text in said)


def test_a_disk_that_is_full_when_the_copy_is_filed_loses_no_decision(folder_world):
    folder_world.decide()
    release = folder_world.release("a")
    approval = standing(folder_world.home, release, now=NOW).approval
    (release.place / "approval").mkdir()  # nothing can be put in its place
    with pytest.raises((StoreError, OSError)):
        file_decision(folder_world.home, release, approval)
    assert [path.name for path in release.place.parent.iterdir()] == ["a-1"]
    (release.place / "approval").rmdir()
    assert folder_world.state() == "approved"
    assert file_decision(folder_world.home, release, approval)
