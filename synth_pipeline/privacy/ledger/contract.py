"""The ledger's contract: its values, and the operations every store offers.

Belongs here: frozen values and the `Ledger` protocol. Does not: storage (sqlite), or the rules (book, admission).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import check_epsilon_delta
from synth_pipeline.privacy.events import Event, event_from_dict
from synth_pipeline.privacy.ledger.chain import ChainReport, Head

ALL_COHORTS = "all"
"""The block of a dataset without disjoint cohorts; it overlaps every other block."""

EPSILON_TOLERANCE = 1e-6
"""Relative rounding that is forgiven when an ε is compared with the ε that its events cost."""

Status = Literal["reserved", "read", "committed", "released"]
Kind = Literal["reserve", "read", "commit", "release"]


@dataclass(frozen=True, slots=True)
class WalkKey:
    """What makes a walk the same walk; a repeat of one that read rows needs a new `walk_id`."""

    dataset: str
    snapshot: str
    spec_digest: str
    code_version: str
    walk_id: str


@dataclass(frozen=True, slots=True)
class Cap:
    """The most a dataset's units may ever lose: composed `epsilon` at `delta`.

    Raises:
        PrivacyError: for an epsilon or delta out of range.
    """

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        check_epsilon_delta(self.epsilon, self.delta)


@dataclass(frozen=True, slots=True)
class ChargeLine:
    """One line of a plan, for people to read; it does not enter the composition."""

    stage: str
    purpose: str
    mechanism: str
    epsilon: float


@dataclass(frozen=True, slots=True)
class Charge:
    """What a walk asks for.

    Attributes:
        events: the planned events; what is composed with other walks.
        epsilon: the walk's own ε at its own `delta`.
        delta: the walk's own δ.
        lines: the plan line by line.

    Raises:
        PrivacyError: when there is no event, or epsilon or delta is out of range. Whether the events stay within them is
            checked when the charge is reserved.
    """

    events: tuple[Event, ...]
    epsilon: float
    delta: float
    lines: tuple[ChargeLine, ...] = ()

    def __post_init__(self) -> None:
        check_epsilon_delta(self.epsilon, self.delta)
        if not self.events:
            raise PrivacyError("charge: it lists no event; a walk that reads rows has at least one")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "events": [event.to_dict() for event in self.events],
            "epsilon": self.epsilon,
            "delta": self.delta,
            "lines": [asdict(line) for line in self.lines],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Charge":
        """Read a charge back."""
        return cls(
            events=tuple(event_from_dict(event) for event in values["events"]),
            epsilon=values["epsilon"],
            delta=values["delta"],
            lines=tuple(ChargeLine(**line) for line in values["lines"]),
        )


@dataclass(frozen=True, slots=True)
class Reservation:
    """A walk's admitted charge.

    Attributes:
        number: the sequence number of its entry; unique in a ledger.
        key: whose walk it is.
        charge: what was admitted.
        cap: the cap it was admitted under.
        cohort: the block of privacy units it is charged to.
    """

    number: int
    key: WalkKey
    charge: Charge
    cap: Cap
    cohort: str


@dataclass(frozen=True, slots=True)
class WalkRecord:
    """What the entries say about one reservation.

    Attributes:
        reservation: the reservation.
        status: reserved, read (charged for good), committed, or released (never read, free again).
        stages_read: stages whose first private answer was announced.
        events: what is composed: the planned events, or after the commit those that ran.
        epsilon: the walk's ε at its own δ, planned or realised.
    """

    reservation: Reservation
    status: Status
    stages_read: frozenset[str]
    events: tuple[Event, ...]
    epsilon: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One link of the ledger's chain; entries are only ever added.

    Attributes:
        sequence: 1, 2, 3 …
        at: when, ISO 8601 in UTC.
        kind: reserve, read, commit or release.
        dataset: which dataset.
        cohort: which block.
        reservation: the number of the reservation it belongs to.
        body: what the kind carries (key, cap and charge; stage; realised events; reason).
        previous: digest of the entry before.
        digest: SHA-256 of all of the above.
    """

    sequence: int
    at: str
    kind: Kind
    dataset: str
    cohort: str
    reservation: int
    body: Mapping[str, Any]
    previous: str
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BlockAccount:
    """The budget of one block of privacy units, at the cap's δ.

    Attributes:
        cohort: the block's name.
        spent_epsilon: composed ε of walks that have read rows.
        reserved_epsilon: what walks that are admitted but have not read yet add to it.
        left_epsilon: the largest ε, at the cap's δ, of one more walk of Gaussian noise that would be admitted.
    """

    cohort: str
    spent_epsilon: float
    reserved_epsilon: float
    left_epsilon: float


@dataclass(frozen=True, slots=True)
class Account:
    """A dataset's budget: its most loaded block, all blocks, and the entries.

    With disjoint cohorts a block that has not been touched yet has the whole cap.

    Attributes:
        dataset: which dataset.
        cap: the cap of each block.
        spent_epsilon: of the most loaded block; see `BlockAccount`. So are the next two.
        reserved_epsilon: see `BlockAccount`.
        left_epsilon: see `BlockAccount`; a walk with DP-SGD may be refused slightly earlier, since its cover is not exact.
        entries: the dataset's entries, oldest first.
        blocks: every block.
    """

    dataset: str
    cap: Cap
    spent_epsilon: float
    reserved_epsilon: float
    left_epsilon: float
    entries: tuple[Entry, ...]
    blocks: tuple[BlockAccount, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form that `ledger show --json` prints; an ε without bound becomes null."""
        return {
            "dataset": self.dataset,
            "cap": asdict(self.cap),
            "spent_epsilon": _finite(self.spent_epsilon),
            "reserved_epsilon": _finite(self.reserved_epsilon),
            "left_epsilon": _finite(self.left_epsilon),
            "entries": [entry.to_dict() for entry in self.entries],
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


class Ledger(Protocol):
    """The operations of every store: reserve → mark_read → commit, or release before anything is read."""

    @staticmethod
    def open(path: Path | str | None = None) -> "Ledger":
        """Return the ledger in a file, by default the one in the home folder; see `sqlite.open_ledger`."""
        from synth_pipeline.privacy.ledger.sqlite import open_ledger

        return open_ledger(path)

    def reserve(self, key: WalkKey, charge: Charge, *, cap: Cap, cohort: str = ALL_COHORTS) -> Reservation:
        """Admit a charge, or refuse it before anything is written.

        A reservation under the same key that has not been read is returned again.

        Raises:
            BudgetRefused: when a block it touches would pass the cap.
            PrivacyError: when the charge's events cost more than the ε it states.
            LedgerError: when the key was read before, or is reserved for another charge.
        """
        ...

    def mark_read(self, reservation: Reservation, *, stage: str = "walk") -> None:
        """Announce a stage's first private answer: from here a crash stays charged.

        Raises:
            LedgerError: when the stage was announced before, or the reservation is committed or released.
        """
        ...

    def commit(self, reservation: Reservation, realised_events: Sequence[Event], realised_epsilon: float) -> None:
        """Record what a walk did; from here that is composed instead of what was planned.

        Raises:
            LedgerError: when the reservation has not been read, or is closed.
            PrivacyError: when more was spent than reserved; it is recorded in full before this is raised.
        """
        ...

    def release(self, reservation: Reservation, reason: str) -> None:
        """Give a charge back that has not been read.

        Raises:
            LedgerError: when it was read, or is closed.
        """
        ...

    def find(self, key: WalkKey) -> WalkRecord | None:
        """Return the latest record under a key, released ones aside."""
        ...

    def account(self, dataset: str, cap: Cap | None = None) -> Account:
        """Return what is spent, reserved and left; without a cap, under the one last used.

        Raises:
            LedgerError: when no cap is given and the dataset was never charged.
        """
        ...

    def history(self, dataset: str | None = None) -> tuple[Entry, ...]:
        """Return the entries, oldest first."""
        ...

    def head(self) -> Head:
        """Return how many entries there are and the last one's digest; keep it elsewhere to notice a rewritten chain."""
        ...

    def verify(self, anchors: Sequence[Head] = ()) -> ChainReport:
        """Check the chain, and that it still holds each anchor kept elsewhere."""
        ...
