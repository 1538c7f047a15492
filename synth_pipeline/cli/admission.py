"""Whether the ledger would admit a walk, asked without writing anything."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synth_pipeline.privacy.ledger import Ledger
    from synth_pipeline.spec import Spec


def require_admissible(spec: "Spec", ledger: "Ledger", *, cohort: str) -> None:
    """Refuse a walk that would pass the cap, before a file is opened; the ledger is only read.

    This comes before `reserve`, which decides again under the ledger's lock, and is no replacement for it.

    Raises:
        BudgetRefused: if a block that the walk touches would pass the cap.
        PrivacyError: if the plan's events cost more than the ε it states.
    """
    from synth_pipeline.generate.plan import make_plan
    from synth_pipeline.privacy.ledger import cap_of, charge_of

    charge = charge_of(spec, make_plan(spec).charge())
    ledger.require_room(spec.dataset, charge, cap=cap_of(spec), cohort=cohort)
