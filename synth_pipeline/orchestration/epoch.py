"""Epochs of the above-threshold mode, as walks through Dagster use them: where they are kept, and what is asked under them.

An epoch is secret: it lies in the private store, and is stored with an answer before the answer is shown. Its charge was committed when it
began, so a snapshot under it has nothing to reserve and nothing to give back.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from synth_pipeline import reserve
from synth_pipeline import walk as stages
from synth_pipeline.drift.decision import PriorFacts, needs_columns
from synth_pipeline.drift.epoch_turn import epoch_turn
from synth_pipeline.drift.report import DriftReport
from synth_pipeline.drift.sparse_vector import SparseVectorState
from synth_pipeline.errors import BudgetRefused
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.in_force import load_prior
from synth_pipeline.orchestration.retries import journals_of
from synth_pipeline.outcome import Prior
from synth_pipeline.privacy.ledger import WalkKey, open_ledger
from synth_pipeline.snapshot.take import Snapshot
from synth_pipeline.spec import Spec

_EPOCH, _FILE = "drift.epoch", "epoch.json"


@dataclass(frozen=True, repr=False)
class Epoch:
    """An epoch and the ledger key of its charge. Private.

    Attributes:
        state: threshold and answers.
        charged: the reservation under which it was charged.
    """

    zone: ClassVar[str] = "private"
    state: SparseVectorState
    charged: WalkKey

    def __repr__(self) -> str:
        return f"Epoch({self.state!r})"


def report_under_epoch(
    spec: Spec, home: Home, prior: PriorFacts, *, snapshot: str, walk_id: str
) -> reserve.Walk | None:
    """The drift report of a walk where an epoch that is paid for covers it; None where it has to be reserved."""
    epoch = _stored(home, spec)
    if spec.drift is None or spec.drift.mode != "sparse_vector" or epoch is None:
        return None
    baseline, today = load_prior(home, spec, prior, is_built_on=False).baseline, datetime.now(UTC).date()
    if not epoch.state.covers(baseline, spec.drift, snapshot=snapshot, today=today):
        return None
    return reserve.under_epoch(
        spec,
        snapshot=snapshot,
        ledger=open_ledger(home.ledger),
        walk_id=walk_id,
        epoch=epoch.charged,
        journals=journals_of(home),
    )


def drift_found(
    walk: reserve.Walk, home: Home, snapshot: Snapshot, prior: Prior, *, progress: Callable[[str, float], None]
) -> DriftReport:
    """The drift report of a walk, by the mode that its specification asks for.

    After an alarm a refresh has to know which columns drifted: they are measured, charged anew, where the cap has room for it.
    """
    spec = walk.spec
    if spec.drift is None or spec.drift.mode != "sparse_vector":
        return stages.compare(walk, snapshot, prior, progress=progress)

    def keep(after: SparseVectorState) -> None:
        _store(home, spec, Epoch(after, walk.reservation.key))

    with epoch_turn(walk.journals, spec.dataset):
        epoch = _stored(home, spec)
        is_going_on = epoch is not None and epoch.charged == walk.reservation.key
        state = epoch.state if epoch is not None and is_going_on else None
        report = stages.watch(walk, snapshot, prior, state, keep=keep)
    if not needs_columns(spec, prior=prior.facts, report=report):
        return report
    try:
        second = _second_report(walk)
    except BudgetRefused:
        return report  # the decision then knows of the alarm alone
    found = stages.compare(second, snapshot, prior, progress=progress)
    return replace(found, events=(*report.events, *found.events))


def _second_report(walk: reserve.Walk) -> reserve.Walk:
    """The reservation of a walk's second report, found again where an earlier run of the stage made it."""
    facts: dict[str, Any] = {"snapshot": walk.snapshot, "ledger": walk.ledger, "walk_id": walk.key.walk_id}
    facts |= {"is_second": True, "journals": walk.journals}
    return reserve.resume_drift_report(walk.spec, **facts) or reserve.open_drift_report(walk.spec, **facts)


def _stored(home: Home, spec: Spec) -> Epoch | None:
    place = (spec.dataset, _EPOCH)
    return home.private.read(_load, *place) if home.private.has(*place) else None


def _store(home: Home, spec: Spec, epoch: Epoch) -> None:
    text = json.dumps({"state": epoch.state.to_json(), "charged": asdict(epoch.charged)})
    home.private.write(lambda folder: (folder / _FILE).write_text(text, encoding="utf-8"), spec.dataset, _EPOCH)


def _load(folder: Path) -> Epoch:
    content = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    return Epoch(SparseVectorState.from_json(content["state"]), WalkKey(**content["charged"]))
