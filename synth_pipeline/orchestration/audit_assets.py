"""privacy_audit: a measured lower bound on ε beside the claim, and attacks on the table. Neither is charged.

The mechanism is audited on released rows as if they were private, so what comes out is released, and a contradiction stops the release.
The attacks read real rows: what they find is internal, a diagnostic, and stops nothing.
"""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import dagster as dg
from pandas import DataFrame

from synth_pipeline import walk as stages
from synth_pipeline.audit.attack import AttackReport, headline, summary_lines
from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.errors import LedgerError, TableError
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration import display
from synth_pipeline.orchestration.asset_options import Result, gate, walk_asset
from synth_pipeline.orchestration.drift_assets import AUDITED, settled
from synth_pipeline.orchestration.in_force import prior_audit
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.made import Made, one_origin
from synth_pipeline.orchestration.metadata import check_result, event_log
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.orchestration.tracking import WalkRecord
from synth_pipeline.privacy.gate import Internal, Released, private_stage
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.report.attack_page import attack_page
from synth_pipeline.snapshot.take import Snapshot
from synth_pipeline.spec import Spec

ATTACKS, ATTACKS_PAGE, _ATTACKS_DATA = "privacy_audit.attacks", "attacks.html", "attacks.json"
"""Folder in the private store that holds what the attacks found, and its files: a page, and plain data."""

KEEPS_ITS_CLAIM = "mechanism_keeps_its_claim"
_EXPECTED = "No question of the walk is moved further by one unit than it is charged for, and the measured lower bound stays under ε."


def audit_assets(spec: Spec) -> list[dg.AssetsDefinition]:
    """The asset of the audit."""
    words = "A lower bound on ε, measured on the walk's own mechanism, beside the claim; attacks on the table, which are internal."

    @walk_asset(
        spec,
        "privacy_audit",
        description=words,
        kinds={"python"},
        upstream=["real_snapshot", "generator", "synthetic_table"],
        check_specs=[_declared(spec)],
    )
    def privacy_audit(  # noqa: PLR0913, PLR0917  (each input and resource is an argument)
        context: dg.AssetExecutionContext,
        real_snapshot: Made[Snapshot],
        generator: Made[ReleasedModel],
        synthetic_table: Made[DataFrame],
        home: dg.ResourceParam[Home],
        tracking: dg.ResourceParam[Tracking],
        runtime: dg.ResourceParam[StageRuntime],
    ) -> Result:
        origin = one_origin([real_snapshot, generator, synthetic_table], where=f"{spec.dataset}/privacy_audit")
        tell, frame = runtime.teller("privacy_audit", event_log(context)), synthetic_table.value
        found = settled(spec, home, context.partition_key, origin)
        with private_stage("privacy_audit", home.private, log=event_log(context)):
            if found.keeps_generator and found.prior is not None:
                attacks = _standing(found.prior.version)
                audited = prior_audit(home, spec, found.prior)
            else:
                attacks = _attacks(real_snapshot.value, frame, spec, lambda message: tell(message, 0.0))
                # Of released rows, so nothing here is private; but its replays warn, like any walk over few rows, and nobody asks.
                audited = stages.audit(generator.value.spec, frame, runs=runtime.audit_runs, progress=tell)
        page = home.private.write(attacks.save, spec.dataset, context.partition_key, ATTACKS)
        record = WalkRecord(context, tracking, origin)
        record.audited(audited)
        entries = {
            **found.entries,
            **({"audited": Released(AUDITED)} if found.decision.kind == "refresh" else {}),
            "lower_bound": Released(audited.lower_bound.epsilon),
            "confidence": Released(audited.lower_bound.confidence),
            "claimed_epsilon": Released(audited.claimed_epsilon),
            "verdict": Released(audited.summary),
            "findings": Released(display.finding_table(audited.findings)),
            "attack_page": Released(dg.MetadataValue.path(str(page / ATTACKS_PAGE))),
            "attacks": Internal(attacks.found),
            **record.entries,
        }
        return gate(home, context).materialized(Made(audited, origin), entries, checks=[_result(audited)])

    return [privacy_audit]


@dataclass(frozen=True, repr=False)
class _Attacks:
    """What the attacks found, as plain data and as a page; internal."""

    found: dict[str, Any]
    page: str

    def save(self, folder: Path) -> None:
        """Write both files."""
        (folder / ATTACKS_PAGE).write_text(self.page, encoding="utf-8")
        (folder / _ATTACKS_DATA).write_text(json.dumps(self.found), encoding="utf-8")


def read_attacks(home: Home, dataset: str, partition: str) -> AttackReport | str:
    """What the attacks of a snapshot's walk found, or why nothing was attacked; internal.

    Args:
        home: whose private store holds it.
        dataset: which dataset.
        partition: which snapshot.

    Raises:
        TableError: if no attacks were kept.
    """
    found = home.private.read(_attacks_in, dataset, partition, ATTACKS)
    return AttackReport.from_dict(found["report"]) if "report" in found else str(found["headline"])


def _attacks_in(folder: Path) -> dict[str, Any]:
    data = folder / _ATTACKS_DATA
    if not data.exists():
        return {"headline": "not kept as data by the version that made this walk"}
    return json.loads(data.read_text(encoding="utf-8"))


def _attacks(snapshot: Snapshot, frame: DataFrame, spec: Spec, tell: Callable[[str], None]) -> _Attacks:
    """Attacks are no gate: where they cannot be made, as with too few people, that is what is kept, and the walk goes on."""
    try:
        attacked = stages.attack(snapshot, frame, spec, progress=tell)
    except (TableError, LedgerError) as refusal:
        return _unattacked(f"not attacked: {refusal}")
    found = {"headline": headline(attacked), "lines": summary_lines(attacked), "report": attacked.to_dict()}
    return _Attacks(found, attack_page(attacked))


def _standing(version: str) -> _Attacks:
    """A generator that stays has seen none of the fresh rows, so there is nobody to be found among them."""
    return _unattacked(f"not attacked: the generator of {version} stays, and has not seen these rows")


def _unattacked(words: str) -> _Attacks:
    return _Attacks({"headline": words}, f"<!doctype html><meta charset='utf-8'><p>{escape(words)}</p>\n")


def _declared(spec: Spec) -> dg.AssetCheckSpec:
    keys = DatasetKeys(spec.dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # as in `checks`
        return dg.AssetCheckSpec(
            KEEPS_ITS_CLAIM,
            asset=keys.asset("privacy_audit"),
            description=_EXPECTED,
            blocking=True,
            partitions_def=keys.partitions,
        )


def _result(audited: MechanismAudit) -> dg.AssetCheckResult:
    return check_result(
        KEEPS_ITS_CLAIM,
        passed=not audited.is_contradiction,
        is_blocking=True,
        description=_EXPECTED,
        observed={
            "lower_bound": Released(audited.lower_bound.epsilon),
            "claimed_epsilon": Released(audited.claimed_epsilon),
            "findings": Released(float(len(audited.findings))),
        },
    )
