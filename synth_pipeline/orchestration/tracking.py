"""What each asset records in MLflow. A tracker that fails costs its record, never the result: that was paid for in budget."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from synth_pipeline.benchmark.scorecard import Scorecard
from synth_pipeline.benchmark.summary import flat_metrics
from synth_pipeline.integrations import mlflow as tracker
from synth_pipeline.integrations.mlflow import Lineage, Tracking
from synth_pipeline.orchestration.made import Origin
from synth_pipeline.orchestration.metadata import Released
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.spec import Spec
from synth_pipeline.walk import Walk

Entries = Mapping[str, Released]


class WalkRecord:
    """The MLflow run of one walk, as seen from one step.

    Attributes:
        entries: what the step may show about the run; filled as things are recorded.
    """

    def __init__(self, context: dg.AssetExecutionContext, tracking: Tracking, origin: Origin) -> None:
        self._context = context
        self._tracking = tracking
        self._origin = origin
        self.entries: dict[str, Released] = {}

    def opened(self, walk: Walk, fingerprint: str) -> None:
        """Record what the walk was asked for, and the snapshot it reads."""
        with self._unharmed():
            run = self._run()
            tracker.log_facts(self._tracking, run, params=_parameters(walk))
            lineage = Lineage(
                f"{walk.spec.dataset}_{walk.snapshot}", fingerprint, f"private snapshot {walk.snapshot}", "training"
            )
            tracker.log_lineage(self._tracking, run, lineage)

    def trained(self, model: ReleasedModel) -> None:
        """Register the generator."""
        with self._unharmed(), TemporaryDirectory(prefix="generator_") as scratch:
            run = self._run()
            folder = model.save(Path(scratch) / "model")
            generator = tracker.register_generator(self._tracking, run, spec=model.spec, folder=folder)
            tracker.log_facts(self._tracking, run, params={"generator.trained": model.generator.kind})
            self.entries["mlflow_model"] = Released(f"{generator.uri} (alias {tracker.CANDIDATE})")

    def sampled(self, spec: Spec, digest: str) -> None:
        """Record the synthetic table."""
        with self._unharmed():
            lineage = Lineage(
                f"{spec.dataset}_synthetic", digest, f"synthetic table of {self._context.partition_key}", "synthetic"
            )
            tracker.log_lineage(self._tracking, self._run(), lineage)

    def scored(self, scorecard: Scorecard) -> None:
        """Record the internal scores."""
        with self._unharmed():
            tracker.log_facts(self._tracking, self._run(), metrics=flat_metrics(scorecard))

    def released(self, facts: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Record the release, and close the run."""
        with self._unharmed():
            run = self._run()
            tracker.log_facts(self._tracking, run, metrics=facts, tags=tags)
            tracker.finish_run(self._tracking, run, has_succeeded=True)

    def _run(self) -> tracker.TrackedRun:
        walk = self._origin.walk
        run = tracker.walk_run(self._tracking, dataset=walk.dataset, walk_id=walk.walk_id, snapshot=walk.snapshot)
        self.entries["mlflow_run"] = Released(dg.MetadataValue.url(self._tracking.link(run)))
        self.entries["mlflow_run_id"] = Released(run.run_id)
        return run

    @contextmanager
    def _unharmed(self) -> Generator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  (whatever MLflow raises; its message may hold scores)
            kind = type(error).__name__
            self._context.log.warning("MLflow: not recorded (%s); the result itself is kept", kind)
            self.entries["mlflow_problem"] = Released(f"not recorded: {kind}")


def _parameters(walk: Walk) -> dict[str, object]:
    spec, plan = walk.spec, walk.plan
    return {
        "dataset": spec.dataset,
        "snapshot": walk.snapshot,
        "spec_digest": spec.digest,
        "code_version": walk.key.code_version,
        "epsilon": spec.privacy.epsilon,
        "delta": spec.privacy.delta,
        "unit": spec.privacy.unit.column or "row",
        "unit.max_rows": spec.privacy.unit.max_rows,
        "generator": plan.generator,
        "plan.epsilon": plan.epsilon,
        "plan.charges": len(plan.lines),
        "ledger.reservation": walk.reservation.number,
    }
