"""Which keys an installation signs and approves with: by the environment, else in the folder of its home.

Belongs here: names of files and variables. Does not: reading keys (release.keys) or signing (release.signer).
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from synth_pipeline.errors import SigningError
from synth_pipeline.release.keys import new_key
from synth_pipeline.release.signer import Signer

SIGNING_KEY_VARIABLE = "SYNTH_PIPELINE_SIGNING_KEY"
PASSPHRASE_FILE_VARIABLE = "SYNTH_PIPELINE_SIGNING_PASSPHRASE_FILE"  # noqa: S105  (a name)
PASSPHRASE_VARIABLE = "SYNTH_PIPELINE_SIGNING_PASSPHRASE"  # noqa: S105  (a name)
APPROVER_KEY_VARIABLE = "SYNTH_PIPELINE_APPROVER_KEY"
KEYS_FOLDER = "keys"
REQUESTER, APPROVER = "requester", "approver"


@dataclass(frozen=True)
class _Installed:
    """Who one of an installation's keys is of, and the environment's names for it."""

    who: str
    key: str
    passphrase_file: str
    passphrase: str


_REQUESTER = _Installed(REQUESTER, SIGNING_KEY_VARIABLE, PASSPHRASE_FILE_VARIABLE, PASSPHRASE_VARIABLE)
_APPROVER = _Installed(
    APPROVER,
    APPROVER_KEY_VARIABLE,
    "SYNTH_PIPELINE_APPROVER_PASSPHRASE_FILE",
    "SYNTH_PIPELINE_APPROVER_PASSPHRASE",
)


def key_files(home: Path, who: str) -> tuple[Path, Path]:
    """Where a home keeps the key of a requester or an approver, and its passphrase; neither need be there."""
    folder = home / KEYS_FOLDER
    return folder / f"{who}.key", folder / f"{who}.passphrase"


def signing_key(home: Path) -> Path:
    """The file of the key that an installation signs with; it need not be there."""
    return _key_of(home, _REQUESTER)


def make_home_key(home: Path, who: str) -> bool:
    """Make the key of a requester or an approver in a home, under a passphrase that is drawn and kept beside it, unless it is there.

    For demonstrations: where both keys lie in one home, one person can do what two should.

    Args:
        home: folder of the installation.
        who: requester or approver.

    Returns:
        Whether it was made.

    Raises:
        SigningError: if it cannot be written.
    """
    key, passphrase = key_files(home, who)
    if key.exists():
        return False
    words = secrets.token_urlsafe(24)
    try:
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        passphrase.unlink(missing_ok=True)  # of a key that was never finished
        with os.fdopen(os.open(passphrase, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(words + "\n")
    except OSError as error:
        raise SigningError(f"{passphrase}: cannot be written ({type(error).__name__}); check the folder") from None
    new_key(key, words)
    return True


def installation_signer(home: Path) -> Signer | None:
    """Who signs the releases of an installation; None where it has no key.

    The key is `$SYNTH_PIPELINE_SIGNING_KEY`, else `keys/requester.key` in the home, if it is there. The passphrase of the home's own key is
    in `keys/requester.passphrase`, if that is there; any other is in the file `$SYNTH_PIPELINE_SIGNING_PASSPHRASE_FILE`, or is
    `$SYNTH_PIPELINE_SIGNING_PASSPHRASE`.

    Args:
        home: folder of the installation.

    Raises:
        SigningError: if there is a key and no passphrase, or a variable names a file that is not there: a release is not left unsigned
            because a path is wrong.
    """
    return _signer(home, _REQUESTER)


def installation_approver(home: Path) -> Signer | None:
    """Who approves releases of an installation where no person does (`release.approval: auto`); None where it has no such key.

    As `installation_signer`, with `$SYNTH_PIPELINE_APPROVER_KEY`, `$SYNTH_PIPELINE_APPROVER_PASSPHRASE_FILE`,
    `$SYNTH_PIPELINE_APPROVER_PASSPHRASE`, and `keys/approver.key` and `keys/approver.passphrase` of the home.

    Args:
        home: folder of the installation.

    Raises:
        SigningError: if there is a key and no passphrase, or a variable names a file that is not there.
    """
    return _signer(home, _APPROVER)


def _key_of(home: Path, installed: _Installed) -> Path:
    given = os.environ.get(installed.key)
    return Path(given).expanduser() if given else key_files(home, installed.who)[0]


def _is_file(path: Path) -> bool:
    """Whether a file is there.

    Raises:
        SigningError: if this account may not look.
    """
    try:
        return path.is_file()
    except OSError as error:
        raise SigningError(
            f"{path}: this account may not look for it ({type(error).__name__}); check its folder"
        ) from None


def _signer(home: Path, installed: _Installed) -> Signer | None:
    own_key, own_passphrase = key_files(home, installed.who)
    key, is_given = _key_of(home, installed), bool(os.environ.get(installed.key))
    if not _is_file(key):
        if is_given:
            raise SigningError(f"${installed.key}: {key}: no such file; name the key, or unset the variable")
        if os.path.lexists(key):  # a link to a place that is not mounted, say: nothing is left unsigned for that
            raise SigningError(f"{key}: is there, and is no file, or leads to none; put the key back, or remove it")
        return None
    if not is_given and _is_file(own_passphrase):
        return Signer(own_key, passphrase_path=own_passphrase)
    file, words = os.environ.get(installed.passphrase_file), os.environ.get(installed.passphrase)
    if file:
        return Signer(key, passphrase_path=Path(file).expanduser(), is_mounted=True)
    if words:
        return Signer(key, passphrase=words, is_mounted=True)
    raise SigningError(
        f"{key}: its passphrase is not known; name the file that holds it (mode 0600) in ${installed.passphrase_file}"
    )
