"""Where an installation keeps things: the home folder, and the two stores of values, in it or in S3 buckets.

Belongs here: which place is used for what, by the environment. Does not: how a store keeps its values (folder_store, s3_store), and what
is written (the walk's stages).
"""

import os
import re
import secrets
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from synth_pipeline.errors import PrivacyError, StoreError
from synth_pipeline.integrations.folder_store import PRIVATE_FOLDER, FolderStore, child_names, replace_file
from synth_pipeline.integrations.s3_place import S3Options, S3Place
from synth_pipeline.integrations.s3_store import S3Store
from synth_pipeline.integrations.signing import installation_approver, installation_signer
from synth_pipeline.integrations.store_contract import Store, told_disk_faults
from synth_pipeline.privacy.gate import Place
from synth_pipeline.privacy.ledger.place import LEDGER_VARIABLE
from synth_pipeline.release.draft import draft_prefix
from synth_pipeline.release.signer import Signer
from synth_pipeline.snapshot.key import load_key, load_or_create_key

__all__ = [
    "FolderStore",
    "Home",
    "Place",
    "S3Store",
    "Store",
    "child_names",
    "is_owner_only",
    "partition_key",
    "place_of",
]

HOME_VARIABLE = "SYNTH_PIPELINE_HOME"
DAGSTER_VARIABLE = "SYNTH_PIPELINE_DAGSTER_HOME"
KEY_VARIABLE = "SYNTH_PIPELINE_KEY_FILE"
PRIVATE_VARIABLE = "SYNTH_PIPELINE_PRIVATE_STORE"
RELEASED_VARIABLE = "SYNTH_PIPELINE_RELEASED_STORE"
PAGES_VARIABLE = "SYNTH_PIPELINE_RELEASED_PAGES"
ENDPOINT_VARIABLE = "SYNTH_PIPELINE_S3_ENDPOINT"
ENCRYPTION_VARIABLE = "SYNTH_PIPELINE_S3_ENCRYPTION"
DEFAULT_HOME = ".synth_pipeline"
_VALUES, _BUNDLES = "values", "releases"


@dataclass(frozen=True)
class Home:
    """The folder of an installation, and where each thing lies in it.

    Attributes:
        folder: absolute path; readable by its owner alone.
    """

    folder: Path

    @classmethod
    def at(cls, folder: str | Path | None = None) -> "Home":
        """The home at a folder; without one, `$SYNTH_PIPELINE_HOME`, else `.synth_pipeline` in the working folder."""
        return cls(Path(folder or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).expanduser().resolve())

    def make(self) -> "Home":
        """Create the folder, private to its owner, unless it exists.

        Raises:
            StoreError: if the disk is full, or its parent may not be written.
        """
        with told_disk_faults(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        return self

    @property
    def private(self) -> Store:
        """Store of the private zone: raw rows and anything computed from them without noise.

        It is `$SYNTH_PIPELINE_PRIVATE_STORE` (`s3://bucket/prefix`), else a folder of the home.

        Raises:
            StoreError: if the variable holds no address, or one that the released zone has too.
        """
        place = _private_place()
        if place is None:
            return FolderStore(self._private_folder, is_private=True)
        _require_apart(place, _released_place())
        return S3Store(place, self._private_folder, is_private=True, options=_options())

    @property
    def released(self) -> Store:
        """Store of the released zone: public facts and outputs of DP mechanisms.

        It is `$SYNTH_PIPELINE_RELEASED_STORE` (`s3://bucket/prefix`), else a folder of the home.

        Raises:
            StoreError: if the variable holds no address, or one that the private zone has too.
        """
        return self._released_in(_VALUES) or FolderStore(self.folder / "released", is_private=False)

    def keep_release(self, folder: Path) -> Place:
        """Where a finished bundle `<dataset>/<version>` is kept: where it lies, or in the released bucket, and then no longer here.

        Raises:
            StoreError: if the bucket cannot be written.
        """
        store = self._released_in(_BUNDLES)
        if store is None:
            return folder
        place = store.keep_bundle(folder, folder.parent.name, folder.name)
        around = folder.parents[1]
        shutil.rmtree(around if around.parent == self.scratch else folder, ignore_errors=True)
        return place

    def fetch_release(self, place: Place, folder: Path) -> Path:
        """A folder that holds a kept bundle: its own, or a checked copy in the folder that is given.

        Raises:
            TableError: if there is no such bundle, or it is not what was stored.
            StoreError: if the bucket cannot be read.
        """
        if not isinstance(place, S3Place):
            return Path(str(place))
        return S3Store(place, self._private_folder, is_private=False, options=_options()).fetch_bundle(place, folder)

    def signer(self) -> Signer | None:
        """Who signs the releases of this installation; None where it has no key (see `signing.installation_signer`).

        Raises:
            SigningError: if there is a key and its passphrase is not known.
        """
        return installation_signer(self.folder)

    def approver(self) -> Signer | None:
        """Who approves releases where no person does; None where the installation has no such key (see `signing.installation_approver`).

        Raises:
            SigningError: if there is a key and its passphrase is not known.
        """
        return installation_approver(self.folder)

    def release_places(self, dataset: str) -> Mapping[str, Place]:
        """Where every kept bundle of a dataset lies, by version."""
        store = self._released_in(_BUNDLES)
        if store is None:
            folder = self.folder / _BUNDLES / dataset
            return {name: folder / name for name in child_names(folder)}
        return {name: store.place(dataset, name) for name in store.names(dataset)}

    def release_file(self, place: Place, name: str) -> bytes | None:
        """Content of one file of a kept bundle; None where the bundle has no such file.

        Raises:
            StoreError: if it cannot be read.
        """
        if isinstance(place, S3Place):
            store = S3Store(place, self._private_folder, is_private=False, options=_options())
            return store.bundle_file(place, name)
        path = Path(str(place)) / name
        with told_disk_faults(path):
            return path.read_bytes() if path.is_file() else None

    def add_to_release(self, place: Place, name: str, content: bytes) -> None:
        """Put a file into a kept bundle, in place of one of that name; whole or not at all.

        Raises:
            StoreError: if the folder or bucket cannot be written.
        """
        if isinstance(place, S3Place):
            store = S3Store(place, self._private_folder, is_private=False, options=_options())
            store.add_to_bundle(place, name, content)
            return
        replace_file(Path(str(place)) / name, content)

    @property
    def scratch(self) -> Path:
        """A folder of this machine's disk for private files that must not leave it; made, readable by its owner alone."""
        place = self._private_folder / ".scratch"
        with told_disk_faults(place):
            for folder in (self.folder, self._private_folder, place):
                folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        return place

    @property
    def ledger(self) -> str:
        """Where the budget ledger lies, as `open_ledger` takes it: `$SYNTH_PIPELINE_LEDGER`, else `ledger.sqlite` in the home.

        The variable holds a PostgreSQL URL, whose password must not be shown (a ledger's own `place` masks it), or the path of a
        file, of which a relative one lies in the home.
        """
        place = os.environ.get(LEDGER_VARIABLE) or "ledger.sqlite"
        return place if "://" in place else str(self.resolve(place))

    @property
    def releases(self) -> Path:
        """Folder in which release bundles are made, and stay but where `keep_release` takes them to a bucket: then a fresh one."""
        if _released_place() is None:
            return self.folder / _BUNDLES
        return self.scratch / f"{draft_prefix('value')}{secrets.token_hex(6)}"

    @property
    def dagster(self) -> Path:
        """Dagster's own home with its settings: `$SYNTH_PIPELINE_DAGSTER_HOME`, else a folder of the home."""
        return Path(os.environ.get(DAGSTER_VARIABLE) or self.folder / "dagster")

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking store."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def tracking_artifacts(self) -> Path:
        """Folder of MLflow's artifacts."""
        return self.folder / "mlflow-artifacts"

    def resolve(self, uri: str) -> Path:
        """A local path; a relative one lies in the home."""
        path = Path(uri).expanduser()
        return path if path.is_absolute() else (self.folder / path).resolve()

    def key(self) -> bytes:
        """The secret that keys splits and fingerprints, never shown: in `$SYNTH_PIPELINE_KEY_FILE`, else drawn here on first use.

        Raises:
            PrivacyError: if it cannot be read, or the private store is in S3 and no file is named: every machine would draw its own.
        """
        given = os.environ.get(KEY_VARIABLE)
        if given:
            return load_key(Path(given))
        if _private_place() is not None:
            raise PrivacyError(
                f"key: the private store is in S3, where several machines share it, and ${KEY_VARIABLE} is not set; name a file of"
                " 32 random bytes there (head -c 32 /dev/urandom), the same on all of them"
            )
        return load_or_create_key(self.folder)

    @property
    def _private_folder(self) -> Path:
        return self.folder / "private"

    def _released_in(self, part: str) -> S3Store | None:
        place = _released_place()
        if place is None:
            return None
        _require_apart(_private_place(), place)
        return S3Store(place / part, self._private_folder, is_private=False, options=_options())


def place_of(text: str) -> Place:
    """The address that a text names: `s3://…`, else a path."""
    return S3Place.at(text, os.environ.get(PAGES_VARIABLE) or None) if text.startswith("s3://") else Path(text)


def is_owner_only(path: Path) -> bool:
    """Whether nobody but the owner may read, write or enter a path."""
    return not stat.S_IMODE(path.stat().st_mode) & 0o077


def partition_key(text: str, *, most: int = 80) -> str:
    """A text as a partition key and folder name: letters, digits, `_`, `-`; other characters become `-`.

    Example:
        >>> partition_key("gss 1974–84.v2")
        'gss-1974-84-v2'
    """
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:most] or "snapshot"


def _private_place() -> S3Place | None:
    url = os.environ.get(PRIVATE_VARIABLE)
    return S3Place.at(url) if url else None


def _released_place() -> S3Place | None:
    url = os.environ.get(RELEASED_VARIABLE)
    return S3Place.at(url, os.environ.get(PAGES_VARIABLE) or None) if url else None


def _options() -> S3Options:
    return S3Options(os.environ.get(ENDPOINT_VARIABLE) or None, os.environ.get(ENCRYPTION_VARIABLE) or None)


def _require_apart(private: S3Place | None, released: S3Place | None) -> None:
    """The zones do not share a prefix, nor does one lie in the other: who may read the released one would read rows."""
    if private is None or released is None or private.bucket != released.bucket:
        return
    first, second = (f"{place.key}/".lstrip("/") for place in (private, released))
    if first.startswith(second) or second.startswith(first):
        raise StoreError(
            f"store: the private zone ({private}) and the released zone ({released}) overlap; give each a bucket of its own"
            f" in ${PRIVATE_VARIABLE} and ${RELEASED_VARIABLE}"
        )
