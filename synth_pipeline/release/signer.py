"""Who signs: a key file and where its passphrase lies; the key itself is read when something is signed, and kept nowhere.

Belongs here: from files and passphrases to a signature. Does not: which key an installation uses (integrations.stores), or key files
themselves (keys).

Privacy:
    No passphrase is in a message, a repr or a log.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from synth_pipeline.errors import SigningError
from synth_pipeline.release.envelope import seal
from synth_pipeline.release.keys import key_id, public_bytes, read_private_key, require_hidden

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_LONGEST_PASSPHRASE = 2**16


@dataclass(frozen=True)
class Signer:
    """A key that signs, and where its passphrase is.

    Attributes:
        key_path: file of the private half.
        passphrase_path: file that holds the passphrase, of its owner alone; one line end after it does not count.
        passphrase: the passphrase itself, where it is in no file.
        is_mounted: whether both files are secrets that a machine is given, which the group may read.
    """

    key_path: Path
    passphrase_path: Path | None = None
    passphrase: str | None = field(default=None, repr=False, compare=False)
    is_mounted: bool = False

    def __post_init__(self) -> None:
        if (self.passphrase_path is None) == (self.passphrase is None):
            raise SigningError(f"{self.key_path}: give a passphrase or the file that holds it, and not both")

    @property
    def key_id(self) -> str:
        """Id of the key.

        Raises:
            SigningError: if the key cannot be read, or the passphrase does not open it.
        """
        return key_id(self.private_key().public_key())

    @property
    def public_text(self) -> bytes:
        """The public half, as the text of its file.

        Raises:
            SigningError: as `key_id` does.
        """
        return public_bytes(self.private_key().public_key())

    def seal(self, payload: bytes) -> bytes:
        """The envelope of a statement: always the same text for the same statement, for Ed25519 draws nothing.

        Raises:
            SigningError: as `key_id` does.
        """
        return seal(payload, self.private_key())

    def private_key(self) -> "Ed25519PrivateKey":
        """The key itself, read now; for a statement that carries its public half. Keep it nowhere.

        Raises:
            SigningError: as `key_id` does.
        """
        passphrase = self.passphrase
        if self.passphrase_path is not None:
            passphrase = read_passphrase(self.passphrase_path, is_mounted=self.is_mounted)
        return read_private_key(self.key_path, passphrase or "", is_mounted=self.is_mounted)


def require_usable(signer: Signer | None) -> None:
    """Refuse a key that could not sign, before anything is spent on what it would sign; nobody at all is fine.

    Raises:
        SigningError: if the key cannot be read, or the passphrase does not open it.
    """
    if signer is not None:
        _ = signer.key_id


def read_passphrase(path: Path, *, is_mounted: bool = False) -> str:
    """The passphrase in a file, without the line end after it.

    Args:
        path: the file.
        is_mounted: whether it is a secret that a machine is given, which the group may read.

    Raises:
        SigningError: if it cannot be read, is empty, or other users may read it.
    """
    try:
        with path.open("rb") as file:  # a device may have no end
            text = file.read(_LONGEST_PASSPHRASE).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SigningError(
            f"{path}: the passphrase cannot be read ({type(error).__name__}); check the path, and that it holds text"
        ) from None
    require_hidden(path, what="this passphrase", is_mounted=is_mounted)
    passphrase = text.removesuffix("\n").removesuffix("\r")
    if not passphrase:
        raise SigningError(f"{path}: holds no passphrase; write it there, alone on one line")
    return passphrase
