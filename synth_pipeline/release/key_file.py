"""The file of a private key: PKCS #8 under a passphrase, with a slow derivation of the key that encrypts it.

The library's own writer derives with 2,048 rounds, so that a stolen file is searched some 300 times faster than it need be; any program
that reads PKCS #8 reads both.

Source:
    RFC 8018 (PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC); RFC 7468 (PEM); OWASP Password Storage Cheat Sheet 2023 (600,000 rounds).
"""

import base64
import secrets
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROUNDS = 600_000
_BLOCK_BYTES = 16
_PBES2, _PBKDF2 = bytes.fromhex("2a864886f70d01050d"), bytes.fromhex("2a864886f70d01050c")
_HMAC_SHA256, _AES256_CBC = bytes.fromhex("2a864886f70d0209"), bytes.fromhex("60864801650304012a")
_INTEGER, _OCTETS, _NULL, _OBJECT, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30


def encrypted_text(key: "Ed25519PrivateKey", passphrase: str) -> bytes:
    """The text of a private key's file.

    Args:
        key: the key.
        passphrase: what opens the file.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
    from cryptography.hazmat.primitives.padding import PKCS7

    salt, start = secrets.token_bytes(16), secrets.token_bytes(_BLOCK_BYTES)
    derived = PBKDF2HMAC(SHA256(), 32, salt, ROUNDS).derive(passphrase.encode())
    plain = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    padder, encryptor = PKCS7(8 * _BLOCK_BYTES).padder(), Cipher(algorithms.AES(derived), modes.CBC(start)).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    body = base64.b64encode(_pkcs8(salt, start, sealed)).decode()
    lines = [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        *textwrap.wrap(body, 64),
        "-----END ENCRYPTED PRIVATE KEY-----",
        "",
    ]
    return "\n".join(lines).encode()


def _pkcs8(salt: bytes, start: bytes, sealed: bytes) -> bytes:
    """EncryptedPrivateKeyInfo of RFC 5958, in DER."""
    rounds = ROUNDS.to_bytes(ROUNDS.bit_length() // 8 + 1, "big")  # with room for the sign, as DER has it
    function = _der(_SEQUENCE, _der(_OBJECT, _HMAC_SHA256), _der(_NULL))
    derivation = _der(_SEQUENCE, _der(_OCTETS, salt), _der(_INTEGER, rounds), function)
    scheme = _der(
        _SEQUENCE,
        _der(_SEQUENCE, _der(_OBJECT, _PBKDF2), derivation),
        _der(_SEQUENCE, _der(_OBJECT, _AES256_CBC), _der(_OCTETS, start)),
    )
    return _der(_SEQUENCE, _der(_SEQUENCE, _der(_OBJECT, _PBES2), scheme), _der(_OCTETS, sealed))


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    length = len(content)
    size = bytes([length]) if length < 128 else bytes([0x81, length])  # nothing here is longer than 255
    return bytes([tag]) + size + content
