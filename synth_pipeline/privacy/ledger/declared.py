"""What a specification declares about the ledger: its cap, and the blocks of people that a snapshot touches.

Belongs here: from public words of a spec to the ledger's values. Does not: rules on them (admission).
"""

from synth_pipeline.privacy.ledger.contract import Cap
from synth_pipeline.spec import Spec


def cap_of(spec: Spec) -> Cap:
    """Return the cap that a specification declares."""
    cap = spec.privacy.cap
    return Cap(cap.epsilon, spec.privacy.cap_delta, cap.period, cap.lifetime_epsilon)


def blocks_of(spec: Spec, snapshot: str) -> tuple[str, ...]:
    """Return the blocks of people that a snapshot touches, by what the operator declared; without a word on it: everyone."""
    return spec.privacy.cohorts.touched_by(snapshot)
