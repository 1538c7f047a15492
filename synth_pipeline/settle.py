"""What a walk does: whether its snapshot is compared, what follows from what was found, and which share of ε that takes.

Belongs here: decisions from released facts and the ledger. Does not: measuring (walk), or the rules of a decision (drift).
"""

from synth_pipeline.drift.decision import Decision, Kind, PriorFacts, decide
from synth_pipeline.drift.report import DriftReport
from synth_pipeline.errors import BudgetRefused
from synth_pipeline.generate.plan import make_plan
from synth_pipeline.privacy.ledger.contract import Ledger
from synth_pipeline.privacy.ledger.declared import blocks_of, cap_of, charge_of
from synth_pipeline.reserve import has_reserved
from synth_pipeline.spec import Spec


def is_compared(spec: Spec, prior: PriorFacts | None, snapshot: str) -> bool:
    """Whether a walk begins with a drift report: drift is tested, and another snapshot's release is in force to be compared with.

    A snapshot whose own release is in force is walked anew because somebody asked for it, and one after a release that was withdrawn
    because nothing is built on that.
    """
    if spec.drift is None or spec.drift.mode == "schedule" or prior is None or prior.snapshot == snapshot:
        return False
    if prior.ended == "withdrawn":
        return False
    return prior.spec_digest == spec.learnt_digest


def settle(
    spec: Spec, *, snapshot: str, walk_id: str, ledger: Ledger, prior: PriorFacts | None, report: DriftReport | None
) -> Decision:
    """What follows from a drift report, or from its absence, and from the budget that is left; released facts alone.

    What the walk itself has reserved already counts as room.
    """

    def room(kind: Kind) -> str | None:
        if kind not in ("refit", "refresh"):
            return None
        charge = charge_of(spec, make_plan(spec, share=share_of(spec, kind)).charge())
        if has_reserved(spec, charge, snapshot=snapshot, ledger=ledger, walk_id=walk_id):
            return None
        try:
            ledger.require_room(spec.dataset, charge, cap=cap_of(spec), cohort=blocks_of(spec, snapshot))
        except BudgetRefused as refusal:
            return str(refusal)
        return None

    if prior is not None and prior.snapshot == snapshot:
        return Decision(
            "refit", "the release in force is of this very snapshot, which is walked again because it was asked for"
        )
    return decide(spec, prior=prior, report=report, room=room)


def share_of(spec: Spec, kind: Kind) -> float:
    """Share of the walk's ε that a decision spends on profile and generator."""
    return spec.drift.refresh_share if kind == "refresh" and spec.drift is not None else 1.0
