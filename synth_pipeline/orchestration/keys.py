"""The names under which a dataset appears in Dagster (design 2: asset keys are fixed)."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import dagster as dg

from synth_pipeline.spec import Spec

AssetName: TypeAlias = Literal[
    "real_snapshot",
    "drift_report",
    "profile",
    "generator",
    "synthetic_table",
    "validation_suite",
    "tstr_benchmark",
    "published_score",
    "privacy_audit",
    "internal_report",
    "release",
    "approval",
]
APPROVAL: AssetName = "approval"
ASSET_NAMES: tuple[AssetName, ...] = tuple(name for name in get_args(AssetName) if name != APPROVAL)
"""The assets of a walk; the approval is a person's."""
APPROVAL_CHECK = "release_is_approved"

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

    def assets(self, *, with_drift: bool, with_score: bool = False) -> tuple[dg.AssetKey, ...]:
        """Keys of all assets of a walk, in its order; a drift report and a published score are there where they are asked for."""
        left_out = {"drift_report": not with_drift, "published_score": not with_score}
        return tuple(self.asset(name) for name in ASSET_NAMES if not left_out.get(name, False))

    def assets_of(self, spec: Spec) -> tuple[dg.AssetKey, ...]:
        """Keys of the assets that a walk of a specification makes, in its order."""
        published = spec.benchmark is not None and spec.benchmark.publish is not None
        return self.assets(with_drift=spec.drift is not None, with_score=published)

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
    def approval_sensor(self) -> str:
        """Name of the sensor that notices what became of approvals."""
        return f"{self.dataset}_approvals"

    @property
    def approval_check(self) -> dg.AssetCheckKey:
        """The check that stops what comes after a release that is not approved."""
        return dg.AssetCheckKey(self.asset(APPROVAL), APPROVAL_CHECK)

    @property
    def schedule(self) -> str:
        """Name of the schedule that walks the newest snapshot."""
        return f"{self.dataset}_schedule"
