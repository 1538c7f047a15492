"""Two IO managers, one for each zone: values as folders of files in the home's stores, written whole or not at all."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from synth_pipeline.errors import TableError
from synth_pipeline.integrations.stores import Home, Store
from synth_pipeline.orchestration.codecs import CODECS, Codec
from synth_pipeline.orchestration.keys import AssetName
from synth_pipeline.orchestration.made import Made, Origin
from synth_pipeline.privacy.gate import private_stage

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

        def save(folder: Path) -> None:
            codec.save(obj.value, folder)
            (folder / ORIGIN_FILE).write_text(json.dumps(obj.origin.to_json()), encoding="utf-8")

        with self._guarded(place):
            self._store().write(save, *place)

    def load_input(self, context: dg.InputContext) -> Made[Any]:
        """Read the value of an upstream asset for the same snapshot."""
        _, place = _codec_and_place(context.asset_key, context.asset_partition_key)
        with self._guarded(place):
            return self._store().read(made_loader(place[2]), *place)

    def _guarded(self, place: tuple[str, str, str]) -> AbstractContextManager[None]:
        """Writing and reading rows is a private stage: `ArrowInvalid: Could not convert 'Harker' …` is how libraries put it."""
        return private_stage(f"{place[2]} (its store)", Home.at(self.home).private)

    def _store(self) -> Store:
        home = Home.at(self.home)
        return home.private if self.zone == "private" else home.released


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
