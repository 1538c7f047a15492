"""Two IO managers, one for each zone: values as folders of files in the home's stores, written whole or not at all."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from synth_pipeline.errors import ApprovalRefused, TableError
from synth_pipeline.integrations.approvals import find_release, require_approved
from synth_pipeline.integrations.stores import Home, Place, Store
from synth_pipeline.orchestration.codecs import CODECS, Codec
from synth_pipeline.orchestration.keys import APPROVAL, AssetName
from synth_pipeline.orchestration.made import Made, Origin
from synth_pipeline.privacy.gate import private_stage
from synth_pipeline.release.approval import ApprovedRelease

ORIGIN_FILE = "origin.json"


class ZoneIOManager(dg.ConfigurableIOManager):
    """Keeps the value of an asset at `<zone>/<dataset>/<snapshot>/<asset>/` in the home.

    Nothing that it writes or reads becomes metadata, and its errors and warnings hold no values.

    Attributes:
        home: path of the home folder.
        zone: `private` (owner only) or `released`.
    """

    home: str
    zone: Literal["private", "released"]

    def handle_output(self, context: dg.OutputContext, obj: Made[Any]) -> None:
        """Write the value of an asset, and which walk made it."""
        codec, place = _codec_and_place(context.asset_key, context.asset_partition_key)

        with self._guarded(place):
            self._store().write(lambda folder: save_made(codec, obj, folder), *place)

    def load_input(self, context: dg.InputContext) -> Made[Any] | ApprovedRelease:
        """Read the value of an upstream asset for the same snapshot; of an approval, the release itself, if it is approved now.

        Raises:
            ApprovalRefused: for a release that is not, or no longer, approved: whatever was to be made from it stops here.
        """
        _, place = _codec_and_place(context.asset_key, context.asset_partition_key)
        if place[2] == APPROVAL:
            return load_approved(Home.at(self.home), place[0], place[1])
        with self._guarded(place):
            return self._store().read(made_loader(place[2]), *place)

    def _guarded(self, place: tuple[str, str, str]) -> AbstractContextManager[None]:
        """Writing and reading rows is a private stage: `ArrowInvalid: Could not convert 'Harker' …` is how libraries put it."""
        return private_stage(f"{place[2]} (its store)", Home.at(self.home).private)

    def _store(self) -> Store:
        home = Home.at(self.home)
        return home.private if self.zone == "private" else home.released


def load_approved(home: Home, dataset: str, partition: str, *, now: datetime | None = None) -> ApprovedRelease:
    """The approved release of a snapshot, looked at again now; of one that was decided to reuse a release, that release.

    Args:
        home: where it is kept.
        dataset: which dataset.
        partition: which snapshot.
        now: the time, in UTC; default: the clock's.

    Raises:
        ApprovalRefused: if none is approved, or no longer.
    """
    version = _approved_version(home, dataset, partition) or _reused_version(home, dataset, partition)
    if version is None:
        raise ApprovalRefused(
            f"{dataset}, snapshot {partition}: no release of it was approved; approve one: synth-pipeline approve {dataset}/VERSION"
        )
    return require_approved(home, f"{dataset}/{version}", now=now)


def _approved_version(home: Home, dataset: str, partition: str) -> str | None:
    """Version of the release of a snapshot that was decided about last; None where none was.

    Raises:
        ApprovalRefused: if it is of another snapshot.
    """
    place = (dataset, partition, APPROVAL)
    if not home.released.has(*place):
        return None
    stored: ApprovedRelease = home.released.read(CODECS[APPROVAL].load, *place)
    if _snapshot_of(home, dataset, stored.version) != partition:
        raise ApprovalRefused(
            f"{dataset}, snapshot {partition}: what is stored names release {stored.version}, of another snapshot; approve one of its own"
        )
    return stored.version


def _reused_version(home: Home, dataset: str, partition: str) -> str | None:
    """Version of the earlier release that the walk of a snapshot let stand; None where it made one of its own, or there was no walk."""
    place = (dataset, partition, "release")
    if not home.released.has(*place):
        return None
    made: Made[Place] = home.released.read(made_loader("release"), *place)
    return None if _snapshot_of(home, dataset, made.value.name) == partition else made.value.name


def _snapshot_of(home: Home, dataset: str, version: str) -> str:
    return find_release(home, f"{dataset}/{version}").walk.snapshot


def save_made(codec: Codec, made: Made[Any], folder: Path) -> None:
    """Write a value, and which walk made it, into a folder."""
    codec.save(made.value, folder)
    (folder / ORIGIN_FILE).write_text(json.dumps(made.origin.to_json()), encoding="utf-8")


def read_origin(folder: Path) -> Origin:
    """Which walk made the value that is stored in a folder."""
    return Origin.from_json(json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8")))


def made_loader(name: AssetName) -> Callable[[Path], Made[Any]]:
    """What reads the stored value of an asset, and which walk made it, from its folder."""

    def load(folder: Path) -> Made[Any]:
        return Made(CODECS[name].load(folder), read_origin(folder))

    return load


def _codec_and_place(asset: dg.AssetKey, partition: str) -> tuple[Codec, tuple[str, str, AssetName]]:
    dataset, name = asset.path
    if name not in CODECS:
        raise TableError(f"{asset.to_user_string()}: no store for this asset; there are {', '.join(CODECS)}")
    known: AssetName = name  # pyright: ignore[reportAssignmentType]  # one of the literal's names, as just checked
    return CODECS[known], (dataset, partition, known)
