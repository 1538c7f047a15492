"""Signed statements: in-toto statements in DSSE envelopes, signed with Ed25519.

Belongs here: sealing a statement and opening an envelope. Does not: keys (keys), or what a statement says (certificate, approval).

An envelope is one text: `open_envelope` refuses every other spelling of the same content, so that a changed byte of its file is seen even
where no signature covers it (the key id, a space, an unused bit of base64).

Source:
    DSSE v1.0 (pre-authentication encoding, "PAE"); in-toto Attestation Framework, Statement v1.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from synth_pipeline.errors import SigningError
from synth_pipeline.release.keys import key_id
from synth_pipeline.release.statement import read_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_KEY_ID = re.compile(r"[0-9a-f]{32}")


class Parts(NamedTuple):
    """What an envelope holds.

    Attributes:
        payload: the statement's bytes.
        key_id: the key that it says signed them.
        signature: over the payload's pre-authentication encoding.
    """

    payload: bytes
    key_id: str
    signature: bytes


@dataclass(frozen=True)
class Opened:
    """A statement whose signature holds.

    Attributes:
        payload: its bytes, as they were signed.
        statement: the same, read.
        key_id: who signed it.
    """

    payload: bytes
    statement: Mapping[str, Any]
    key_id: str


def seal(payload: bytes, key: "Ed25519PrivateKey") -> bytes:
    """The envelope of a statement, as the text of a file.

    Args:
        payload: the statement's JSON, byte for byte as it is kept.
        key: who signs.
    """
    return _text(payload, key_id(key.public_key()), key.sign(pre_authentication(payload)))


def signer_of(envelope: bytes, *, where: str) -> str:
    """The key id that an envelope names; nothing is proven by it.

    Raises:
        SigningError: if it is no envelope of one signature.
    """
    return envelope_parts(envelope, where=where).key_id


def open_envelope(envelope: bytes, key: "Ed25519PublicKey", *, where: str) -> Opened:
    """The statement in an envelope, if this key signed it.

    Args:
        envelope: text of the file.
        key: whose signature is expected.
        where: name of the file, for messages.

    Raises:
        SigningError: if it is no envelope, another key signed it, its signature does not hold, or it holds no in-toto statement.
    """
    from cryptography.exceptions import InvalidSignature

    payload, named, signature = envelope_parts(envelope, where=where)
    if named != key_id(key):
        raise SigningError(
            f"{where}: was signed by key {named}, not by {key_id(key)}; give that key, or refuse the bundle"
        )
    try:
        key.verify(signature, pre_authentication(payload))
    except InvalidSignature:
        raise SigningError(f"{where}: the signature does not hold; refuse it") from None
    try:
        statement = read_json(payload)
    except (ValueError, RecursionError):
        statement = None
    if not isinstance(statement, dict):
        raise SigningError(f"{where}: holds no statement; refuse it")
    return Opened(payload, statement, named)


def envelope_parts(envelope: bytes, *, where: str) -> Parts:
    """What an envelope holds, if it is spelt as `seal` spells it; nothing is proven by it.

    Raises:
        SigningError: if it is no envelope of one signature.
    """
    try:
        content = read_json(envelope)
        (entry,) = content["signatures"]
        payload, signature = (base64.b64decode(text, validate=True) for text in (content["payload"], entry["sig"]))
        name = entry["keyid"]
        is_ours = (
            isinstance(name, str)
            and _KEY_ID.fullmatch(name) is not None  # it is shown to people before anything vouches for it
            and _text(payload, name, signature) == envelope
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        is_ours = False
        payload, name, signature = b"", "", b""
    if not is_ours:
        raise SigningError(f"{where}: is no signed statement of one signature as this program writes it; refuse it")
    return Parts(payload, name, signature)


def pre_authentication(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed.

    Example:
        >>> pre_authentication(b"{}")
        b'DSSEv1 28 application/vnd.in-toto+json 2 {}'
    """
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _text(payload: bytes, name: str, signature: bytes) -> bytes:
    content = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": name, "sig": base64.b64encode(signature).decode()}],
    }
    return (json.dumps(content, indent=1) + "\n").encode()
