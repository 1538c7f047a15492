"""One whole walk through Dagster, in this process: what the command line and the demo run.

The run is recorded in the home's Dagster instance, so the web page shows it like any other. Steps run in this process one after another,
which spares the start of seven processes; runs that Dagster starts itself use the executor of the code location.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.benchmark.scorecard import Scorecard
from synth_pipeline.errors import SpecError, TableError
from synth_pipeline.integrations.run_workers import held_lock
from synth_pipeline.integrations.sources import source_of
from synth_pipeline.integrations.stores import Home, Place, Store
from synth_pipeline.orchestration.abandoned import give_back_abandoned
from synth_pipeline.orchestration.arrivals import newest_partition, register
from synth_pipeline.orchestration.audit_assets import ATTACKS, ATTACKS_PAGE
from synth_pipeline.orchestration.code_location import build_defs, load_specs
from synth_pipeline.orchestration.codecs import CODECS, REPORT_PAGE, Outcomes
from synth_pipeline.orchestration.failures import failure_of, was_interrupted
from synth_pipeline.orchestration.keys import AssetName, DatasetKeys
from synth_pipeline.orchestration.resources import Progress, StageRuntime
from synth_pipeline.orchestration.turn import walk_turn
from synth_pipeline.orchestration.unfinished import Shown, unfinished_walk
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
        approval: what the release waits for; where it was to be approved without a person, whether it was, and why not.
        synthetic: the synthetic table as Parquet.
        data_docs: start page of the Data Docs.
        scorecard: scores on real rows; internal.
        scorecard_path: where it lies, in the private store.
        outcomes: outcome of every expectation.
        audit: the measured lower bound on ε.
        attacks_path: page of the attacks, in the private store.
        internal_report_path: the internal report, in the private store; None where it could not be stored.
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
    release: Place
    approval: str
    synthetic: Place
    data_docs: Place
    scorecard: Scorecard
    scorecard_path: Place
    outcomes: Outcomes
    audit: MechanismAudit
    attacks_path: Place
    internal_report_path: Place | None
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
    """Run one whole walk through Dagster, or what is left of one that was cut off.

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
    partition = register(spec, place, snapshot) if snapshot else _newest(spec, place)
    definitions = build_defs(home=place.folder, own=own, resources={"runtime": StageRuntime(progress=progress)})
    with open_instance(place) as instance:
        instance.add_dynamic_partitions(keys.partitions_name, [partition])
        job = definitions.resolve_job_def(keys.job)
        with walk_turn(instance, place, dataset, tell=_line_teller(progress)) as run_id:
            rest = unfinished_walk(spec, place, instance, partition)
            if rest is not None and progress is not None:
                progress(f"{dataset}: goes on with the walk of run {rest.last_run[:8]}, which was cut off", 0.0)
            result = job.execute_in_process(
                run_config=_QUIET,
                instance=instance,
                partition_key=partition,
                raise_on_error=False,
                run_id=run_id,
                asset_selection=None if rest is None else list(rest.assets),
                tags=None if rest is None else rest.tags,
            )
        failure = failure_of(result)
        if failure is not None:
            give_back_abandoned(open_ledger(place.ledger), instance, dataset=dataset)
            if was_interrupted(result):
                raise KeyboardInterrupt
            raise failure
        earlier = {} if rest is None else rest.shown
        return _report(spec, place, partition, result, earlier=earlier)


def _line_teller(progress: Progress | None) -> Callable[[str], None] | None:
    return None if progress is None else lambda line: progress(line, 0.0)


def open_instance(home: Home) -> dg.DagsterInstance:
    """The Dagster instance of a home, with our settings where there are none yet; a context manager."""
    home.dagster.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = home.dagster / "dagster.yaml"
    if not settings.exists():
        shutil.copyfile(_SETTINGS, settings)
    with held_lock(home.dagster / ".opening"):  # two processes that open a fresh home would both create its tables
        return dg.DagsterInstance.from_config(str(home.dagster))


def _spec_of(dataset: str, own: str | Path | None) -> Spec:
    specs = load_specs(own)
    if dataset not in specs:
        raise SpecError(
            f"dataset {dataset!r}: unknown; there are {', '.join(sorted(specs))} (your own: set $SYNTH_PIPELINE_DEFS)"
        )
    return specs[dataset]


def _newest(spec: Spec, home: Home) -> str:
    partition = newest_partition(spec, home)
    if partition is None:
        place = source_of(spec, home).place
        raise TableError(f"{spec.dataset}: no snapshot in {place}; put a file there, or name one with --snapshot")
    return partition


def _report(spec: Spec, home: Home, partition: str, result: dg.ExecuteInProcessResult, *, earlier: Shown) -> WalkReport:
    def read(store: Store, name: AssetName) -> Any:
        return store.read(CODECS[name].load, spec.dataset, partition, name)

    shown = {**earlier, **_metadata(result)}
    return WalkReport(
        dataset=spec.dataset,
        snapshot=partition,
        run_id=result.run_id,
        release=read(home.released, "release"),
        approval=str(shown["release"].get("approval", "as it was: the release in force stands")),
        synthetic=home.released.found(spec.dataset, partition, "synthetic_table") / "data.parquet",
        data_docs=home.released.found(spec.dataset, partition, "data_docs") / "index.html",
        scorecard=read(home.private, "tstr_benchmark"),
        scorecard_path=home.private.found(spec.dataset, partition, "tstr_benchmark") / "scorecard.json",
        outcomes=read(home.released, "validation_suite"),
        audit=read(home.released, "privacy_audit"),
        attacks_path=home.private.found(spec.dataset, partition, ATTACKS) / ATTACKS_PAGE,
        internal_report_path=_internal_report(spec, home, partition),
        epsilon=float(shown["release"]["epsilon"]),
        delta=spec.privacy.delta,
        account=open_ledger(home.ledger).account(spec.dataset),
        mlflow_run=shown["release"].get("mlflow_run"),
        mlflow_model=shown["generator"].get("mlflow_model"),
        home=home,
    )


def _internal_report(spec: Spec, home: Home, partition: str) -> Place | None:
    place = (spec.dataset, partition, "internal_report")
    return home.private.found(*place) / REPORT_PAGE if home.private.has(*place) else None


def _metadata(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """What each asset of a run showed, by asset name."""
    found: dict[str, dict[str, Any]] = {}
    for event in result.all_events:
        if event.is_step_materialization:
            made = event.step_materialization_data.materialization
            found[made.asset_key.path[-1]] = {name: value.value for name, value in made.metadata.items()}
    return found
