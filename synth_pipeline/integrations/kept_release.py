"""Releases as they are kept: found by name in a home, or read from a folder, with what a statement about one has to name.

Belongs here: from a name to a certificate that has the shape of one. Does not: whether its signature holds (release.verify), or where the
release stands (approvals).
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_pipeline.errors import ApprovalRefused, SigningError, TableError
from synth_pipeline.integrations.store_contract import require_names
from synth_pipeline.integrations.stores import Home, Place
from synth_pipeline.privacy.ledger import WalkKey
from synth_pipeline.release.approval import Subject
from synth_pipeline.release.envelope import signer_of
from synth_pipeline.release.statement import CERTIFICATE, SIGNATURE, read_json
from synth_pipeline.release.verify import verify_digests


@dataclass(frozen=True, eq=False)
class KeptRelease:
    """A release as it is kept.

    Attributes:
        dataset: which dataset.
        version: its version.
        place: where its bundle lies.
        certificate: its certificate; nothing is proven by it before its signature is checked.
        subject: what a statement about it is about; None where the bundle is not signed.
    """

    dataset: str
    version: str
    place: Place
    certificate: Mapping[str, Any]
    subject: Subject | None

    @property
    def name(self) -> str:
        """`<dataset>/<version>`."""
        return f"{self.dataset}/{self.version}"

    @property
    def walk(self) -> WalkKey:
        """The walk that made it, as its certificate says."""
        claimed = self.certificate["predicate"]
        _, snapshot, walk_id = claimed["ledger"]["entry"].split("/", 2)
        return WalkKey(self.dataset, snapshot, claimed["specDigest"]["sha256"], claimed["codeVersion"], walk_id)

    @property
    def fingerprint(self) -> str:
        """Keyed fingerprint of its snapshot."""
        return str(self.certificate["predicate"]["snapshot"]["hmac"])


def find_release(home: Home, word: str) -> KeptRelease:
    """The release that a word names: `<dataset>/<version>`, or `<dataset>` for its newest.

    Raises:
        TableError: if there is none, with those that there are.
        StoreError: if the store cannot be read.
    """
    dataset, _, version = word.partition("/")
    require_names([dataset, *([version] if version else [])])
    places = home.release_places(dataset)
    if not places:
        raise TableError(
            f"release {word!r}: dataset {dataset!r} has none in {home.folder}; make one with `synth-pipeline run`"
        )
    if not version:
        return _oldest_first(_kept(home, dataset, name, place) for name, place in places.items())[-1]
    if version not in places:
        raise TableError(f"release {word!r}: unknown; {dataset!r} has {', '.join(sorted(places))}")
    return _kept(home, dataset, version, places[version])


def kept_releases(
    home: Home, dataset: str, *, among: Collection[str]
) -> tuple[tuple[KeptRelease, ...], tuple[str, ...]]:
    """The releases of some versions that lie there and can be read, oldest first; and the names of those that cannot.

    A bundle that was damaged does not keep anybody from withdrawing another one.

    Raises:
        StoreError: if the store cannot be read.
    """
    releases: list[KeptRelease] = []
    damaged: list[str] = []
    for version, place in (home.release_places(dataset) if among else {}).items():
        if version in among:
            try:
                releases.append(_kept(home, dataset, version, place))
            except (ApprovalRefused, SigningError, TableError):
                damaged.append(f"{dataset}/{version}")
    return _oldest_first(releases), tuple(damaged)


def release_in(folder: Path) -> KeptRelease:
    """The release in a folder, wherever it lies, each file as its certificate names it; for signing where no home is.

    Raises:
        ApprovalRefused: if it holds none, or another one than its certificate says.
    """
    faults = verify_digests(folder)
    if faults:
        raise ApprovalRefused(f"{folder}: is not what its certificate says: {faults[0]}; get the bundle again")
    signature = folder / SIGNATURE
    texts = ((folder / CERTIFICATE).read_bytes(), signature.read_bytes() if signature.is_file() else None)
    try:
        predicate = read_json(texts[0])["predicate"]
        names = str(predicate["dataset"]), str(predicate["version"])
    except (ValueError, KeyError, TypeError):
        raise ApprovalRefused(f"{folder}: {CERTIFICATE} is no certificate; give the folder of a release") from None
    return _read(*names, folder, texts)


def _kept(home: Home, dataset: str, version: str, place: Place) -> KeptRelease:
    return _read(
        dataset, version, place, (home.release_file(place, CERTIFICATE) or b"", home.release_file(place, SIGNATURE))
    )


def _read(dataset: str, version: str, place: Place, texts: tuple[bytes, bytes | None]) -> KeptRelease:
    """A release from the texts of its certificate and its signature.

    Raises:
        ApprovalRefused: if the certificate is none, or of another release.
        SigningError: if the signature is none.
    """
    text, signature = texts
    named = f"{dataset}/{version}"
    try:
        certificate = read_json(text)
        _require_shape(certificate["predicate"], dataset, version)
    except (ValueError, KeyError, TypeError, RecursionError):
        what = f"{CERTIFICATE} is missing, is no certificate of this program's, or is of another release"
        raise ApprovalRefused(f"{named}: {what}; restore the bundle") from None
    subject = None
    if signature is not None:
        signer = signer_of(signature, where=f"{named}: {SIGNATURE}")
        subject = Subject(named, hashlib.sha256(text).hexdigest(), signer)
    return KeptRelease(dataset, version, place, certificate, subject)


def _oldest_first(releases: Iterable[KeptRelease]) -> tuple[KeptRelease, ...]:
    """Releases in the order in which they were made, as their certificates say."""
    return tuple(sorted(releases, key=lambda one: (str(one.certificate["predicate"]["createdAt"]), one.version)))


def _require_shape(predicate: Mapping[str, Any], dataset: str, version: str) -> None:
    """What is read of a certificate is there, and of its kind; whoever signed it may have written anything."""
    charged, snapshot, walk_id = predicate["ledger"]["entry"].split("/", 2)
    texts = (
        predicate["specDigest"]["sha256"],
        predicate["codeVersion"],
        predicate["snapshot"]["hmac"],
        walk_id,
        snapshot,
    )
    if (predicate["dataset"], predicate["version"], charged) != (dataset, version, dataset):
        raise ValueError("of another release")
    if not all(isinstance(text, str) and text for text in (*texts, predicate["createdAt"])):
        raise ValueError("a field of another type")
    if not isinstance(predicate["validation"]["blockingFailures"], list) or "audit" not in predicate:
        raise ValueError("it does not say what was checked")
