"""The Dagster component: one specification in YAML becomes the whole of design 2."""

from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import BaseModel

from synth_pipeline.integrations.run_queue import DATASET_TAG
from synth_pipeline.orchestration.approval_assets import approval_asset
from synth_pipeline.orchestration.approval_sensor import approval_sensor
from synth_pipeline.orchestration.audit_assets import audit_assets
from synth_pipeline.orchestration.drift_assets import drift_assets
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.private_assets import private_assets
from synth_pipeline.orchestration.release_assets import release_assets
from synth_pipeline.orchestration.released_assets import released_assets
from synth_pipeline.orchestration.report_assets import report_assets
from synth_pipeline.orchestration.schedules import walk_schedules
from synth_pipeline.orchestration.score_assets import score_assets
from synth_pipeline.orchestration.sensors import arrival_sensor
from synth_pipeline.spec import Spec

WARN_SHARE = 0.75
"""Share of `release.max_age` after which Dagster warns that a release grows old."""


@dataclass(frozen=True)
class SyntheticDataset(dg.Component, dg.Resolvable):
    """A differentially private synthetic table of every snapshot of a real one.

    The attributes are those of a specification (`synth-pipeline schema` prints them). A relative `source.uri` lies in the home folder.
    From it come the assets real_snapshot, drift_report (where drift is looked for), profile, generator, synthetic_table,
    validation_suite, tstr_benchmark, published_score (where one is asked for), privacy_audit, internal_report and release, one partition
    a snapshot, a job that walks them, and a schedule where one is given, else a sensor for new snapshots; and the asset approval, which a
    second person makes, with a sensor for its end.

    Attributes:
        spec: the specification.
    """

    spec: Spec

    @classmethod
    def model(cls) -> type[BaseModel]:
        """The model that the attributes in YAML are read by: the specification itself."""
        return Spec

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> "SyntheticDataset":
        """The component of a specification, with templates such as `{{ env.NAME }}` in texts filled in."""
        content: Any = context.resolve_value(model.model_dump(mode="json", by_alias=True))
        return cls(Spec.from_mapping(content))

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """What Dagster's tools list the component under."""
        return dg.ComponentTypeSpec(
            description="Differentially private synthetic tables from snapshots of a real one.",
            tags=["differential-privacy", "synthetic-data"],
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Every Dagster definition of the dataset."""
        return dataset_definitions(self.spec)


def dataset_definitions(spec: Spec) -> dg.Definitions:
    """Every Dagster definition of a dataset, without resources."""
    keys = DatasetKeys(spec.dataset)
    job = dg.define_asset_job(
        keys.job,
        selection=dg.AssetSelection.assets(*keys.assets_of(spec)),
        description=f"One walk of {spec.dataset}: from a snapshot to a release, at ε = {spec.privacy.epsilon:g}.",
        tags={DATASET_TAG: spec.dataset},
    )
    made = [
        *private_assets(spec),
        *drift_assets(spec),
        *released_assets(spec),
        *score_assets(spec),
        *audit_assets(spec),
        *report_assets(spec),
        *release_assets(spec),
        approval_asset(spec),
    ]
    # One thing a dataset that asks for walks by itself (adr/0016): its schedule, or else the sensor.
    schedules = walk_schedules(spec)
    return dg.Definitions(
        assets=dg.map_asset_specs(lambda asset: _kept_fresh(spec, asset), made),
        jobs=[job],
        sensors=[approval_sensor(spec), *([arrival_sensor(spec)] if spec.source and not schedules else [])],
        schedules=schedules,
    )


def _kept_fresh(spec: Spec, asset: dg.AssetSpec) -> dg.AssetSpec:
    """An asset as it is, or the release with the age that the specification lets it reach."""
    window = spec.release.max_age_window
    if window is None or asset.key != DatasetKeys(spec.dataset).asset("release"):
        return asset
    policy = dg.FreshnessPolicy.time_window(fail_window=window, warn_window=WARN_SHARE * window)
    return dg.apply_freshness_policy(asset, policy)
