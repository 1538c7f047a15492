"""The secret key of an installation: keys the split, the contribution bound and the fingerprints. It never leaves the private zone."""

import os
import secrets
from pathlib import Path

from synth_pipeline.errors import PrivacyError

KEY_BYTES = 32


def load_or_create_key(home: str | Path) -> bytes:
    """The 32-byte key in `<home>/private/key`, made there (mode 0600) where there is none.

    Two processes that start at once get the same key.

    Raises:
        PrivacyError: if the file is no key, others may read it, or it cannot be read or made.
    """
    path = Path(home) / "private" / "key"
    try:
        if not path.exists():
            _create(path)
        mode, key = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise PrivacyError(
            f"{path}: cannot be read or made ({type(error).__name__}); check the permissions of the home folder"
        ) from None
    if len(key) != KEY_BYTES:
        raise PrivacyError(
            f"{path}: holds {len(key)} bytes, not {KEY_BYTES}; put the key back from a copy (another key: another split)"
        )
    if mode & 0o077:
        raise PrivacyError(f"{path}: other users may read it (mode {mode & 0o777:04o}); run: chmod 600 {path}")
    return key


def load_key(path: Path) -> bytes:
    """The 32-byte key in a file that several machines share, such as a mounted secret; its group may read it, others may not.

    Raises:
        PrivacyError: if it is no key, cannot be read, or others may read it.
    """
    try:
        mode, key = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise PrivacyError(
            f"{path}: the key cannot be read ({type(error).__name__}); mount it there, readable by this user"
        ) from None
    if len(key) != KEY_BYTES:
        raise PrivacyError(f"{path}: holds {len(key)} bytes, not {KEY_BYTES}; mount the key itself, as raw bytes")
    if mode & 0o007:
        raise PrivacyError(f"{path}: everybody may read it (mode {mode & 0o777:04o}); mount it with mode 0400")
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".key.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)
    except FileExistsError:
        return  # another process was first: its key is the key
    finally:
        partial.unlink(missing_ok=True)
