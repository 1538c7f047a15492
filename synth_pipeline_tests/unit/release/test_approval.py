"""Statements about a release, who may make which, and the state that they leave it in."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synth_pipeline.errors import ApprovalRefused, SigningError
from synth_pipeline.release.approval import (
    Standing,
    Subject,
    Wish,
    read_decision,
    require_acceptable,
    require_passed_checks,
    sign,
    standing_of,
    state_of,
)
from synth_pipeline.release.envelope import seal
from synth_pipeline.release.keys import key_id

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
REQUESTER, OFFICER, OTHER = (Ed25519PrivateKey.generate() for _ in range(3))
SUBJECT = Subject("clinic/2026-a", "ab" * 32, key_id(REQUESTER.public_key()))
APPROVAL = Wish("approve", "teaching", "not to be linked", date(2026, 12, 31))
WITHDRAWAL = Wish("withdraw", "described wrongly")


def name_of(key):
    return key_id(key.public_key())


def signed(wish=APPROVAL, key=OFFICER, subject=SUBJECT, now=NOW):
    return sign(subject, wish, key, now=now)


def judged(envelope, *, before=(), approvers=(), now=NOW):
    found = standing_of(SUBJECT, before, now=now)
    require_acceptable(read_decision(envelope, where="it"), SUBJECT, found, approvers=approvers, now=now)


def test_a_decision_is_read_back_as_it_was_signed():
    found = read_decision(signed(), where="it")
    assert (found.kind, found.subject, found.key_id) == ("approve", SUBJECT, name_of(OFFICER))
    assert (found.words, found.conditions, found.expires) == ("teaching", "not to be linked", date(2026, 12, 31))
    assert found.decided_at == NOW
    assert read_decision(signed(WITHDRAWAL), where="it").words == "described wrongly"


def test_the_state_follows_from_signed_statements_and_the_time():
    approved, withdrawn = signed(), signed(WITHDRAWAL)
    last_second = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert state_of(SUBJECT, [], now=NOW) == "candidate"
    assert state_of(SUBJECT, [approved], now=NOW) == "approved"
    assert state_of(SUBJECT, [approved], now=last_second) == "approved"
    assert state_of(SUBJECT, [approved], now=last_second + timedelta(seconds=1)) == "expired"
    assert state_of(SUBJECT, [approved, withdrawn], now=NOW) == "withdrawn"
    assert state_of(SUBJECT, [withdrawn, approved], now=NOW) == "withdrawn"
    assert state_of(SUBJECT, [signed(replace(APPROVAL, expires=None))], now=NOW + timedelta(days=99_999)) == "approved"


@pytest.mark.parametrize(
    "envelope",
    [
        signed(key=REQUESTER),
        signed(subject=replace(SUBJECT, release="clinic/2026-b")),
        signed(subject=replace(SUBJECT, certificate="cd" * 32)),
        signed(subject=replace(SUBJECT, requester=name_of(OTHER))),
        signed().replace(b'"sig": "', b'"sig": "A'),
        b"{}",
        b"approved: yes",
    ],
)
def test_what_is_no_second_persons_statement_about_this_release_does_not_count(envelope):
    assert standing_of(SUBJECT, [envelope], now=NOW) == Standing("candidate")


def test_a_statement_whose_key_is_exchanged_for_another_is_refused():
    whole = json.loads(signed())
    other = json.loads(signed(key=OTHER))
    whole["signatures"] = other["signatures"]
    with pytest.raises(SigningError, match="was signed by key"):
        read_decision((json.dumps(whole, indent=1) + "\n").encode(), where="it")


@pytest.mark.parametrize("payload", [b"{}", b"[]", b'{"predicate": {"approver": {"publicKey": 5}}}'])
def test_a_signed_text_that_is_no_decision_is_refused(payload):
    with pytest.raises(SigningError, match="it: is no"):
        read_decision(seal(payload, OFFICER), where="it")


@pytest.mark.parametrize(
    "field, value", [("decision", "maybe"), ("decidedAt", "2026-06-01"), ("expires", "soon"), ("purpose", None)]
)
def test_a_statement_with_a_field_of_another_kind_is_refused(field, value):
    from synth_pipeline.release.envelope import envelope_parts

    content = json.loads(envelope_parts(signed(), where="it").payload)
    content["predicate"][field] = value
    with pytest.raises(SigningError, match="no statement about a release"):
        read_decision(seal(json.dumps(content).encode(), OFFICER), where="it")


def test_the_requesters_own_key_does_not_approve():
    with pytest.raises(ApprovalRefused, match="signed this release itself"):
        judged(signed(key=REQUESTER))


def test_where_approvers_are_listed_no_other_key_approves():
    judged(signed(), approvers=[name_of(OFFICER)])
    with pytest.raises(ApprovalRefused, match=f"may not approve; release.approvers allows {name_of(OFFICER)}"):
        judged(signed(key=OTHER), approvers=[name_of(OFFICER)])


def test_nothing_is_approved_twice_nor_after_its_withdrawal_nor_after_its_end():
    approved = signed()
    with pytest.raises(ApprovalRefused, match=f"approved already, by key {name_of(OFFICER)}"):
        judged(signed(key=OTHER), before=[approved])
    with pytest.raises(ApprovalRefused, match="withdrawn \\(described wrongly\\), which is final"):
        judged(approved, before=[approved, signed(WITHDRAWAL)])
    with pytest.raises(ApprovalRefused, match="expired \\(last day 2026-12-31\\)"):
        judged(signed(replace(APPROVAL, expires=None)), before=[approved], now=datetime(2027, 1, 1, tzinfo=UTC))


def test_an_approval_that_is_over_before_it_begins_is_refused():
    with pytest.raises(ApprovalRefused, match="last day 2026-05-31 is over"):
        judged(signed(replace(APPROVAL, expires=date(2026, 5, 31))))
    judged(signed(replace(APPROVAL, expires=NOW.date())))


def test_a_statement_of_the_future_is_refused():
    with pytest.raises(ApprovalRefused, match="in the future"):
        judged(signed(now=NOW + timedelta(hours=1)))


def test_a_statement_about_another_release_is_refused_and_says_which():
    with pytest.raises(ApprovalRefused, match="about release clinic/2026-b"):
        judged(signed(subject=replace(SUBJECT, release="clinic/2026-b")))
    with pytest.raises(ApprovalRefused, match="another certificate of that name"):
        judged(signed(subject=replace(SUBJECT, certificate="cd" * 32)))


@pytest.mark.parametrize("key", [OFFICER, REQUESTER])
def test_stopping_takes_two_eyes_only(key):
    judged(signed(WITHDRAWAL, key), before=[signed()], approvers=[name_of(OFFICER)])
    judged(signed(WITHDRAWAL, key), approvers=[name_of(OFFICER)])


def test_a_key_that_has_nothing_to_do_with_a_release_does_not_withdraw_it_where_approvers_are_listed():
    with pytest.raises(ApprovalRefused, match=f"{name_of(OTHER)} may not withdraw"):
        judged(signed(WITHDRAWAL, OTHER), before=[signed()], approvers=[name_of(OFFICER)])
    judged(signed(WITHDRAWAL, OTHER), before=[signed()])


def test_the_approver_may_withdraw_even_when_no_longer_listed():
    judged(signed(WITHDRAWAL), before=[signed()], approvers=[name_of(OTHER)])


def test_failed_checks_and_a_contradicting_audit_stop_an_approval():
    passed = {"predicate": {"validation": {"blockingFailures": []}, "audit": {"contradicts": False}}}
    require_passed_checks(passed, name="clinic/a")
    failed = {"predicate": {"validation": {"blockingFailures": ["age in range"]}, "audit": "not audited"}}
    with pytest.raises(ApprovalRefused, match="blocking checks failed: age in range"):
        require_passed_checks(failed, name="clinic/a")
    with pytest.raises(ApprovalRefused, match="audit contradicts"):
        require_passed_checks(
            {"predicate": {"validation": {"blockingFailures": []}, "audit": {"contradicts": True}}}, name="clinic/a"
        )


@pytest.mark.parametrize("field", ["release", "requester"])
def test_a_statement_whose_names_a_terminal_would_act_on_is_refused_and_they_are_not_repeated(field):
    from synth_pipeline.release.envelope import envelope_parts

    content = json.loads(envelope_parts(signed(), where="it").payload)
    content["predicate"][field] = "clinic/\x1b[2Ja"
    with pytest.raises(SigningError, match="no statement about a release") as refusal:
        read_decision(seal(json.dumps(content).encode(), OFFICER), where="it")
    assert "\x1b" not in str(refusal.value)


def test_names_of_failed_checks_are_shown_as_text():
    failed = {"predicate": {"validation": {"blockingFailures": ["\x1b[2Jall is well"]}, "audit": None}}
    with pytest.raises(ApprovalRefused) as refusal:
        require_passed_checks(failed, name="clinic/a")
    assert "\x1b" not in str(refusal.value)


@pytest.mark.parametrize("words", ["", "   ", "two\nlines", "bell\a", "x" * 1001])
def test_words_that_are_kept_for_good_are_one_printable_line(words):
    with pytest.raises(SigningError, match="purpose: give 1 to 1000"):
        Wish("approve", words)
    with pytest.raises(SigningError, match="reason"):
        Wish("withdraw", words)
