"""The offline check of a bundle's approval: whose it is, of what, until when, and a withdrawal in its place."""

from datetime import UTC, datetime

import pytest

from synth_pipeline.release.verify import NOT_CHECKED, verify_bundle
from synth_pipeline_tests.checked_bundle import bundle, check, faults, keys, made, public
from synth_pipeline_tests.signed_example import NOW, approve, small_bundle

__all__ = ["bundle", "keys", "made"]


def test_without_an_approvers_key_an_approval_is_not_checked_and_says_so(made, keys):
    found = verify_bundle(made, key=public(keys.requester), now=NOW)
    assert found.holds
    assert found.approval is None
    assert found.approval_words == NOT_CHECKED


def test_a_candidate_holds_and_is_called_one(tmp_path, keys):
    bundle = small_bundle(tmp_path / "v1", keys.requester)
    found = verify_bundle(bundle, key=public(keys.requester))
    assert found.holds
    assert found.approval_words == "none: a candidate, which nobody approved"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"release": "clinic/v0"}, "is of another release than clinic/v1"),
        ({"decision": "refuse"}, "does not approve"),
        ({"requester": "0" * 32}, "names another requester"),
        ({"expires": "2026-05-31"}, "expired: it held until 2026-05-31"),
        ({"expires": "soon"}, "its expires is neither null nor a date"),
        ({"expires": 2027}, "its expires is neither null nor a date"),
        ({"purpose": None}, "does not state release, decision, requester, purpose, decidedAt"),
        ({"subject": "data.parquet"}, "is about another certificate.json"),
    ],
)
def test_an_approval_of_something_else_is_refused(bundle, keys, changes, words):
    approve(bundle, keys, **changes)
    (line,) = faults(bundle, keys)
    assert line.startswith(f"approval: {words}")


def test_an_approval_holds_through_its_last_day_and_no_longer(made, keys):
    assert check(made, keys, now=datetime(2026, 12, 31, 23, 59, tzinfo=UTC)).holds
    assert faults(made, keys, now=datetime(2027, 1, 1, tzinfo=UTC))[0].startswith("approval: expired")


def test_an_approval_without_an_end_does_not_expire(bundle, keys):
    approve(bundle, keys, expires=None)
    assert check(bundle, keys, now=datetime(2400, 1, 1, tzinfo=UTC)).holds


def test_an_approval_by_the_requester_is_refused_whichever_key_is_given(bundle, keys):
    approve(bundle, keys, by=keys.requester)
    own = verify_bundle(bundle, key=public(keys.requester), approver=public(keys.requester), now=NOW)
    assert [str(f) for f in own.faults] == ["approval: was made with the requester's own key; a release takes two"]
    assert "was made by key" in faults(bundle, keys)[0]


def test_an_approval_by_a_stranger_is_refused(bundle, keys):
    approve(bundle, keys, by=keys.stranger)
    (line,) = faults(bundle, keys)
    assert line.startswith(f"approval: was made by key {keys.stranger.key_id}, not by key {keys.approver.key_id}")


@pytest.mark.parametrize("by", ["requester", "approver", "stranger"])
def test_a_withdrawal_in_the_bundle_is_told_whoever_made_it_and_whichever_key_is_given(bundle, keys, by):
    approve(bundle, keys, by=getattr(keys, by), decision="withdraw", reason="declared wrongly")
    for approver in (None, public(keys.approver)):
        found = verify_bundle(bundle, key=public(keys.requester), approver=approver, now=NOW)
        assert [str(fault) for fault in found.faults] == [
            "approval: withdraws the release: declared wrongly; do not use it any more"
        ]
