"""An insider who wants a release used that nobody else approved, or a withdrawn one kept alive: each way in, and where it ends."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from synth_pipeline.errors import ApprovalRefused, SigningError, SynthPipelineError, TableError
from synth_pipeline.integrations.approvals import (
    decide,
    decided_releases,
    find_release,
    how_it_ended,
    release_in,
    require_approved,
)
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.approval import Subject, sign
from synth_pipeline_tests.approval_example import (
    APPROVAL,
    LATER,
    NOW,
    WITHDRAWAL,
    copy_world,
    make_released_world,
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A home with two releases of two snapshots."""
    return make_released_world(tmp_path_factory.mktemp("fresh"), "a", "b")


@pytest.fixture
def world(fresh, tmp_path):
    return copy_world(fresh, tmp_path / "home")


def sealed_anew(world, change, *, who="requester", snapshot="a"):
    """The requester writes another certificate over the same files, and signs it; everything verifies."""
    place = world.release(snapshot).place
    content = json.loads((place / "certificate.json").read_text())
    change(content["predicate"])
    content["predicate"]["signature"] = {"keyid": world.name_of(who)}
    text = json.dumps(content, indent=3).encode()  # other bytes, be the claim the same
    (place / "certificate.json").write_bytes(text)
    (place / "signature").write_bytes(getattr(world.keys, who).seal(text))


def records(world):
    return [entry for entry in open_ledger(world.home.ledger).history() if entry.kind == "record"]


def test_a_withdrawn_release_does_not_come_back_under_its_name_with_another_certificate(world):
    world.decide()
    world.decide(WITHDRAWAL)
    sealed_anew(world, lambda _: None)
    assert world.state() == "withdrawn"
    with pytest.raises(ApprovalRefused, match=r"withdrawn \(described wrongly\), which is final"):
        world.decide()
    with pytest.raises(ApprovalRefused, match="withdrawn by key"):
        require_approved(world.home, "clinic/a-1", now=NOW)
    assert how_it_ended(world.home, "clinic/a-1") == "withdrawn"


def test_a_withdrawn_release_does_not_come_back_by_another_requesters_signature(world):
    world.decide(WITHDRAWAL)
    sealed_anew(world, lambda _: None, who="stranger")
    assert world.state() == "withdrawn"


def test_a_withdrawal_holds_after_the_bundle_is_gone_and_back(world, tmp_path):
    world.decide()
    kept = shutil.copytree(world.release("a").place, tmp_path / "kept")
    world.decide(WITHDRAWAL)
    place = world.release("a").place
    shutil.rmtree(place)
    assert how_it_ended(world.home, "clinic/a-1") == "withdrawn"
    shutil.copytree(kept, place)
    assert world.state() == "withdrawn"


def test_an_approval_does_not_pass_to_another_certificate(world):
    world.decide()
    sealed_anew(world, lambda _: None)
    assert world.state() == "candidate"
    with pytest.raises(ApprovalRefused, match="another certificate of that name"):
        decide(world.home, world.release("a"), records(world)[0].body["envelope"].encode(), approvers=(), now=NOW)


def test_an_approval_of_another_datasets_release_of_the_same_version_serves_nothing(world):
    subject = replace(world.release("a").subject, release="hospital/a-1")
    envelope = sign(subject, APPROVAL, world.private_key("approver"), now=NOW)
    with pytest.raises(ApprovalRefused, match="about release hospital/a-1"):
        decide(world.home, world.release("a"), envelope, approvers=(), now=NOW)


def test_an_old_approval_does_not_hold_again_after_its_last_day(world):
    envelope = world.signed("a", APPROVAL)
    decide(world.home, world.release("a"), envelope, approvers=(), now=NOW)
    before = len(records(world))
    decide(world.home, world.release("a"), envelope, approvers=(), now=LATER)  # found again, and expired all the same
    assert (world.state(now=LATER), len(records(world))) == ("expired", before)
    with pytest.raises(ApprovalRefused, match="its approval expired"):
        world.decide(replace(APPROVAL, expires=None), now=LATER)


def test_a_second_key_of_the_requester_is_stopped_by_the_list_of_approvers_alone(world):
    with pytest.raises(ApprovalRefused, match=r"may not approve; release\.approvers allows"):
        world.decide(who="stranger", approvers=[world.name_of("approver")])
    assert world.decide(who="stranger").body["approvers"] == []  # the chain tells that any key would have done


def test_the_chain_tells_by_which_list_an_approval_was_judged(world):
    assert world.decide(approvers=[world.name_of("approver")]).body["approvers"] == [world.name_of("approver")]


def test_a_statement_that_names_the_approvers_key_and_is_signed_by_another_is_refused(world):
    envelope = json.loads(world.signed("a", APPROVAL))
    other = json.loads(world.signed("a", APPROVAL, "requester"))
    envelope["signatures"][0]["sig"] = other["signatures"][0]["sig"]
    text = (json.dumps(envelope, indent=1) + "\n").encode()
    with pytest.raises(SigningError, match="the signature does not hold"):
        decide(world.home, world.release("a"), text, approvers=(), now=NOW)


def test_public_keys_that_changed_places_are_known_by_what_they_are(world):
    folder = world.home.folder / "keys"
    first, second = folder / "requester.key.pub", folder / "approver.key.pub"
    texts = first.read_bytes(), second.read_bytes()
    first.write_bytes(texts[1])
    second.write_bytes(texts[0])
    with pytest.raises(ApprovalRefused, match="signed this release itself"):
        world.decide(who="requester")
    world.decide()
    assert world.state() == "approved"


def test_pipes_and_devices_among_the_public_keys_keep_nobody_waiting(world):
    folder = world.home.folder / "keys"
    os.mkfifo(folder / "a.pub")
    (folder / "b.pub").symlink_to("/dev/zero")
    (folder / "c.pub").symlink_to(folder / "requester.key.pub")
    (folder / "d.pub").write_bytes(b"-" * 2**20)
    world.decide()
    assert world.state() == "approved"


def test_a_bundle_that_is_exchanged_while_it_is_decided_about_is_not_approved(world):
    """Both certificates are signed by the requester, and the officer has seen the first only."""
    seen, envelope = world.release("a"), world.signed("a", APPROVAL)
    sealed_anew(world, lambda _: None)
    with pytest.raises(ApprovalRefused, match="was exchanged meanwhile"):
        decide(world.home, seen, envelope, approvers=(), now=NOW)
    assert records(world) == []


def test_a_statement_of_another_home_is_about_the_same_release_and_is_judged_here(world, tmp_path):
    """One bundle in two homes is one release: its statement holds in both, under the list of approvers of each."""
    other = copy_world(world, tmp_path / "other")
    envelope = other.signed("a", APPROVAL)
    decide(other.home, other.release("a"), envelope, approvers=(), now=NOW)
    with pytest.raises(ApprovalRefused, match="may not approve"):
        decide(world.home, world.release("a"), envelope, approvers=[world.name_of("stranger")], now=NOW)
    assert world.state() == "candidate"


@pytest.mark.parametrize("text", [b"", b"ssh-ed25519 AAAA someone", b"\xff" * 100])
def test_another_file_among_the_public_keys_stops_nobody(world, text):
    (world.home.folder / "keys" / "a.pub").write_bytes(text)
    (world.home.folder / "keys" / "b.pub").mkdir()
    (world.home.folder / "keys" / "c.pub").symlink_to("nowhere")
    world.decide()
    assert world.state() == "approved"


@pytest.mark.parametrize(
    "word",
    [
        "clinic/..",
        "clinic/.",
        "clinic/*",
        "cli*",
        "../clinic/a-1",
        "/clinic/a-1",
        "clinic//a-1",
        "clinic/a-1/",
        ".",
        "",
        "clinic/a-1\n",
    ],
)
def test_a_word_that_is_no_name_of_a_release_is_refused_in_a_line(world, word):
    with pytest.raises(SynthPipelineError) as told:
        find_release(world.home, word)
    assert "\n" not in str(told.value)


def test_a_bundles_folder_is_no_release_of_a_home(world):
    with pytest.raises(TableError):
        find_release(world.home, str(world.release("a").place))


def test_a_folder_under_another_name_is_not_the_release_that_its_certificate_names(world):
    place = world.release("a").place
    place.rename(place.with_name("c-1"))
    with pytest.raises(ApprovalRefused, match=r"clinic/c-1: certificate\.json is .*of another release"):
        find_release(world.home, "clinic/c-1")


@pytest.mark.parametrize(
    "name", ["ledger", "specDigest", "codeVersion", "snapshot", "createdAt", "validation", "audit"]
)
def test_a_certificate_that_lacks_what_is_read_of_it_is_refused_in_a_line(world, name):
    sealed_anew(world, lambda claim: claim.pop(name))
    with pytest.raises(
        ApprovalRefused, match=r"^clinic/a-1: certificate\.json is missing, is no certificate of this program's"
    ):
        world.release("a")


def test_a_certificate_that_claims_the_walk_of_another_dataset_is_refused(world):
    sealed_anew(world, lambda claim: claim["ledger"].update(entry="hospital/a/walk-of-a"))
    with pytest.raises(ApprovalRefused, match="is no certificate of this program's"):
        world.release("a")


def test_a_release_whose_checks_failed_is_not_approved_though_its_requester_signed_it(world):
    sealed_anew(world, lambda claim: claim["validation"].update(blockingFailures=["age in range"]))
    with pytest.raises(ApprovalRefused, match=r"data\.parquet: its metadata states another certificate digest"):
        world.decide()
    assert records(world) == []


@pytest.mark.parametrize("name", ["certificate.json", "signature"])
@pytest.mark.parametrize("content", [None, b"{", b"{}", b"[" * 5000])
def test_a_bundle_that_was_damaged_keeps_nobody_from_withdrawing_another(world, name, content):
    world.decide()
    world.decide(snapshot="b")
    path = world.release("a").place / name
    path.unlink() if content is None else path.write_bytes(content)
    releases, damaged = decided_releases(world.home, "clinic")
    if name == "signature" and content is None:  # an unsigned bundle can be read, and is a candidate
        assert (world.state(), damaged) == ("candidate", ())
    else:
        assert ([one.name for one in releases], damaged) == (["clinic/b-1"], ("clinic/a-1",))
    world.decide(WITHDRAWAL, snapshot="b")
    assert world.state("b") == "withdrawn"
    with pytest.raises((ApprovalRefused, SigningError)):
        require_approved(world.home, "clinic/a-1", now=NOW)


@pytest.mark.parametrize("name", ["data.parquet", "schema.json", "signature"])
def test_nobody_signs_for_a_folder_that_is_not_what_its_certificate_says(world, tmp_path, name):
    bundle = shutil.copytree(world.release("a").place, tmp_path / "bundle")
    assert release_in(bundle).subject == Subject(
        "clinic/a-1",
        hashlib.sha256((bundle / "certificate.json").read_bytes()).hexdigest(),
        world.name_of("requester"),
    )
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes(content + b" ")
    with pytest.raises(ApprovalRefused, match=f"is not what its certificate says: {name}"):
        release_in(bundle)


def test_a_clock_put_back_before_the_bundle_was_made_brings_nothing_back(world):
    world.decide()
    assert world.state(now=LATER) == "expired"
    world.decide(WITHDRAWAL, now=LATER)
    assert world.state(now=datetime(1980, 1, 1, tzinfo=UTC)) == "withdrawn"
