"""Facets of datasets: schema, column lineage, data quality, and the privacy guarantee, which is ours."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.release.asset_columns import SOURCE, ColumnLink, asset_columns
from synth_pipeline.release.facts import NEIGHBOURS
from synth_pipeline.spec import Spec
from synth_pipeline.validate.expectation import Outcome

PRIVACY_SCHEMA = "urn:synth-pipeline:openlineage:differential-privacy-dataset-facet:1-0-0"
"""Its schema is `openlineage_dp_facet.json` beside this file."""

Named = Callable[[str], tuple[str, str]]
_LONGEST = 500


def schema_facet(spec: Spec, asset: str) -> Any:
    """The columns of a dataset by name, kind and meaning: all of it public. Between snapshot and table, identifiers are left out."""
    from openlineage.client.facet_v2 import schema_dataset

    columns = spec.columns if asset in (SOURCE, "real_snapshot", "synthetic_table", "release") else spec.modelled
    return schema_dataset.SchemaDatasetFacet(
        [
            schema_dataset.SchemaDatasetFacetFields(
                name,
                column.kind,
                " ".join(filter(None, (column.description, f"({column.unit})" if column.unit else None))) or None,
            )
            for name, column in columns.items()
        ]
    )


def column_facet(spec: Spec, asset: str, named: Named) -> Any | None:
    """Which columns each column of an asset is made from; what passes through the noise of a DP mechanism is marked as masked.

    Args:
        spec: the dataset's specification.
        asset: the asset.
        named: namespace and name of an asset's dataset.
    """
    from openlineage.client.facet_v2 import column_lineage_dataset

    made = asset_columns(spec, asset)
    if made is None:
        return None
    fields = {
        name: column_lineage_dataset.Fields([_field(link, named) for link in links])
        for name, links in made.columns.items()
        if links  # an invented column comes from nothing, and is not listed
    }
    return column_lineage_dataset.ColumnLineageDatasetFacet(fields, [_field(link, named) for link in made.whole])


def _field(link: ColumnLink, named: Named) -> Any:
    from openlineage.client.facet_v2 import column_lineage_dataset

    kind = "DIRECT" if link.is_direct else "INDIRECT"
    how = column_lineage_dataset.Transformation(kind, link.subtype, link.words, link.is_masked)
    return column_lineage_dataset.InputField(*named(link.asset), link.column, [how])


def assertions_facet(outcomes: Sequence[Outcome]) -> Any:
    """What expectations found in the synthetic table."""
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    return quality.DataQualityAssertionsDatasetFacet(
        [
            quality.Assertion(
                assertion=outcome.expectation.gx_type,
                success=outcome.passed,
                column=outcome.expectation.column,
                severity="error" if outcome.expectation.is_blocking else "warn",
                name=outcome.expectation.name,
                description=outcome.expectation.description[:_LONGEST],
                actual=", ".join(f"{name} {value:g}" for name, value in outcome.observed.items())[:_LONGEST] or None,
            )
            for outcome in outcomes
        ]
    )


def metrics_facet(table: pd.DataFrame) -> Any:
    """Counts and ranges of the columns of a synthetic table."""
    from openlineage.client.facet_v2 import data_quality_metrics_dataset as quality

    return quality.DataQualityMetricsDatasetFacet(
        columnMetrics={str(name): _metrics(pd.Series(table[name])) for name in table.columns}, rowCount=len(table)
    )


def _metrics(values: pd.Series) -> Any:
    from openlineage.client.facet_v2 import data_quality_metrics_dataset as quality

    known = values.dropna()
    measured: dict[str, Any] = {"nullCount": int(values.isna().sum()), "count": float(len(known))}
    measured["distinctCount"] = int(known.nunique())
    if pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known) and len(known):
        measured |= {"min": float(known.min()), "max": float(known.max()), "sum": float(known.sum())}
    return quality.ColumnMetrics(**measured)


def privacy_facet(spec: Spec, *, composed_epsilon: float | None, entry: str, fingerprint: str | None) -> Any:
    """The guarantee of a dataset, under our own name and schema.

    Args:
        spec: the dataset's specification.
        composed_epsilon: what is proven to be lost at its δ: by profile and generator; by a release, all that its certificate states.
        entry: where the charge stands in the ledger.
        fingerprint: keyed fingerprint of the snapshot.
    """
    import attr
    from openlineage.client.generated.base import DatasetFacet

    @attr.define
    class DifferentialPrivacyDatasetFacet(DatasetFacet):
        epsilon: float
        delta: float
        unit: str
        neighbours: str
        ledgerEntry: str  # noqa: N815  (OpenLineage spells so)
        composedEpsilon: float | None = attr.field(default=None)  # noqa: N815
        snapshotHmac: str | None = attr.field(default=None)  # noqa: N815

        @staticmethod
        def _get_schema() -> str:
            return PRIVACY_SCHEMA

    declared = spec.privacy.unit
    return DifferentialPrivacyDatasetFacet(
        epsilon=spec.privacy.epsilon,
        delta=spec.privacy.delta,
        unit=PrivacyUnit(declared.column, declared.max_rows).describe(),
        neighbours=NEIGHBOURS,
        ledgerEntry=entry,
        composedEpsilon=composed_epsilon,
        snapshotHmac=fingerprint,
    )
