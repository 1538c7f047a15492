"""Where each column of a release comes from and what its questions cost, and how to find out who approved the release: for its report.

Privacy: it reads the released facts of a release, and nothing else.
"""

from dataclasses import dataclass

from synth_pipeline.release.charge_record import charge_records
from synth_pipeline.release.column_lineage import ColumnLineage, column_lineages
from synth_pipeline.release.facts import ReleaseFacts

_MOST_NAMED = 6
_RIGHTS = {
    "declared": "declared by the owner",
    "discovered": "discovered under differential privacy",
    "invented": "invented, from nothing",
}


@dataclass(frozen=True)
class ColumnOrigin:
    """Where one released column comes from, in words.

    Attributes:
        name: the column.
        source: the snapshot's column; None where it is invented.
        values: by what right its possible values are known.
        alone: noisy questions about it alone.
        together: noisy questions about it with others.
        epsilon: ε of all of these, as if nothing else had been asked; at the walk's δ.
        others: the columns that it was asked about with, as one text; empty where there are none.
    """

    name: str
    source: str | None
    values: str
    alone: int
    together: int
    epsilon: float
    others: str


def column_origins(facts: ReleaseFacts) -> list[ColumnOrigin]:
    """Every column of a release, in its order, with where it comes from; the same as its lineage.json says.

    Args:
        facts: what the release states.
    """
    charges = charge_records(facts.events, tuple(facts.spec.modelled), delta=facts.delta)
    return [_origin(column) for column in column_lineages(facts, charges)]


def verify_command(facts: ReleaseFacts) -> str:
    """The command by which whoever holds the bundle and both public keys checks all of it."""
    return f"synth-pipeline verify {facts.version} --key requester.key.pub --approver approver.key.pub"


def page_command(facts: ReleaseFacts) -> str:
    """The command by which its owner writes one page of everything, approval included, for people without a terminal."""
    return f"synth-pipeline lineage {facts.dataset}/{facts.version} --html lineage.html"


def _origin(column: ColumnLineage) -> ColumnOrigin:
    named = column.measured_with
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return ColumnOrigin(
        name=column.name,
        source=column.source,
        values=_RIGHTS[column.right],
        alone=len(column.own_charges),
        together=len(column.joint_charges),
        epsilon=column.epsilon,
        others=", ".join(named[:_MOST_NAMED]) + more,
    )
