"""What MLflow holds about a walk, and which generator its registry calls approved.

Belongs here: questions to MLflow, the words beside a generator, and the alias `approved`. Does not: recording a walk (mlflow).
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synth_pipeline.integrations.mlflow_place import WALK_TAG, TrackedRun, Tracking, tracking_client
from synth_pipeline.privacy.gate import Released, opened

if TYPE_CHECKING:
    from mlflow import MlflowClient

APPROVED = "approved"


@dataclass(frozen=True)
class RecordedWalk:
    """What MLflow holds about a walk.

    Attributes:
        run: its run.
        tags: tags of the run.
        digests: digest of each recorded table, by what it was to the walk ("training", "synthetic").
        model: registered version of its generator as `models:/name/version`, or None.
        model_tags: tags of that version.
    """

    run: TrackedRun
    tags: Mapping[str, str]
    digests: Mapping[str, str]
    model: str | None
    model_tags: Mapping[str, str]


def recorded_walk(tracking: Tracking, *, dataset: str, walk_id: str) -> RecordedWalk | None:
    """What MLflow holds about a walk, by the tag of its run; None where there is nothing. Nothing is created."""
    client = tracking_client(tracking)
    experiment = client.get_experiment_by_name(dataset)
    if experiment is None:
        return None
    found = client.search_runs(
        [experiment.experiment_id], filter_string=f"tags.{WALK_TAG} = '{walk_id}'", max_results=1
    )
    if not found:
        return None
    run = found[0]
    versions = sorted(
        client.search_model_versions(f"run_id = '{run.info.run_id}'"), key=lambda version: int(version.version)
    )
    last = versions[-1] if versions else None
    tables = run.inputs.dataset_inputs if run.inputs is not None else []
    return RecordedWalk(
        run=TrackedRun(run.info.run_id, experiment.experiment_id),
        tags=dict(run.data.tags),
        digests={item.tags[0].value: item.dataset.digest for item in tables if item.tags},
        model=None if last is None else f"models:/{last.name}/{last.version}",
        model_tags={} if last is None else dict(last.tags),
    )


def describe_generator(tracking: Tracking, *, dataset: str, walk_id: str, words: Released[str]) -> str | None:
    """Put words on the page of the generator that a walk registered.

    Args:
        tracking: where.
        dataset: whose generators.
        walk_id: which walk.
        words: Markdown.

    Returns:
        The version; None where the walk registered none, as where it kept an earlier generator.
    """
    client, name = tracking_client(tracking), f"{dataset}-generator"
    if _aliases(client, name) is None:
        return None
    version = _version_of_walk(client, dataset, name, walk_id)
    if version is not None:
        client.update_model_version(name, version, description=opened(words, where="MLflow: description"))
    return version


def point_approved(tracking: Tracking, *, dataset: str, walks: Released[Sequence[str]]) -> str | None:
    """Have the alias `approved` name the generator of a release, or nothing.

    Args:
        tracking: where.
        dataset: whose generators.
        walks: ids of the walks among whose registered generators the release's is: its own, then those that it builds on; none: no
            release is approved.

    Returns:
        The version that the alias names now; None where it names none, for want of an approved release or of its generator.
    """
    with _asked_once():
        client, name = tracking_client(tracking), f"{dataset}-generator"
        aliases = _aliases(client, name)
        if aliases is None:
            return None
        versions = (_version_of_walk(client, dataset, name, walk) for walk in opened(walks, where="MLflow: alias"))
        wanted = next((version for version in versions if version is not None), None)
        if wanted is None and APPROVED in aliases:
            client.delete_registered_model_alias(name, APPROVED)
        elif wanted is not None and aliases.get(APPROVED) != wanted:
            client.set_registered_model_alias(name, APPROVED, wanted)
        return wanted


@contextmanager
def _asked_once() -> Generator[None]:
    """Have MLflow's client ask a server once and not for minutes: who asks comes again by himself."""
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES as RETRIES

    before = RETRIES.get_raw()
    RETRIES.set(0)
    try:
        yield
    finally:
        if before is None:
            RETRIES.unset()
        else:
            RETRIES.set(before)


def _aliases(client: "MlflowClient", name: str) -> dict[str, str] | None:
    """Version of each alias of a registered model; None where there is no such model."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return {alias: str(version) for alias, version in found.items()}


def _version_of_walk(client: "MlflowClient", dataset: str, name: str, walk_id: str) -> str | None:
    """The newest version that a walk registered; None where it registered none."""
    experiment = client.get_experiment_by_name(dataset)
    if experiment is None:
        return None
    runs = client.search_runs([experiment.experiment_id], filter_string=f"tags.{WALK_TAG} = '{walk_id}'", max_results=1)
    if not runs:
        return None
    run = runs[0].info.run_id
    found = [int(one.version) for one in client.search_model_versions(f"name='{name}'") if one.run_id == run]
    return str(max(found)) if found else None
