"""What is signed is read in one way only: names once, words on one line, days and moments that every reader takes alike."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synth_pipeline.errors import SigningError
from synth_pipeline.release.approval import Subject, Wish, parse_expiry, read_decision, sign
from synth_pipeline.release.certificate_check import read_certificate
from synth_pipeline.release.envelope import envelope_parts, open_envelope, seal
from synth_pipeline.release.keys import key_id, read_public_key
from synth_pipeline.release.statement import iso_day, read_json
from synth_pipeline_tests.approval_example import NOW
from synth_pipeline_tests.signed_example import small_bundle

OFFICER, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SUBJECT = Subject("clinic/2026-a", "ab" * 32, "0" * 32)


def payload(**changes) -> bytes:
    content = json.loads(
        envelope_parts(sign(SUBJECT, Wish("approve", "teaching"), OFFICER, now=NOW), where="it").payload
    )
    content["predicate"].update(changes)
    return json.dumps(content).encode()


def decision(text: bytes):
    return read_decision(seal(text, OFFICER), where="it")


@pytest.mark.parametrize(
    "text",
    [
        b'{"epsilon": 1, "epsilon": 8}',
        b'[{"a": {"b": 1, "b": 1}}]',
        b'{"epsilon": NaN}',
        b'{"epsilon": -Infinity}',
        '{"a": 1}'.encode("utf-16"),
        "\ufeff{}".encode(),
        b'{"a": "\xff"}',
        b"[" * 100_000,
    ],
)
def test_a_text_that_two_readers_may_take_for_two_things_is_refused(text):
    with pytest.raises((ValueError, RecursionError)):
        read_json(text)


def test_a_certificate_that_says_two_things_at_once_is_none(tmp_path):
    text = (small_bundle(tmp_path / "v1", None) / "certificate.json").read_text()
    assert read_certificate(text.encode()) is not None
    twice = text.replace('"epsilon": ', '"epsilon": 0.01,\n    "epsilon": ', 1)
    assert json.loads(twice) == json.loads(text)  # a reader that takes the last sees nothing
    assert read_certificate(twice.encode()) is None


def test_a_statement_that_says_two_things_at_once_is_refused():
    assert decision(payload()).kind == "approve"
    twice = payload().replace(b'"decision": "approve"', b'"decision": "withdraw", "decision": "approve"')
    with pytest.raises(SigningError, match="it: is no signed statement"):
        decision(twice)
    with pytest.raises(SigningError, match="holds no statement"):
        open_envelope(seal(twice, OFFICER), OFFICER.public_key(), where="it")


def test_what_more_a_statement_says_changes_nothing():
    assert decision(payload(revoked=True, decision2="withdraw")).kind == "approve"


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": "teaching\x1b[2J"},
        {"purpose": "two\nlines"},
        {"purpose": "right to left \u202e"},
        {"purpose": ""},
        {"purpose": "x" * 1001},
        {"conditions": "a\tb"},
        {"conditions": "x" * 1001},
        {"expires": "20261231"},
        {"expires": "2026-W53-4"},
        {"expires": "0000-01-01"},
        {"expires": "2027-02-29"},
        {"expires": "2026-12-31T00:00"},
        {"expires": "２０２６-12-31"},
        {"expires": 0},
        {"decidedAt": "2026-06-01T12:00:00"},
        {"decidedAt": "9999-12-31T23:59:59-23:59"},
        {"decidedAt": "0001-01-01T00:00:00+23:59"},
        {"approver": {"keyid": "0" * 32, "publicKey": ""}},
    ],
)
def test_a_hand_made_statement_says_nothing_that_no_command_would_sign(changes):
    if "approver" in changes:
        own = json.loads(payload())["predicate"]["approver"]
        changes = {"approver": {**own, "keyid": key_id(OTHER.public_key())}}
    with pytest.raises(SigningError, match=r"^it: is signed, but is no statement about a release"):
        decision(payload(**changes))


@pytest.mark.parametrize("text", ["lone \ud800", "\udfff lone", "\udfff\ud800"])
def test_half_a_surrogate_pair_is_no_text(text):
    """One reader of JSON puts a mark for it, another drops it, a third refuses; of two such texts they make one."""
    with pytest.raises(SigningError, match=r"^it: is no signed statement about a release"):
        decision(payload(purpose=text))


def test_days_at_the_edge_of_the_calendar_are_days():
    assert decision(payload(expires="2028-02-29")).expires == iso_day("2028-02-29")
    assert decision(payload(expires="9999-12-31")).holds_at(NOW)
    assert not decision(payload(expires="0001-01-01")).holds_at(NOW)


def test_a_moment_in_another_zone_is_the_moment_that_it_is():
    assert decision(payload(decidedAt="2026-06-01T14:00:00+02:00")).decided_at == NOW


@pytest.mark.parametrize(
    "text",
    [
        "tomorrow",
        "2026-13-01",
        "2026-12-31T12:00",
        "31.12.2026",
        "20261231",
        "2026-W53-4",
        "2027-02-29",
        "0000-01-01",
    ],
)
def test_a_last_day_has_one_spelling(text):
    with pytest.raises(SigningError, match="is no date"):
        parse_expiry(text)


def test_a_device_without_an_end_is_no_key():
    from pathlib import Path

    with pytest.raises(SigningError, match="is no public key"):
        read_public_key(Path("/dev/zero"))
