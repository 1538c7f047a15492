"""Accounts: what is spent, reserved and left of a dataset's cap, as values.

Belongs here: the answer of `Ledger.account` and its JSON form. Does not: how it is computed (admission).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth_pipeline.privacy.ledger.contract import Cap, Entry, WalkRecord


@dataclass(frozen=True, slots=True)
class BlockAccount:
    """The budget of one block of privacy units, at the cap's δ; of the current period where the cap has one.

    Attributes:
        cohort: the block's name.
        spent_epsilon: composed ε of walks that have read rows.
        reserved_epsilon: what walks that are admitted but have not read yet add to it.
        left_epsilon: the largest ε, at the cap's δ, of one more walk of Gaussian noise that would be admitted.
        lifetime_epsilon: composed ε of every walk there ever was, reserved ones included.
    """

    cohort: str
    spent_epsilon: float
    reserved_epsilon: float
    left_epsilon: float
    lifetime_epsilon: float


@dataclass(frozen=True, slots=True)
class Account:
    """A dataset's budget: its most loaded block, all blocks, walks and entries.

    The cap is what is guaranteed. What is spent is the running value of the filter that keeps it (see `admission`): for one
    walk its proven ε, for several an upper bound on what they would cost had they been planned together.

    With cohorts, a block that has not been touched yet has the whole cap.

    Attributes:
        dataset: which dataset.
        cap: the cap of each block.
        spent_epsilon: of the most loaded block; see `BlockAccount`. So are the next two.
        reserved_epsilon: see `BlockAccount`.
        left_epsilon: see `BlockAccount`; a walk with DP-SGD may be refused slightly earlier, since its cover is not exact.
        entries: the dataset's entries, oldest first.
        blocks: every block.
        walks: every walk, oldest first.
        since: start of the current period, ISO 8601 in UTC; None where the cap never renews.
        until: when the cap renews; None where it never does.
    """

    dataset: str
    cap: "Cap"
    spent_epsilon: float
    reserved_epsilon: float
    left_epsilon: float
    entries: tuple["Entry", ...]
    blocks: tuple[BlockAccount, ...] = field(default=())
    walks: tuple["WalkRecord", ...] = field(default=())
    since: str | None = None
    until: str | None = None

    @property
    def lifetime_epsilon(self) -> float:
        """Composed ε of every walk there ever was in the block where that is most, reserved ones included."""
        return max((block.lifetime_epsilon for block in self.blocks), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form that `ledger show --json` prints; an ε without bound becomes null."""
        return {
            "dataset": self.dataset,
            "cap": asdict(self.cap),
            "spent_epsilon": _finite(self.spent_epsilon),
            "reserved_epsilon": _finite(self.reserved_epsilon),
            "left_epsilon": _finite(self.left_epsilon),
            "lifetime_epsilon": _finite(self.lifetime_epsilon),
            "period": None if self.until is None else {"since": self.since, "until": self.until},
            "blocks": [
                {name: _finite(value) if isinstance(value, float) else value for name, value in asdict(block).items()}
                for block in self.blocks
            ],
            "walks": [_walk(record) for record in self.walks],
            "entries": [entry.to_dict() for entry in self.entries],
        }


def _walk(record: "WalkRecord") -> Mapping[str, Any]:
    """Return by whom, on what, for what, how much and until when, in one record for machines."""
    reservation = record.reservation
    return {
        "reservation": reservation.number,
        "walk_id": reservation.key.walk_id,
        "snapshot": reservation.key.snapshot,
        "blocks": list(reservation.blocks),
        "by": reservation.by,
        "stages": list(dict.fromkeys(line.stage for line in reservation.charge.lines)),
        "epsilon": _finite(record.epsilon),
        "delta": reservation.charge.delta,
        "status": record.status,
        "since": record.since,
        "closed": record.closed,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
