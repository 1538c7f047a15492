"""What `lineage` says of a release beside its lineage: who signed and approved it, and what was tried against it."""

from datetime import date

import pytest

from synth_pipeline.cli.release_standing import release_standing
from synth_pipeline.integrations.approvals import release_in
from synth_pipeline.integrations.release_place import opened_release
from synth_pipeline.integrations.stores import Home
from synth_pipeline.release.approval import Wish, sign
from synth_pipeline_tests.signed_example import NOW, make_keys, small_bundle


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


def standing_of(bundle, home):
    with opened_release(str(bundle), Home.at(home)) as opened:
        return release_standing(opened, Home.at(home))


def test_a_folder_without_an_approval_is_a_candidate_and_names_its_signer(keys, tmp_path):
    found = standing_of(small_bundle(tmp_path / "v1", keys.requester), tmp_path / "home")
    assert found["signed_by"] == keys.requester.key_id
    assert found["approval"]["state"] == "candidate"
    assert "approved_by" not in found["approval"]


def test_an_unsigned_folder_is_a_candidate_that_nobody_signed(tmp_path):
    found = standing_of(small_bundle(tmp_path / "v1", None), tmp_path / "home")
    assert (found["signed_by"], found["approval"]["state"]) == (None, "candidate")


def test_of_an_approved_folder_key_purpose_and_last_day_are_told_and_what_the_folder_cannot_know(keys, tmp_path):
    bundle = small_bundle(tmp_path / "v1", keys.requester)
    wish = Wish("approve", "teaching", "not to be linked", date(2999, 12, 31))
    statement = sign(release_in(bundle).subject, wish, keys.approver.private_key(), now=NOW)
    (bundle / "approval").write_bytes(statement)
    told = standing_of(bundle, tmp_path / "home")["approval"]
    assert (told["state"], told["approved_by"]) == ("approved", keys.approver.key_id)
    assert (told["purpose"], told["conditions"], told["expires"]) == ("teaching", "not to be linked", "2999-12-31")
    assert "only its owner knows" in told["known_by"]


def test_a_folder_that_was_changed_is_unknown_with_the_file_at_fault(keys, tmp_path):
    bundle = small_bundle(tmp_path / "v1", keys.requester)
    (bundle / "datasheet.md").write_text("another", encoding="utf-8")
    told = standing_of(bundle, tmp_path / "home")["approval"]
    assert told["state"] == "unknown"
    assert "datasheet.md" in told["words"]
