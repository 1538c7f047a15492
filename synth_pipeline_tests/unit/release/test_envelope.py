"""Envelopes: as DSSE says, of one spelling, and always the same for the same statement."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synth_pipeline.errors import SigningError
from synth_pipeline.release.envelope import envelope_parts, open_envelope, pre_authentication, seal, signer_of
from synth_pipeline.release.keys import key_id

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
PAYLOAD = b'{"_type": "https://in-toto.io/Statement/v1", "n": "\xce\xb5"}\n'


def test_what_was_sealed_is_opened():
    opened = open_envelope(seal(PAYLOAD, KEY), PUBLIC, where="signature")
    assert opened.payload == PAYLOAD
    assert opened.statement["n"] == "ε"
    assert opened.key_id == key_id(PUBLIC) == signer_of(seal(PAYLOAD, KEY), where="signature")


def test_the_same_statement_is_sealed_with_the_same_bytes():
    assert seal(PAYLOAD, KEY) == seal(PAYLOAD, KEY)


def test_the_pre_authentication_encoding_is_that_of_the_standard():
    """DSSE v1.0: "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body, lengths in bytes and in decimal."""
    body = "ε".encode() * 3
    assert pre_authentication(body) == b"DSSEv1 28 application/vnd.in-toto+json 6 " + body
    assert len(b"application/vnd.in-toto+json") == 28


def test_the_signature_holds_for_whoever_follows_the_standard_without_this_program():
    content = json.loads(seal(PAYLOAD, KEY))
    payload, kind = base64.b64decode(content["payload"]), content["payloadType"]
    signed = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    (entry,) = content["signatures"]
    PUBLIC.verify(base64.b64decode(entry["sig"]), signed)
    assert set(content) == {"payload", "payloadType", "signatures"}
    assert set(entry) == {"keyid", "sig"}


def test_every_change_of_one_byte_is_refused():
    envelope = seal(PAYLOAD, KEY)
    for at in range(len(envelope)):
        for change in (1, 4, 0x20, 0x80):
            changed = envelope[:at] + bytes([envelope[at] ^ change]) + envelope[at + 1 :]
            with pytest.raises(SigningError):
                open_envelope(changed, PUBLIC, where="signature")


@pytest.mark.parametrize(
    "other",
    [
        lambda content: content | {"more": 1},
        lambda content: content | {"payloadType": "text/plain"},
        lambda content: content | {"signatures": content["signatures"] * 2},
        lambda content: content | {"signatures": []},
        lambda content: content | {"payload": content["payload"].rstrip("=") + "\n"},
        lambda content: content | {"payload": 1},
        lambda content: content | {"signatures": [{"keyid": 1, "sig": ""}]},
        lambda content: [content],
    ],
)
def test_every_other_form_is_refused(other):
    text = (json.dumps(other(json.loads(seal(PAYLOAD, KEY))), indent=1) + "\n").encode()
    with pytest.raises(SigningError, match="is no signed statement of one signature"):
        envelope_parts(text, where="signature")


@pytest.mark.parametrize("text", [b"", b"\xff", b"[" * 100_000, b"null", seal(PAYLOAD, KEY).replace(b"\n", b"\r\n")])
def test_what_is_no_envelope_is_refused(text):
    with pytest.raises(SigningError, match=r"^signature: is no signed statement"):
        open_envelope(text, PUBLIC, where="signature")


def test_another_key_is_named():
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    with pytest.raises(SigningError, match=f"by key {key_id(other.public_key())}, not by {key_id(PUBLIC)}"):
        open_envelope(seal(PAYLOAD, other), PUBLIC, where="signature")


@pytest.mark.parametrize("payload", [b"", b"[]", b"word", b"\xff", b"[" * 100_000])
def test_what_is_signed_but_no_statement_is_refused(payload):
    with pytest.raises(SigningError, match="holds no statement"):
        open_envelope(seal(payload, KEY), PUBLIC, where="signature")
