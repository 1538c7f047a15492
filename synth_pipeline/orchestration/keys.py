"""The names under which a dataset appears in Dagster (design 2: asset keys are fixed)."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import dagster as dg

AssetName: TypeAlias = Literal[
    "real_snapshot",
    "drift_report",
    "profile",
    "generator",
    "synthetic_table",
    "validation_suite",
    "tstr_benchmark",
    "privacy_audit",
    "release",
]
ASSET_NAMES: tuple[AssetName, ...] = get_args(AssetName)

PRIVATE_IO = "private_io"
RELEASED_IO = "released_io"
LOCATION = "synth-pipeline"


@dataclass(frozen=True)
class DatasetKeys:
    """Every Dagster name of one dataset.

    Attributes:
        dataset: its name.

    Example:
        >>> DatasetKeys("gss").asset("profile").to_user_string()
        'gss/profile'
    """

    dataset: str

    def asset(self, name: AssetName) -> dg.AssetKey:
        """Key of an asset."""
        return dg.AssetKey([self.dataset, name])

    def assets(self, *, with_drift: bool) -> tuple[dg.AssetKey, ...]:
        """Keys of all assets of a walk, in its order; a drift report is there where the specification asks for one."""
        return tuple(self.asset(name) for name in ASSET_NAMES if with_drift or name != "drift_report")

    @property
    def partitions_name(self) -> str:
        """Name of the dynamic partitions: one key a snapshot."""
        return f"{self.dataset}_snapshots"

    @property
    def partitions(self) -> dg.DynamicPartitionsDefinition:
        """The dynamic partitions."""
        return dg.DynamicPartitionsDefinition(name=self.partitions_name)

    @property
    def job(self) -> str:
        """Name of the job that runs one whole walk."""
        return f"{self.dataset}_walk"

    @property
    def sensor(self) -> str:
        """Name of the sensor that watches for snapshots."""
        return f"{self.dataset}_arrivals"

    @property
    def schedule(self) -> str:
        """Name of the schedule that walks the newest snapshot."""
        return f"{self.dataset}_schedule"
