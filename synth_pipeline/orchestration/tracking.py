"""What each asset records in MLflow. A tracker that fails costs its record, never the result: that was paid for in budget."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.drift.decision import Decision
from synth_pipeline.integrations import mlflow as tracker
from synth_pipeline.integrations.mlflow import Lineage
from synth_pipeline.integrations.mlflow_place import TrackedRun, Tracking
from synth_pipeline.integrations.mlflow_registry import describe_generator, recorded_walk
from synth_pipeline.orchestration.made import Origin
from synth_pipeline.orchestration.metadata import event_log
from synth_pipeline.privacy.gate import Released
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.release.statement import CERTIFICATE, REPORT
from synth_pipeline.reserve import Walk
from synth_pipeline.spec import Spec

DAGSTER_PAGES_VARIABLE = "SYNTH_PIPELINE_DAGSTER_PAGES"
_GUARANTEE = {"epsilon_composed": "ε", "delta": "δ"}


def run_page(run_id: str) -> str:
    """Dagster's page of a run, at `$SYNTH_PIPELINE_DAGSTER_PAGES`, else at this machine's port 3000."""
    pages = os.environ.get(DAGSTER_PAGES_VARIABLE) or "http://127.0.0.1:3000"
    return f"{pages.rstrip('/')}/runs/{run_id}"


class WalkRecord:
    """The MLflow run of one walk, as seen from one step.

    Attributes:
        entries: what the step may show about the run; filled as things are recorded.
    """

    def __init__(self, context: dg.AssetExecutionContext, tracking: Tracking, origin: Origin) -> None:
        self._context = context
        self._tracking = tracking
        self._origin = origin
        self.entries: dict[str, Released[Any]] = {}

    def opened(self, walk: Walk, fingerprint: str) -> None:
        """Record what the walk was asked for, and the snapshot it reads."""
        with self._unharmed():
            run = self._run()
            tracker.log_facts(self._tracking, run, params=_parameters(walk))
            lineage = Lineage(
                f"{walk.spec.dataset}_{walk.snapshot}", fingerprint, f"private snapshot {walk.snapshot}", "training"
            )
            tracker.log_lineage(self._tracking, run, Released(lineage))

    def decided(self, decision: Decision) -> None:
        """Record what followed from the drift report."""
        with self._unharmed():
            tags = {"decision": Released(decision.kind), "decision.reason": Released(decision.reason)}
            tracker.log_facts(self._tracking, self._run(), tags=tags)

    def trained(self, model: ReleasedModel) -> None:
        """Register the generator."""
        with self._unharmed(), TemporaryDirectory(prefix="generator_") as scratch:
            run = self._run()
            folder = model.save(Path(scratch) / "model")
            generator = tracker.register_generator(self._tracking, run, spec=model.spec, folder=Released(folder))
            tracker.log_facts(self._tracking, run, params={"generator.trained": Released(model.generator.kind)})
            self.entries["mlflow_model"] = Released(f"{generator.uri} (alias {tracker.CANDIDATE})")

    def sampled(self, spec: Spec, digest: str) -> None:
        """Record the synthetic table."""
        with self._unharmed():
            lineage = Lineage(
                f"{spec.dataset}_synthetic", digest, f"synthetic table of {self._context.partition_key}", "synthetic"
            )
            tracker.log_lineage(self._tracking, self._run(), Released(lineage))

    def scored(self) -> None:
        """Record that the table was scored; the scores are computed on real rows and stay in the private store."""
        with self._unharmed():
            tags = {"scores": Released("internal: in the private store of the home")}
            tracker.log_facts(self._tracking, self._run(), tags=tags)

    def audited(self, audit: MechanismAudit) -> None:
        """Record the lower bound on ε that was shown beside the claim."""
        with self._unharmed():
            metrics = {"audit.lower_bound": Released(audit.lower_bound.epsilon)}
            tags = {"audit": Released(audit.summary)}
            tracker.log_facts(self._tracking, self._run(), metrics=metrics, tags=tags)

    def reported(self, files: Mapping[str, bytes]) -> None:
        """Keep the publishable report and the pictures of a release with the run, under `report/`.

        Args:
            files: their contents by file name; released facts and the synthetic table alone are in them.
        """
        with self._unharmed(), TemporaryDirectory(prefix="report_") as scratch:
            for name, content in files.items():
                (Path(scratch) / name).write_bytes(content)
            tracker.log_artifacts(self._tracking, self._run(), Released(Path(scratch)), "report")

    def released(self, facts: Mapping[str, Released[float]], tags: Mapping[str, Released[str]]) -> None:
        """Record the release, and close the run."""
        with self._unharmed():
            run = self._run()
            tracker.log_facts(self._tracking, run, metrics=facts, tags=tags)
            tracker.finish_run(self._tracking, run, has_succeeded=True)
            words = _description(self._origin, self._tracking.link(run), facts, tags)
            describe_generator(
                self._tracking, dataset=self._origin.walk.dataset, walk_id=self._origin.walk.walk_id, words=words
            )

    def links(self) -> dict[str, str]:
        """Ids under which the walk is known, for the release to carry: of Dagster's run, of MLflow's, of the generator's version."""
        walk = self._origin.walk
        found = {"dagsterRun": walk.walk_id}
        with self._unharmed():
            recorded = recorded_walk(self._tracking, dataset=walk.dataset, walk_id=walk.walk_id)
            if recorded is not None:
                found["mlflowRun"] = recorded.run.run_id
                found |= {"mlflowModel": recorded.model} if recorded.model else {}
        return found

    def _run(self) -> TrackedRun:
        walk = self._origin.walk
        tags = {"dagster.run": Released(run_page(walk.walk_id)), "openlineage.parent_run": Released(walk.walk_id)}
        run = tracker.walk_run(
            self._tracking, dataset=walk.dataset, walk_id=walk.walk_id, snapshot=walk.snapshot, tags=tags
        )
        self.entries["mlflow_run"] = Released(dg.MetadataValue.url(self._tracking.link(run)))
        self.entries["mlflow_run_id"] = Released(run.run_id)
        return run

    @contextmanager
    def _unharmed(self) -> Generator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  (whatever MLflow raises)
            kind = type(error).__name__
            event_log(self._context, is_warning=True)(
                Released(f"MLflow: not recorded ({kind}); the result itself is kept")
            )
            self.entries["mlflow_problem"] = Released(f"not recorded: {kind}")


def _description(
    origin: Origin, run: str, facts: Mapping[str, Released[float]], tags: Mapping[str, Released[str]]
) -> Released[str]:
    """What MLflow's page of a registered generator says: which release it is of, and where report and certificate are."""
    walk, told = origin.walk, {name: str(tag.value) for name, tag in tags.items()}
    guarantee = ", ".join(f"{sign} = {facts[name].value:.4g}" for name, sign in _GUARANTEE.items() if name in facts)
    lines = [
        f"`{told['release']}`: generator of this release of `{walk.dataset}`, trained on snapshot `{walk.snapshot}`"
        + (f" ({guarantee})." if guarantee else "."),
        "The alias `candidate` names the newest generator, `approved` that of the release which a second person approved.",
        "",
        f"- report: [beside its run]({run}/artifacts/report/{REPORT})",
        f"- the walk: [in Dagster]({run_page(walk.walk_id)}), [in MLflow]({run})",
    ]
    if folder := told.get("release.folder"):
        lines += [f"- certificate: `{folder}/{CERTIFICATE}`; `synth-pipeline verify {folder}` checks it offline"]
    return Released("\n".join(lines))


def _parameters(walk: Walk) -> dict[str, Released[object]]:
    """Public facts of the specification, and of the plan that was made from it."""
    spec, plan = walk.spec, walk.plan
    facts: dict[str, object] = {
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
        "plan.charges": len(plan.all_lines),
        "ledger.reservation": walk.reservation.number,
    }
    return {name: Released(value) for name, value in facts.items()}
