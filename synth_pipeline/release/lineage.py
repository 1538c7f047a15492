"""The lineage of a release: from the snapshot's keyed fingerprint to the digest of the rows, with every charge between.

    snapshot HMAC ─► profile ─► mechanism events ─► ledger entries ─► generator version ─► synthetic table digest ─► release

`released_lineage` knows what the release itself knows, so it goes into the bundle. What only the installation knows (do the ledger's
entries, MLflow's version and the stored table still say the same?) is laid over it by `integrations.release_chain`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.release.charge_record import ChargeRecord, charge_records, event_of
from synth_pipeline.release.column_lineage import ColumnLineage, column_lineages
from synth_pipeline.release.facts import NEIGHBOURS, ReleaseFacts

LINEAGE_TYPE = "urn:synth-pipeline:release-lineage:v1"


@dataclass(frozen=True, eq=False)
class ReleaseLineage:
    """What a release says of where it comes from.

    Attributes:
        dataset: name of the dataset.
        version: the release.
        snapshot: name of the snapshot (a partition key, public) and its keyed fingerprint.
        walk: the walk: its key in the ledger, the code, the specification.
        guarantee: ε, δ, unit, neighbours, and what the listed charges compose to.
        generator: kind of generator, and its version in MLflow where it was registered.
        table: rows and digest of the synthetic table.
        ledger: where the charge stands, and the head of the ledger's chain when the release was made.
        charges: every DP event.
        columns: every released column.
        rules: the owner's rules, in SQL.
        builds_on: the release that it builds on, or None.
        links: ids of the runs that made it.

    Privacy:
        Public and released facts only; the snapshot's fingerprint is keyed.
    """

    dataset: str
    version: str
    snapshot: Mapping[str, str]
    walk: Mapping[str, str]
    guarantee: Mapping[str, Any]
    generator: Mapping[str, Any]
    table: Mapping[str, Any]
    ledger: Mapping[str, Any]
    charges: tuple[ChargeRecord, ...]
    columns: tuple[ColumnLineage, ...]
    rules: tuple[str, ...]
    builds_on: Mapping[str, Any] | None = None
    links: Mapping[str, str] = field(default_factory=dict[str, str])

    def column(self, name: str) -> ColumnLineage:
        """The lineage of a column.

        Raises:
            KeyError: if the release has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Plain data: the content of lineage.json."""
        return {
            "lineageType": LINEAGE_TYPE,
            "dataset": self.dataset,
            "version": self.version,
            "snapshot": dict(self.snapshot),
            "walk": dict(self.walk),
            "guarantee": dict(self.guarantee),
            "generator": dict(self.generator),
            "table": dict(self.table),
            "ledger": dict(self.ledger),
            "builds_on": None if self.builds_on is None else dict(self.builds_on),
            "links": dict(self.links),
            "rules": list(self.rules),
            "charges": [charge.to_json() for charge in self.charges],
            "columns": [column.to_json() for column in self.columns],
        }


def released_lineage(facts: ReleaseFacts, table: pd.DataFrame) -> ReleaseLineage:
    """The lineage that a release carries with it.

    Args:
        facts: what the release states.
        table: the synthetic table.
    """
    charges = charge_records(facts.events, tuple(facts.spec.modelled), delta=facts.delta)
    _, snapshot, walk_id = facts.ledger_entry.split("/", 2)
    head = facts.ledger_head
    return ReleaseLineage(
        dataset=facts.dataset,
        version=facts.version,
        snapshot={"name": snapshot, "hmac": facts.snapshot_fingerprint},
        walk={"id": walk_id, "code_version": facts.code_version, "spec_digest": facts.spec.digest},
        guarantee={
            "epsilon": facts.epsilon,
            "delta": facts.delta,
            "composed_epsilon": facts.composed_epsilon,
            "charges_compose_to": _together(facts),
            "unit": facts.unit,
            "neighbours": NEIGHBOURS,
            "accountant": facts.accountant,
        },
        generator={"kind": facts.generator["kind"]},
        table={"rows": len(table), "digest": table_digest(table)},
        ledger={"entry": facts.ledger_entry, "head": None if head is None else dict(head)},
        charges=charges,
        columns=column_lineages(facts, charges),
        rules=facts.spec.rules,
        builds_on=facts.extra.get("buildsOn"),
        links=dict(facts.links),
    )


def table_digest(frame: pd.DataFrame) -> str:
    """SHA-256 of a synthetic table's values, row by row."""
    hashed: pd.Series = pd.util.hash_pandas_object(frame, index=False)  # pyright: ignore[reportAttributeAccessIssue]  pandas names it at run time
    return hashlib.sha256(hashed.to_numpy().tobytes()).hexdigest()


def _together(facts: ReleaseFacts) -> float:
    """What the events that ran compose to. At most what was reserved for them, which is what the certificate claims."""
    return composed_epsilon([event_of(event) for event in facts.events], facts.delta) if facts.events else 0.0
