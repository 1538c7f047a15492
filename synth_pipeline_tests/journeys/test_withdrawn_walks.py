"""A release in force that is withdrawn: what stood for other snapshots stands no more, and the next one is trained anew."""

from datetime import UTC, datetime

import pytest

from synth_pipeline.errors import ApprovalRefused
from synth_pipeline.integrations import approvals
from synth_pipeline.integrations.signing import APPROVER, REQUESTER, key_files, make_home_key
from synth_pipeline.orchestration.io_managers import load_approved
from synth_pipeline.release.approval import Wish, sign
from synth_pipeline.release.keys import read_private_key
from synth_pipeline.release.signer import read_passphrase
from synth_pipeline_tests.drifting_walks import (
    decision,
    drifting_place,
    reserved,
    standing,
    stored,
    visits,
    walk,
)

APPROVAL, WITHDRAWAL = Wish("approve", "teaching"), Wish("withdraw", "described wrongly")


def decide(place, version, wish):
    home = place.home
    release = approvals.find_release(home, f"clinic/{version}")
    key, passphrase = key_files(home.folder, APPROVER)
    private = read_private_key(key, read_passphrase(passphrase))
    envelope = sign(approvals.require_signed(home, release), wish, private, now=datetime.now(UTC))
    approvals.decide(home, release, envelope, approvers=())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["test", "sparse_vector"])
def test_a_release_that_was_withdrawn_is_reused_no_more(tmp_path, mode):
    place = drifting_place(tmp_path, drift={"mode": mode}, cap={"epsilon": 8.0})
    for who in (REQUESTER, APPROVER):
        make_home_key(place.home.folder, who)
    assert walk(place, "first", visits(seed=0)) is None
    version = standing(place).version
    decide(place, version, APPROVAL)
    assert walk(place, "same", visits(seed=1)) is None
    assert decision(place, "same").kind == "reuse"
    assert (
        load_approved(place.home, "clinic", "same").version == version
    )  # the release of another snapshot, which stands for this one

    decide(place, version, WITHDRAWAL)
    for snapshot in ("first", "same"):
        with pytest.raises(ApprovalRefused, match=r"withdrawn by key|no release of it was approved"):
            load_approved(place.home, "clinic", snapshot)
    charged = len(reserved(place))
    assert walk(place, "next", visits(seed=2)) is None
    assert decision(place, "next").kind == "refit"
    assert (
        decision(place, "next").reason == f"Release {version}, the one in force, was withdrawn: nothing is built on it."
    )
    assert stored(place, "next", "drift_report").report is None
    assert len(reserved(place)) == charged + 1  # the training alone: nothing was compared
    assert standing(place).snapshot == "next"
    assert standing(place).ended is None
    assert not (stored(place, "next", "synthetic_table")).equals(stored(place, "first", "synthetic_table"))
