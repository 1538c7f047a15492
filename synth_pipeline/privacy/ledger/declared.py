"""What a specification declares about the ledger: its cap, and the blocks of people that a snapshot touches.

Belongs here: from public words of a spec to the ledger's values. Does not: rules on them (admission).
"""

from dataclasses import replace

from synth_pipeline.privacy.ledger.contract import Cap, Charge
from synth_pipeline.spec import Spec


def cap_of(spec: Spec) -> Cap:
    """Return the cap that a specification declares."""
    cap = spec.privacy.cap
    return Cap(cap.epsilon, spec.privacy.cap_delta, cap.period, cap.lifetime_epsilon)


def blocks_of(spec: Spec, snapshot: str) -> tuple[str, ...]:
    """Return the blocks of people that a snapshot touches, by what the operator declared; without a word on it: everyone."""
    return spec.privacy.cohorts.touched_by(snapshot)


def charge_of(spec: Spec, charge: Charge) -> Charge:
    """Return a plan's charge with the unit that a specification protects: each row, or the person whom a column names.

    How many rows a person may have does not make another unit: all of a person's rows are protected together, whatever their number.
    """
    column = spec.privacy.unit.column
    return replace(charge, unit="each row" if column is None else f"all rows of one {column}")
