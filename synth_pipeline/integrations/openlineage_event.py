"""OpenLineage events of one step: START, COMPLETE, FAIL, with what they say about datasets.

Belongs here: layout. Does not: sending (openlineage), or when (orchestration.lineage_events).

Privacy:
    Names, the specification, and what was released. Metrics are of the synthetic table alone, never of real rows.

Source:
    OpenLineage 2-0-2 and its facets, as `openlineage-python` 1.54 writes them.
"""

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import pandas as pd

from synth_pipeline.integrations.openlineage_facet import (
    assertions_facet,
    column_facet,
    metrics_facet,
    privacy_facet,
    schema_facet,
)
from synth_pipeline.release.asset_columns import SOURCE, WITH_COLUMNS
from synth_pipeline.release.origin import code_version
from synth_pipeline.spec import Spec
from synth_pipeline.validate.expectation import Outcome

Moment = Literal["START", "COMPLETE", "FAIL"]
NAMESPACE_VARIABLE = "OPENLINEAGE_NAMESPACE"
_PROTECTED = ("generator", "synthetic_table", "release")


@dataclass(frozen=True)
class Step:
    """One step of a walk.

    Attributes:
        spec: the dataset's specification.
        asset: the asset that the step makes.
        snapshot: partition key of the snapshot; public.
        run_id: Dagster's run.
        root_run_id: the run that began the walk.
        retry: how often the step was tried before.
        upstream: the assets that it takes values of.
        description: what it does.
    """

    spec: Spec
    asset: str
    snapshot: str
    run_id: str
    root_run_id: str
    retry: int = 0
    upstream: tuple[str, ...] = ()
    description: str = ""

    @property
    def event_run_id(self) -> str:
        """Id of the step in OpenLineage: the same in all of its events."""
        return event_run_id(self.run_id, self.asset, self.snapshot, retry=self.retry)

    @property
    def job(self) -> str:
        """Name of the step's job."""
        return f"{self.spec.dataset}.{self.asset}"


@dataclass(frozen=True, eq=False)
class Finding:
    """What a step that ended well made, as far as it is released.

    Attributes:
        table: the synthetic table.
        outcomes: what expectations found in it.
        composed_epsilon: ε that profile and generator are proven to lose; of a release, all that its certificate states.
        fingerprint: keyed fingerprint of the snapshot.
        walk_id: the walk that made it.
        is_kept: whether it was taken over from the release in force, so that no column of this snapshot entered it.
    """

    table: pd.DataFrame | None = None
    outcomes: tuple[Outcome, ...] = field(default=())
    composed_epsilon: float | None = None
    fingerprint: str | None = None
    walk_id: str | None = None
    is_kept: bool = False


def event_run_id(run_id: str, asset: str, snapshot: str, *, retry: int) -> str:
    """Id of a step in OpenLineage, from what Dagster knows it by."""
    return str(uuid.uuid5(_uuid(run_id), f"{asset}/{snapshot}/{retry}"))


def namespace() -> str:
    """Namespace of jobs and datasets: `$OPENLINEAGE_NAMESPACE`, else the package's name."""
    return os.environ.get(NAMESPACE_VARIABLE) or "synth-pipeline"


def producer() -> str:
    """Who says so, as a URI."""
    return f"urn:synth-pipeline:producer:{code_version().partition('+')[0]}"


def step_event(step: Step, moment: Moment, *, found: Finding | None = None, fault: str | None = None) -> Any:
    """One event of a step, as OpenLineage's client sends it.

    Args:
        step: the step.
        moment: START, COMPLETE or FAIL.
        found: what it made; for COMPLETE.
        fault: class of the error that ended it; for FAIL. Its message is left out: it may hold a value.
    """
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState, set_producer

    set_producer(producer())
    finding = found or Finding()
    return RunEvent(
        eventTime=datetime.now(UTC).isoformat(),
        producer=producer(),
        eventType=RunState[moment],
        run=Run(step.event_run_id, _run_facets(step, fault)),
        job=Job(namespace(), step.job, _job_facets(step)),
        inputs=_inputs(step, finding),
        outputs=_outputs(step, finding, is_done=moment == "COMPLETE"),
    )


def _run_facets(step: Step, fault: str | None) -> dict[str, Any]:
    from openlineage.client.facet_v2 import error_message_run, parent_run, processing_engine_run

    walk = f"{step.spec.dataset}_walk"
    facets: dict[str, Any] = {
        "parent": parent_run.ParentRunFacet(
            run=parent_run.Run(str(_uuid(step.run_id))),
            job=parent_run.Job(namespace(), walk),
            root=parent_run.Root(
                run=parent_run.RootRun(str(_uuid(step.root_run_id))), job=parent_run.RootJob(namespace(), walk)
            ),
        ),
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(code_version(), "synth-pipeline"),
    }
    if fault is not None:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(f"{step.asset}: {fault}", "PYTHON")
    return facets


def _job_facets(step: Step) -> dict[str, Any]:
    from openlineage.client.facet_v2 import documentation_job, job_type_job, source_code_location_job

    number = code_version().partition("+")[0]
    return {
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "SYNTH_PIPELINE", "ASSET"),
        "documentation": documentation_job.DocumentationJobFacet(step.description or step.asset),
        "sourceCodeLocation": source_code_location_job.SourceCodeLocationJobFacet(
            type="pypi", url=f"pkg:pypi/synth-pipeline@{number}", version=code_version()
        ),
    }


def _inputs(step: Step, found: Finding) -> list[Any]:
    from openlineage.client.event_v2 import InputDataset

    if step.asset == "real_snapshot":
        return [InputDataset(namespace(), _name(step, SOURCE), facets=_source_facets(step))]
    facets = {name: assertions_facet(found.outcomes) for name in ("synthetic_table",) if found.outcomes}
    return [
        InputDataset(
            namespace(),
            _name(step, asset),
            facets=_dataset_facets(step, asset),
            inputFacets={"dataQualityAssertions": facets[asset]} if asset in facets else {},
        )
        for asset in step.upstream
        if asset in WITH_COLUMNS
    ]


def _outputs(step: Step, found: Finding, *, is_done: bool) -> list[Any]:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    if step.asset not in WITH_COLUMNS:
        return []
    facets, statistics = _dataset_facets(step, step.asset), {}
    links = (
        None if found.is_kept else column_facet(step.spec, step.asset, lambda asset: (namespace(), _name(step, asset)))
    )
    if links is not None:
        facets["columnLineage"] = links
    if step.asset in _PROTECTED and is_done:
        facets["synthPipeline_differentialPrivacy"] = privacy_facet(
            step.spec,
            composed_epsilon=found.composed_epsilon,
            entry=f"{step.spec.dataset}/{step.snapshot}/{found.walk_id or step.root_run_id}",
            fingerprint=found.fingerprint,
        )
    if found.table is not None and step.asset == "synthetic_table":
        facets["dataQualityMetrics"] = metrics_facet(found.table)
        statistics["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=len(found.table)
        )
    return [OutputDataset(namespace(), _name(step, step.asset), facets=facets, outputFacets=statistics)]


def _name(step: Step, asset: str) -> str:
    return f"{step.spec.dataset}/{asset}"


def _source_facets(step: Step) -> dict[str, Any]:
    """Where snapshots arrive: scheme and host, without the user, the password or the query that an address may hold."""
    from openlineage.client.facet_v2 import datasource_dataset

    source = step.spec.source
    facets = {"schema": schema_facet(step.spec, SOURCE), "version": _version(step)}
    if source is not None:
        parts = urlsplit(source.uri)
        place = f"{parts.scheme or 'file'}://{parts.hostname or ''}"
        facets["dataSource"] = datasource_dataset.DatasourceDatasetFacet(step.spec.dataset, place)
    return facets


def _dataset_facets(step: Step, asset: str) -> dict[str, Any]:
    from openlineage.client.facet_v2 import (
        dataset_type_dataset,
        datasource_dataset,
        documentation_dataset,
        ownership_dataset,
    )

    kind = "MODEL" if asset == "generator" else "FILE"
    facets: dict[str, Any] = {
        "schema": schema_facet(step.spec, asset),
        "version": _version(step),
        "dataSource": datasource_dataset.DatasourceDatasetFacet(namespace(), f"urn:synth-pipeline:{step.spec.dataset}"),
        "documentation": documentation_dataset.DocumentationDatasetFacet(
            step.description if asset == step.asset and step.description else f"{asset} of {step.spec.dataset}"
        ),
        "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet(kind),
    }
    owners = _owners(step.spec)
    if owners:
        facets["ownership"] = ownership_dataset.OwnershipDatasetFacet(
            [ownership_dataset.Owner(name, type_) for name, type_ in owners]
        )
    return facets


def _version(step: Step) -> Any:
    from openlineage.client.facet_v2 import dataset_version_dataset

    return dataset_version_dataset.DatasetVersionDatasetFacet(f"{step.snapshot}@{step.root_run_id}")


def _owners(spec: Spec) -> Sequence[tuple[str, str]]:
    """Publisher and contact, where the owner states them."""
    stated = spec.release.publication
    if stated is None:
        return []
    named: Mapping[str, str | None] = {"PUBLISHER": stated.publisher, "CONTACT": stated.contact}
    return [(name, role) for role, name in named.items() if name]


def _uuid(run_id: str) -> uuid.UUID:
    """A run's id as the UUID that OpenLineage asks for; Dagster's is one."""
    try:
        return uuid.UUID(run_id)
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_URL, run_id)
