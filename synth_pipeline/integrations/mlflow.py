"""MLflow: one run a walk, with parameters, released figures, lineage, and the generator as a registered model.

Belongs here: what is recorded and how, as functions of a tracking place. Does not: when (orchestration) or what is true (the walk).

Privacy: a tracking server is outside the private zone, so whatever is recorded is `Released`: a score on real rows or an exact count cannot
be passed. Datasets are recorded by name and fingerprint only: MLflow's own profile of a table would hold exact counts.
"""

import io
import json
import logging
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from synth_pipeline.integrations.mlflow_place import (
    WALK_TAG,
    TrackedRun,
    Tracking,
    keep_mlflow_offline,
    tracking_client,
)
from synth_pipeline.privacy.gate import Released, opened
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoricalColumn,
    Column,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    OrdinalColumn,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

CANDIDATE = "candidate"
_LONGEST_VALUE = 5_000
_BATCH = 90
_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""The kind that MLflow's pages take an experiment for: of models, not of agents."""
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Lineage:
    """A table that a walk read or made, by name and fingerprint only.

    Attributes:
        name: name of the table.
        digest: fingerprint; of a real snapshot, keyed (HMAC).
        source: where it lies; never its contents.
        context: what it was to the walk.
    """

    name: str
    digest: str
    source: str
    context: Literal["training", "synthetic"]


@dataclass(frozen=True)
class RegisteredGenerator:
    """A generator in the registry.

    Attributes:
        uri: what `mlflow.pyfunc.load_model` takes.
        name: registered model.
        version: its version.
        model_id: the logged model behind it.
    """

    uri: str
    name: str
    version: str
    model_id: str


def walk_run(
    tracking: Tracking, *, dataset: str, walk_id: str, snapshot: str, tags: Mapping[str, Released[str]] | None = None
) -> TrackedRun:
    """The run of a walk: found again by its tag, or begun.

    Args:
        tracking: where.
        dataset: name of the experiment.
        walk_id: Dagster's root run id.
        snapshot: partition key of the snapshot.
        tags: further tags, set when the run is begun.
    """
    client = tracking_client(tracking)
    experiment = _experiment(client, tracking, dataset)
    found = client.search_runs([experiment], filter_string=f"tags.{WALK_TAG} = '{walk_id}'", max_results=1)
    if found:
        return TrackedRun(found[0].info.run_id, experiment)
    marks = {"zone": "released", "dataset": dataset, "snapshot": snapshot, WALK_TAG: walk_id, **_opened(tags)}
    run = client.create_run(experiment, run_name=f"{dataset} {snapshot}", tags=marks)
    return TrackedRun(run.info.run_id, experiment)


def log_facts(
    tracking: Tracking,
    run: TrackedRun,
    *,
    params: Mapping[str, Released[object]] | None = None,
    metrics: Mapping[str, Released[float]] | None = None,
    tags: Mapping[str, Released[str]] | None = None,
) -> None:
    """Record parameters, metrics and tags of a run in as few calls as MLflow allows.

    Raises:
        PrivacyError: for a value that is not `Released`; nothing is recorded then.
    """
    keep_mlflow_offline()
    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    entries: list[Any] = [Metric(_key(name), float(value), now, 0) for name, value in _opened(metrics).items()]
    entries += [Param(_key(name), str(value)[:_LONGEST_VALUE]) for name, value in _opened(params).items()]
    entries += [RunTag(name, value[:_LONGEST_VALUE]) for name, value in _opened(tags).items()]
    client = tracking_client(tracking)
    for batch in _batches(entries):
        client.log_batch(
            run.run_id,
            metrics=[entry for entry in batch if isinstance(entry, Metric)],
            params=[entry for entry in batch if isinstance(entry, Param)],
            tags=[entry for entry in batch if isinstance(entry, RunTag)],
        )


def log_lineage(tracking: Tracking, run: TrackedRun, released: Released[Lineage]) -> None:
    """Record that a walk read or made a table; neither rows nor counts are recorded."""
    keep_mlflow_offline()
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    lineage = opened(released, where="MLflow: lineage")
    dataset = Dataset(lineage.name, lineage.digest[:36], "synth_pipeline", json.dumps({"uri": lineage.source}))
    entry = DatasetInput(dataset, tags=[InputTag(MLFLOW_DATASET_CONTEXT, lineage.context)])
    tracking_client(tracking).log_inputs(run.run_id, datasets=[entry])


def log_artifacts(tracking: Tracking, run: TrackedRun, folder: Released[Path], name: str) -> None:
    """Keep the files of a folder with a run, under a name."""
    tracking_client(tracking).log_artifacts(run.run_id, str(opened(folder, where="MLflow: artifacts")), name)


def register_generator(
    tracking: Tracking, run: TrackedRun, *, spec: Spec, folder: Released[Path]
) -> RegisteredGenerator:
    """Log a saved generator as a pyfunc model, register it as `<dataset>-generator` and give it the alias `candidate`.

    `mlflow.pyfunc.load_model(uri).predict(None, params={"num_rows": 10, "where": "age < 30"})` then samples rows.

    Args:
        tracking: where.
        run: the run of the walk.
        spec: specification of the dataset.
        folder: the generator as `ReleasedModel.save` wrote it.
    """
    keep_mlflow_offline()
    import mlflow

    name = f"{spec.dataset}-generator"
    with _active(tracking, run), _quiet():
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(Path(__file__).with_name("mlflow_model.py")),
            artifacts={"generator": str(opened(folder, where="MLflow: generator"))},
            signature=_signature(spec),
            registered_model_name=name,
            pip_requirements=["synth-pipeline"],
            metadata={"spec_digest": spec.digest, "epsilon": spec.privacy.epsilon, "delta": spec.privacy.delta},
        )
    version = str(logged.registered_model_version)
    client = tracking_client(tracking)
    client.set_registered_model_alias(name, CANDIDATE, version)
    client.set_model_version_tag(name, version, "spec_digest", spec.digest)
    client.update_registered_model(name, description=_about(spec))
    return RegisteredGenerator(f"models:/{name}/{version}", name, version, str(logged.model_id))


def _about(spec: Spec) -> str:
    """What MLflow's page of a dataset's generators says."""
    return (
        f"Generators of synthetic rows of `{spec.dataset}`, each trained under differential privacy; sampling from them is free."
        " Use the alias `approved` and never a number, which may name one that nobody approved:\n\n"
        f'    mlflow.pyfunc.load_model("models:/{spec.dataset}-generator@approved").predict(None, params={{"num_rows": 10}})'
    )


def finish_run(tracking: Tracking, run: TrackedRun, *, has_succeeded: bool) -> None:
    """Close a run."""
    tracking_client(tracking).set_terminated(run.run_id, status="FINISHED" if has_succeeded else "FAILED")


def _experiment(client: "MlflowClient", tracking: Tracking, name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        about = {
            **_KIND,
            "mlflow.note.content": f"Walks of `{name}`: a run is one walk from a snapshot to its release. Released facts only.",
        }
        try:
            return client.create_experiment(name, artifact_location=tracking.artifacts, tags=about)
        except MlflowException:  # another step of the same moment made it
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    for key, value in _KIND.items():
        if key not in found.tags:
            client.set_experiment_tag(found.experiment_id, key, value)
    return str(found.experiment_id)


@contextmanager
def _active(tracking: Tracking, run: TrackedRun) -> Generator[None]:
    """Make a run MLflow's current one, as its model API wants, and put everything back afterwards."""
    import mlflow

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(tracking.uri)
    mlflow.set_registry_uri(tracking.uri)
    try:
        with mlflow.start_run(run_id=run.run_id, log_system_metrics=False):
            yield
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


@contextmanager
def _quiet() -> Generator[None]:
    """Keep MLflow's progress bars and remarks off the terminal while a model is logged."""
    from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR

    logger = logging.getLogger("mlflow")
    bars, level = MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.get_raw(), logger.level
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()):  # "Successfully registered model", printed
            yield
    finally:
        logger.setLevel(level)
        if bars is None:
            MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.unset()
        else:
            MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(bars)


def _signature(spec: Spec) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    def kind(column: Column) -> DataType:
        match column:
            case IntegerColumn():
                return DataType.long
            case FloatColumn():
                return DataType.double
            case DatetimeColumn():
                return DataType.datetime
            case BooleanColumn():
                return DataType.boolean
            case CategoricalColumn() | OrdinalColumn():
                return DataType.long if column.categories and isinstance(column.categories[0], int) else DataType.string
            case _:
                return DataType.string

    columns: list[ColSpec | TensorSpec] = [
        ColSpec(kind(column), name, required=not getattr(column, "nullable", False))
        for name, column in spec.columns.items()
    ]
    params = [
        ParamSpec("num_rows", DataType.long, 100),
        ParamSpec("seed", DataType.long, -1),
        ParamSpec("where", DataType.string, ""),
        ParamSpec("shares", DataType.string, ""),
    ]
    return ModelSignature(outputs=Schema(columns), params=ParamSchema(params))


def _opened(entries: Mapping[str, Released[_Value]] | None) -> dict[str, _Value]:
    return {name: opened(entry, where=f"MLflow: {name!r}") for name, entry in (entries or {}).items()}


def _key(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "_-./ " else "_" for letter in name)[:240]


def _batches(entries: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(entries), _BATCH):
        yield entries[start : start + _BATCH]
