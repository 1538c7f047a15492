"""drift_report: a fresh snapshot against the release in force, under DP, and what follows from it.

It is the first stage that reads, and the cheapest: it decides whether the expensive ones are needed. What they will cost is reserved
here, before anything more is read. Every later asset acts on its decision (`Settled`).
"""

from dataclasses import dataclass
from typing import Any

import dagster as dg

from synth_pipeline import reserve
from synth_pipeline.drift.decision import Decision, PriorFacts
from synth_pipeline.drift.report import DriftReport
from synth_pipeline.errors import BudgetRefused, LedgerError
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration import display
from synth_pipeline.orchestration.asset_options import Result, charged_stage, gate, walk_asset
from synth_pipeline.orchestration.drift_display import drift_entries
from synth_pipeline.orchestration.epoch import drift_found, report_under_epoch
from synth_pipeline.orchestration.in_force import in_force, load_prior
from synth_pipeline.orchestration.io_managers import made_loader
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.lineage import column_lineage
from synth_pipeline.orchestration.made import Made, Origin
from synth_pipeline.orchestration.metadata import Entry, event_log
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.orchestration.retries import journals_of
from synth_pipeline.orchestration.tracking import WalkRecord
from synth_pipeline.outcome import DriftOutcome, Prior, Renewal
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.gate import Released
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.settle import is_compared, settle, share_of
from synth_pipeline.snapshot.take import Snapshot
from synth_pipeline.spec import Spec

DECISION_TAG = "synth_pipeline/decision"
AUDITED = (
    "a fit from nothing by the same engine at a refit's budget; not the drift report, nor what a refresh asks otherwise"
)
"""What the audit of a refresh ran."""


@dataclass(frozen=True, eq=False)
class Settled:
    """What a walk does, as decided before its training.

    Attributes:
        decision: what, and why; a refit where drift is not looked for.
        report: the drift report, or None.
        prior: the release in force that the decision builds on, or None.
    """

    decision: Decision
    report: DriftReport | None = None
    prior: PriorFacts | None = None

    @property
    def keeps_generator(self) -> bool:
        """Whether the generator of the release in force stays."""
        return self.decision.kind in ("reuse", "resample")

    @property
    def entries(self) -> dict[str, Entry]:
        """What the assets that act on the decision show of it."""
        if self.prior is None:
            return {}
        return {"decision": Released(self.decision.kind), "builds_on": Released(self.prior.version)}

    @property
    def events(self) -> tuple[Event, ...]:
        """What the drift report asked of the rows; part of the walk's ε."""
        return () if self.report is None else self.report.events

    @property
    def lineage(self) -> dict[str, Any]:
        """What a release says of the one that it builds on; empty where it builds on none."""
        if self.prior is None or self.decision.kind not in ("refresh", "resample"):
            return {}
        words = "the people of its snapshot are protected by its own certificate"
        builds_on = {"release": self.prior.version, "how": self.decision.kind, "note": words}
        return {"buildsOn": builds_on} | ({"audited": AUDITED} if self.decision.kind == "refresh" else {})

    def people(self, model: ReleasedModel) -> float:
        """Noisy number of people (of rows, where each is one) that the table is sized by."""
        return model.profile.rows if self.report is None else float(self.report.rows.values[0])

    def rows_drawn(self, model: ReleasedModel) -> int | None:
        """Rows of the table, where the fresh snapshot's noisy number counts; None: as many as the generator's own profile says."""
        if self.decision.kind != "resample" or self.report is None or model.spec.rows != "match":
            return None
        return max(round(self.people(model) * model.profile.mean_person_rows), 1)

    def kept(self, home: Home, spec: Spec) -> Prior:
        """The release in force, of which profile and generator stay.

        Raises:
            LedgerError: if nothing is kept.
        """
        if not self.keeps_generator or self.prior is None:
            raise LedgerError(f"{spec.dataset}: nothing of an earlier release is kept by {self.decision.kind}")
        return load_prior(home, spec, self.prior)

    def renewal(self, home: Home, spec: Spec) -> Renewal | None:
        """What a refresh starts from; None where nothing is refreshed."""
        if self.decision.kind != "refresh" or self.prior is None:
            return None
        return Renewal(load_prior(home, spec, self.prior), frozenset(self.decision.changed), self.report)

    def require_budget(self) -> None:
        """Stop where training is needed and the budget does not allow it.

        Raises:
            BudgetRefused: with the decision's reason.
        """
        if self.decision.kind == "refuse":
            raise BudgetRefused(self.decision.reason)


def drift_assets(spec: Spec) -> list[dg.AssetsDefinition]:
    """The asset of the drift report, where the specification asks for one."""
    return [] if spec.drift is None else [_drift_report(spec)]


def drift_deps(spec: Spec) -> list[dg.AssetKey]:
    """What the assets that act on the decision wait for."""
    return [] if spec.drift is None else [DatasetKeys(spec.dataset).asset("drift_report")]


def settled(spec: Spec, home: Home, snapshot: str, origin: Origin) -> Settled:
    """What was decided for a walk; a refit where drift is not looked for.

    Raises:
        LedgerError: if what is stored was decided by another walk of the snapshot.
    """
    if spec.drift is None:
        return Settled(Decision("refit", "drift is not looked for"))
    made: Made[DriftOutcome] = home.released.read(made_loader("drift_report"), spec.dataset, snapshot, "drift_report")
    if made.origin != origin:
        raise LedgerError(
            f"{spec.dataset}/drift_report: is of another walk of snapshot {snapshot!r}; run the walk again from real_snapshot"
        )
    return Settled(made.value.decision, made.value.report, made.value.prior)


def _under_epoch(spec: Spec, home: Home, prior: PriorFacts, origin: Origin) -> reserve.Walk:
    """The drift report of a walk that reserved none of its own.

    Raises:
        LedgerError: if no epoch covers it, such as where its reservation was given back, or a release came into force since it began.
    """
    snapshot, walk_id = origin.walk.snapshot, origin.walk.walk_id
    own = open_ledger(home.ledger).find(origin.walk)
    is_whole = own is not None and own.reservation.number == origin.reservation
    walk = None if is_whole else report_under_epoch(spec, home, prior, snapshot=snapshot, walk_id=walk_id)
    if walk is None:
        raise LedgerError(
            f"{spec.dataset}/{snapshot}: no drift report is reserved for this walk, and release {prior.version} is in force; start again "
            f"from {spec.dataset}/real_snapshot, which reserves anew"
        )
    return walk


def _drift_report(spec: Spec) -> dg.AssetsDefinition:
    words = "The fresh snapshot against the release in force, under DP: what moved, whether that is more than chance, and what follows."

    @walk_asset(spec, "drift_report", description=words, kinds={"opendp"}, upstream=["real_snapshot"])
    def drift_report(
        context: dg.AssetExecutionContext,
        real_snapshot: Made[Snapshot],
        home: dg.ResourceParam[Home],
        tracking: dg.ResourceParam[Tracking],
        runtime: dg.ResourceParam[StageRuntime],
    ) -> Result:
        origin, ledger = real_snapshot.origin, open_ledger(home.ledger)
        walk_id, snapshot = origin.walk.walk_id, origin.walk.snapshot
        prior = in_force(home, spec)
        with charged_stage(spec, context, home):
            walk = reserve.resume_drift_report(
                spec, snapshot=snapshot, ledger=ledger, walk_id=walk_id, journals=journals_of(home)
            )
            if walk is None and prior is not None and is_compared(spec, prior, snapshot):
                walk = _under_epoch(spec, home, prior, origin)
            report, seen = None, {}
            if walk is not None and prior is not None:
                tell = runtime.teller("drift_report", event_log(context))
                base = load_prior(home, spec, prior, is_built_on=False)
                report = drift_found(walk, home, real_snapshot.value, base, progress=tell)
                seen = drift_entries(report, base.model.profile, spec)
            decision = settle(spec, snapshot=snapshot, walk_id=walk_id, ledger=ledger, prior=prior, report=report)
            outcome, kind = DriftOutcome(report, decision, prior), decision.kind
            # A walk that was to be compared under an epoch reserved nothing, and its release in force may have been withdrawn since.
            is_bare = prior is not None and prior.ended == "withdrawn" and ledger.find(origin.walk) is None
            if (walk is not None or is_bare) and kind in ("refit", "refresh"):
                share = share_of(spec, kind)
                reserve.open_walk(spec, snapshot=snapshot, ledger=ledger, walk_id=walk_id, share=share)
        context.instance.add_run_tags(context.run.run_id, {DECISION_TAG: kind})
        record = WalkRecord(context, tracking, origin)
        record.decided(decision)
        history = ledger.history(spec.dataset)
        entries: dict[str, Entry] = {
            "decision": Released(kind),
            "reason": Released(decision.reason),
            **({} if report is None else column_lineage(spec, "drift_report")),
            **seen,
            "ledger": Released(display.ledger_table(history, origin.reservation)),
            **record.entries,
        }
        return gate(home, context).materialized(Made(outcome, origin), entries)

    return drift_report
