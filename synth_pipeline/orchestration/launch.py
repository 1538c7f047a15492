"""One whole walk through Dagster, in this process: what the command line and the demo run.

The run is recorded in the home's Dagster instance, so the web page shows it like any other. Steps run in this process one after another,
which spares the start of seven processes; runs that Dagster starts itself use the executor of the code location.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.benchmark.scorecard import Scorecard
from synth_pipeline.errors import SpecError, TableError
from synth_pipeline.integrations.stores import FolderStore, Home
from synth_pipeline.orchestration.abandoned import give_back_abandoned
from synth_pipeline.orchestration.arrivals import list_arrivals, register
from synth_pipeline.orchestration.audit_assets import ATTACKS, ATTACKS_PAGE
from synth_pipeline.orchestration.code_location import build_defs, load_specs
from synth_pipeline.orchestration.codecs import CODECS, Outcomes
from synth_pipeline.orchestration.failures import failure_of, was_interrupted
from synth_pipeline.orchestration.keys import AssetName, DatasetKeys
from synth_pipeline.orchestration.resources import Progress, StageRuntime
from synth_pipeline.privacy.ledger import Account, open_ledger
from synth_pipeline.spec import Spec

_SETTINGS = Path(__file__).with_name("instance.yaml")
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, eq=False)
class WalkReport:
    """Where a walk ended and where everything is.

    Attributes:
        dataset: name of the dataset.
        snapshot: partition key of the snapshot.
        run_id: Dagster's run.
        release: folder of the bundle.
        synthetic: the synthetic table as Parquet.
        data_docs: start page of the Data Docs.
        scorecard: scores on real rows; internal.
        scorecard_path: where it lies, in the private store.
        outcomes: outcome of every expectation.
        audit: the measured lower bound on ε.
        attacks_path: page of the attacks, in the private store.
        epsilon: ε that is proven, that of the plan.
        delta: δ of the walk.
        account: the dataset's budget after the walk.
        mlflow_run: MLflow's run, or None where nothing could be recorded.
        mlflow_model: URI of the registered generator, or None.
        home: the home folder.
    """

    dataset: str
    snapshot: str
    run_id: str
    release: Path
    synthetic: Path
    data_docs: Path
    scorecard: Scorecard
    scorecard_path: Path
    outcomes: Outcomes
    audit: MechanismAudit
    attacks_path: Path
    epsilon: float
    delta: float
    account: Account
    mlflow_run: str | None
    mlflow_model: str | None
    home: Home


def run_walk(
    dataset: str,
    *,
    snapshot: Path | None = None,
    home: str | Path | None = None,
    progress: Progress | None = None,
    own: str | Path | None = None,
) -> WalkReport:
    """Run one whole walk through Dagster.

    Args:
        dataset: name of a dataset of the code location.
        snapshot: its snapshot file; default: the newest of the dataset's source folder.
        home: the home folder; default `$SYNTH_PIPELINE_HOME`, else `.synth_pipeline`.
        progress: called with a message and the share of a stage's work that is done.
        own: folder of your own datasets; default `$SYNTH_PIPELINE_DEFS`.

    Raises:
        BudgetRefused: before any row is read, if the cap would be passed.
        CheckFailed: if a blocking check failed; no release was written.
        KeyboardInterrupt: if SIGINT or SIGTERM ended it; a budget of which nothing was read is given back first.
        SynthPipelineError: for any other failure, as one line.
    """
    spec, place = _spec_of(dataset, own), Home.at(home).make()
    keys = DatasetKeys(dataset)
    partition = register(spec, place, snapshot or _newest(spec, place))
    definitions = build_defs(home=place.folder, own=own, resources={"runtime": StageRuntime(progress=progress)})
    with open_instance(place) as instance:
        instance.add_dynamic_partitions(keys.partitions_name, [partition])
        job = definitions.resolve_job_def(keys.job)
        result = job.execute_in_process(
            run_config=_QUIET, instance=instance, partition_key=partition, raise_on_error=False
        )
        failure = failure_of(result)
        if failure is not None:
            give_back_abandoned(open_ledger(place.ledger), instance, dataset=dataset)
            if was_interrupted(result):
                raise KeyboardInterrupt
            raise failure
        return _report(spec, place, partition, result)


def open_instance(home: Home) -> dg.DagsterInstance:
    """The Dagster instance of a home, with our settings where there are none yet; a context manager."""
    home.dagster.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = home.dagster / "dagster.yaml"
    if not settings.exists():
        shutil.copyfile(_SETTINGS, settings)
    return dg.DagsterInstance.from_config(str(home.dagster))


def _spec_of(dataset: str, own: str | Path | None) -> Spec:
    specs = load_specs(own)
    if dataset not in specs:
        raise SpecError(
            f"dataset {dataset!r}: unknown; there are {', '.join(sorted(specs))} (your own: set $SYNTH_PIPELINE_DEFS)"
        )
    return specs[dataset]


def _newest(spec: Spec, home: Home) -> Path:
    found = list_arrivals(spec, home)
    if not found:
        folder = home.resolve(spec.source.uri) if spec.source else "the source folder"
        raise TableError(f"{spec.dataset}: no snapshot in {folder}; put a file there, or name one with --snapshot")
    return found[-1].path


def _report(spec: Spec, home: Home, partition: str, result: dg.ExecuteInProcessResult) -> WalkReport:
    def read(store: FolderStore, name: AssetName) -> Any:
        return store.read(CODECS[name].load, spec.dataset, partition, name)

    shown = _metadata(result)
    return WalkReport(
        dataset=spec.dataset,
        snapshot=partition,
        run_id=result.run_id,
        release=read(home.released, "release"),
        synthetic=home.released.place(spec.dataset, partition, "synthetic_table") / "data.parquet",
        data_docs=home.released.place(spec.dataset, partition, "data_docs") / "index.html",
        scorecard=read(home.private, "tstr_benchmark"),
        scorecard_path=home.private.place(spec.dataset, partition, "tstr_benchmark") / "scorecard.json",
        outcomes=read(home.released, "validation_suite"),
        audit=read(home.released, "privacy_audit"),
        attacks_path=home.private.place(spec.dataset, partition, ATTACKS) / ATTACKS_PAGE,
        epsilon=float(shown["release"]["epsilon"]),
        delta=spec.privacy.delta,
        account=open_ledger(home.ledger).account(spec.dataset),
        mlflow_run=shown["release"].get("mlflow_run"),
        mlflow_model=shown["generator"].get("mlflow_model"),
        home=home,
    )


def _metadata(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """What each asset of a run showed, by asset name."""
    found: dict[str, dict[str, Any]] = {}
    for event in result.all_events:
        if event.is_step_materialization:
            made = event.step_materialization_data.materialization
            found[made.asset_key.path[-1]] = {name: value.value for name, value in made.metadata.items()}
    return found
