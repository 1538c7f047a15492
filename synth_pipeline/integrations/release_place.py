"""Where a release lies: found by its name, by its folder, or as the one in force of a dataset."""

import json
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_pipeline.errors import TableError
from synth_pipeline.integrations.stores import Home, Place, place_of
from synth_pipeline.release.statement import CERTIFICATE, LINEAGE


@dataclass(frozen=True, eq=False)
class ReleaseBundle:
    """A release's folder, and what its certificate and its lineage say.

    Attributes:
        folder: the bundle, on this machine.
        predicate: the claim of its certificate.
        lineage: content of its lineage.json.
    """

    folder: Path
    predicate: Mapping[str, Any]
    lineage: Mapping[str, Any]


@contextmanager
def opened_release(name: str, home: Home) -> Generator[ReleaseBundle]:
    """A release by its name; one in a bucket is fetched to this machine for as long as the block lasts.

    Args:
        name: `dataset/version`, a bundle's folder, or a dataset, for its release in force.
        home: the installation.

    Raises:
        TableError: if there is no such release, or it carries no lineage.
    """
    with tempfile.TemporaryDirectory(prefix="release_") as scratch:
        place = _place(name, home)
        yield _read(home.fetch_release(place, Path(scratch) / "bundle"), name)


def _place(name: str, home: Home) -> Place:
    folder = Path(name).expanduser()
    if (folder / CERTIFICATE).is_file():
        return folder
    dataset, _, version = name.strip("/").partition("/")
    if not version:
        version = _in_force(dataset, home)
    if "/" not in version and (home.releases / dataset / version / CERTIFICATE).is_file():
        return home.releases / dataset / version
    kept = _stored(dataset, version, home) if version else None
    if kept is None:
        raise TableError(f"release {name!r}: there is none{_known(home, dataset)}")
    return kept


def _in_force(dataset: str, home: Home) -> str:
    try:
        note = home.released.read(
            lambda folder: json.loads((folder / "release.json").read_text("utf-8")), dataset, "release.in_force"
        )
    except TableError:
        return ""
    return str(note["version"])


def _stored(dataset: str, version: str, home: Home) -> Place | None:
    """Where the release asset of the version's snapshot says that the bundle is kept."""
    snapshot = version.rpartition("-")[0]
    try:
        place = home.released.read(
            lambda folder: (folder / "place.txt").read_text("utf-8"), dataset, snapshot, "release"
        )
    except TableError:
        return None
    return place_of(place) if place.rstrip("/").rpartition("/")[2] == version else None


def _known(home: Home, dataset: str) -> str:
    """The releases that a home holds, for people."""
    folders = sorted(home.releases.glob(f"*/*/{CERTIFICATE}")) if home.releases.is_dir() else []
    names = [f"{path.parent.parent.name}/{path.parent.name}" for path in folders]
    mine = [name for name in names if name.startswith(f"{dataset}/")] or names
    if not mine:
        return f" in {home.folder}; give DATASET/VERSION, or a bundle's folder"
    return f"; {home.folder} holds {', '.join(mine[-5:])}"


def _read(folder: Path, name: str) -> ReleaseBundle:
    if not (folder / LINEAGE).is_file():
        raise TableError(
            f"release {name!r}: it carries no {LINEAGE}: it was made before releases had one; walk its snapshot again"
        )
    try:
        certificate = json.loads((folder / CERTIFICATE).read_text(encoding="utf-8"))
        lineage = json.loads((folder / LINEAGE).read_text(encoding="utf-8"))
        predicate = certificate["predicate"]
        for key in ("mechanisms", "composedEpsilon"):
            predicate[key]
        for key in (
            "dataset",
            "version",
            "snapshot",
            "walk",
            "guarantee",
            "table",
            "ledger",
            "charges",
            "columns",
            "links",
            "builds_on",
        ):
            lineage[key]
    except (OSError, ValueError, KeyError, TypeError):
        raise TableError(
            f"release {name!r}: {CERTIFICATE} or {LINEAGE} cannot be read; fetch the bundle again"
        ) from None
    return ReleaseBundle(folder, predicate, lineage)
