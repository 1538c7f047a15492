"""Signing keys: Ed25519, the private half under a passphrase in a file of its owner alone, the public half beside it.

Belongs here: making, writing and reading keys. Does not: what is signed (envelope), or who may approve (approval).

A public key is one text: `read_public_key` refuses every other spelling of the same key, so that a changed byte of its file is seen.

Source:
    Josefsson and Liusvaara 2017, RFC 8032 (Ed25519); RFC 8410 (its PEM forms); PKCS #8 with PBES2 for the private half.
"""

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from synth_pipeline.errors import SigningError
from synth_pipeline.release.key_file import encrypted_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PUBLIC_SUFFIX = ".pub"
SHORTEST_PASSPHRASE = 12
_KEY_ID_DIGITS = 32
_LONGEST_KEY = 2**16


def new_key(path: Path, passphrase: str) -> Path:
    """Make a key pair: the private half at a path (mode 0600, encrypted), the public half beside it with `.pub` added.

    Args:
        path: file of the private half; it must not exist.
        passphrase: at least 12 characters; it is kept nowhere.

    Returns:
        The file of the public half.

    Raises:
        SigningError: if the passphrase is too short or no text, a file is there already, or the folder cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    require_key_place(path)
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise SigningError(
            f"passphrase: has {len(passphrase)} characters, at least {SHORTEST_PASSPHRASE} are needed; use several words"
        )
    if not _is_text(passphrase):
        raise SigningError("passphrase: holds bytes that are no text (UTF-8); type it, or write it into a file as text")
    public = public_path(path)
    key = Ed25519PrivateKey.generate()
    _write_new(path, encrypted_text(key, passphrase), mode=0o600)
    try:
        _write_new(public, public_bytes(key.public_key()), mode=0o644)
    except SigningError:
        path.unlink(missing_ok=True)
        raise
    return public


def public_path(path: Path) -> Path:
    """The file of the public half of the key whose private half is in a file."""
    return path.with_name(path.name + PUBLIC_SUFFIX)


def require_key_place(path: Path) -> None:
    """Refuse a place where a key lies already, before anybody types a passphrase for it.

    Raises:
        SigningError: if one of the two files is there.
    """
    for target in (path, public_path(path)):
        if target.exists():
            raise SigningError(f"{target}: exists; a key is never overwritten: give another --out, or move it away")


def read_private_key(path: Path, passphrase: str, *, is_mounted: bool = False) -> "Ed25519PrivateKey":
    """The private half of a key.

    Args:
        path: its file.
        passphrase: what it was made with.
        is_mounted: whether it is a secret that a machine is given, which the group may read, as Kubernetes mounts them.

    Raises:
        SigningError: if it cannot be read, is open to others, is no encrypted Ed25519 key, or the passphrase does not open it.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _content(path)
    require_hidden(path, what="this key", is_mounted=is_mounted)
    if b"ENCRYPTED PRIVATE KEY" not in content:
        raise SigningError(f"{path}: holds no key under a passphrase; make one with `synth-pipeline keys new`")
    try:
        key = load_pem_private_key(content, passphrase.encode())
    except (ValueError, TypeError):
        raise SigningError(f"{path}: the passphrase does not open this key; give the one it was made with") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(f"{path}: is no Ed25519 key; make one with `synth-pipeline keys new`")
    return key


def require_hidden(path: Path, *, what: str, is_mounted: bool = False) -> None:
    """Refuse a secret that others than its owner may read or change; the group may read one that is mounted.

    Raises:
        SigningError: with the mode that it has.
    """
    mode = path.stat().st_mode
    if mode & (0o037 if is_mounted else 0o077):
        raise SigningError(f"{path}: other users may read {what} (mode {mode & 0o777:04o}); run: chmod 600 {path}")


def read_public_key(path: Path) -> "Ed25519PublicKey":
    """The public half of a key, from its file.

    Raises:
        SigningError: if it cannot be read, or is not exactly what `new_key` wrote.
    """
    return public_key_of(public_text(path), where=str(path))


def public_text(path: Path) -> bytes:
    """The text of a public key's file, which `public_key_of` reads.

    Raises:
        SigningError: if it cannot be read.
    """
    return _content(path)


def public_key_of(content: bytes, *, where: str) -> "Ed25519PublicKey":
    """The public half of a key, from the text of its file.

    Raises:
        SigningError: if it is not exactly the text that `public_bytes` gives.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(content)
    except Exception:  # noqa: BLE001  (whatever a damaged text makes the library raise)
        raise SigningError(
            f"{where}: is no public key; give the .pub file that `synth-pipeline keys new` wrote"
        ) from None
    if not isinstance(key, Ed25519PublicKey) or public_bytes(key) != content:
        raise SigningError(f"{where}: is not an Ed25519 public key as `synth-pipeline keys new` writes it")
    return key


def public_bytes(key: "Ed25519PublicKey") -> bytes:
    """The text of a public key's file."""
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(key: "Ed25519PublicKey") -> str:
    """Name of a key: the first 32 hex digits of the SHA-256 of its 32 bytes."""
    from cryptography.hazmat.primitives import serialization

    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:_KEY_ID_DIGITS]


def _is_text(passphrase: str) -> bool:
    """Whether a passphrase can be written down: what an environment holds may be any bytes."""
    try:
        passphrase.encode()
    except UnicodeEncodeError:
        return False
    return True


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:  # what is longer is no key, and a device may have no end
            return file.read(_LONGEST_KEY)
    except OSError as error:
        raise SigningError(f"{path}: the key cannot be read ({type(error).__name__}); check the path") from None


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)
    except OSError as error:
        raise SigningError(f"{path}: cannot be written ({type(error).__name__}); check the folder") from None
    finally:
        with suppress(OSError):  # not there, or there is no such folder
            partial.unlink()
