"""The ledger's contract: its values, and the operations it offers whatever the store.

Belongs here: frozen values and the `Ledger` protocol. Does not: storage (sqlite, postgres), or the rules (book, admission).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import check_epsilon_delta
from synth_pipeline.privacy.events import Event, event_from_dict
from synth_pipeline.privacy.ledger.account import Account
from synth_pipeline.privacy.ledger.chain import ChainReport, Head
from synth_pipeline.spec.period import Period
from synth_pipeline.spec.privacy import EVERYONE

ALL_COHORTS = EVERYONE
"""The block of a dataset without cohorts; it overlaps every other block."""

EPSILON_TOLERANCE = 1e-6
"""Relative rounding that is forgiven when an ε is compared with the ε that its events cost."""

Status = Literal["reserved", "read", "committed", "released"]
Kind = Literal["reserve", "read", "commit", "release", "record"]


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
    """The most a block of a dataset's units may lose: composed `epsilon` at `delta`, ever or in each period.

    A cap that renews bounds the loss of each period by itself, not that of a lifetime: n periods may cost n times as much.
    `lifetime_epsilon` beside it bounds all of them together.

    Attributes:
        epsilon: composed ε, of the lifetime, or of one period where there is one.
        delta: δ at which it is composed.
        period: calendar period after which the cap renews, as `spec.period.Period` reads it; None: never.
        lifetime_epsilon: composed ε of all periods together, at the same δ; None: no bound.

    Raises:
        PrivacyError: for an epsilon or delta out of range, or a lifetime below a period's.
        SpecError: for a period that is not known.
    """

    epsilon: float
    delta: float
    period: str | None = None
    lifetime_epsilon: float | None = None

    def __post_init__(self) -> None:
        check_epsilon_delta(self.epsilon, self.delta)
        if self.period is not None:
            Period(self.period)
        if self.lifetime_epsilon is not None and (self.period is None or not self.lifetime_epsilon >= self.epsilon):
            raise PrivacyError(
                f"cap: lifetime_epsilon {self.lifetime_epsilon:g} needs a period, and at least its epsilon {self.epsilon:g}"
            )


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
        unit: whose loss the events bound, as `declared.charge_of` names it; None where that was not recorded. It does not enter a
            comparison of charges.

    Raises:
        PrivacyError: when there is no event, or epsilon or delta is out of range. Whether the events stay within them is
            checked when the charge is reserved.
    """

    events: tuple[Event, ...]
    epsilon: float
    delta: float
    lines: tuple[ChargeLine, ...] = ()
    unit: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check_epsilon_delta(self.epsilon, self.delta)
        if not self.events:
            raise PrivacyError("charge: it lists no event; a walk that reads rows has at least one")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; a unit that was not recorded is not written down."""
        values: dict[str, Any] = {
            "events": [event.to_dict() for event in self.events],
            "epsilon": self.epsilon,
            "delta": self.delta,
            "lines": [asdict(line) for line in self.lines],
        }
        return values if self.unit is None else {**values, "unit": self.unit}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Charge":
        """Read a charge back."""
        return cls(
            events=tuple(event_from_dict(event) for event in values["events"]),
            epsilon=values["epsilon"],
            delta=values["delta"],
            lines=tuple(ChargeLine(**line) for line in values["lines"]),
            unit=values.get("unit"),
        )


@dataclass(frozen=True, slots=True)
class Reservation:
    """A walk's admitted charge.

    Attributes:
        number: the sequence number of its entry; unique in a ledger.
        key: whose walk it is.
        charge: what was admitted.
        cap: the cap it was admitted under.
        blocks: the blocks of privacy units that it touches, sorted; it is charged in each.
        by: the account of the operating system whose process reserved; None where that was not recorded.
    """

    number: int
    key: WalkKey
    charge: Charge
    cap: Cap
    blocks: tuple[str, ...]
    by: str | None = None

    @property
    def cohort(self) -> str:
        """The blocks in one line, for people."""
        return ", ".join(self.blocks)


@dataclass(frozen=True, slots=True)
class WalkRecord:
    """What the entries say about one reservation.

    Attributes:
        reservation: the reservation.
        status: reserved, read (charged for good), committed, or released (never read, free again).
        stages_read: stages whose first private answer was announced.
        events: what is composed: the planned events, or what covers them and those that ran where more was spent
            (`book.covering`); none once released.
        epsilon: the walk's ε at its own δ: what it stated, or more where more was spent.
        since: when it was reserved, ISO 8601 in UTC.
        closed: when it was committed or released, after which nothing can be read under it; None while it is open.
        realised: the events that ran, once it is committed.
    """

    reservation: Reservation
    status: Status
    stages_read: frozenset[str]
    events: tuple[Event, ...]
    epsilon: float
    since: str
    closed: str | None = None
    realised: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One link of the ledger's chain; entries are only ever added.

    Attributes:
        sequence: 1, 2, 3 …
        at: when, ISO 8601 in UTC.
        kind: reserve, read, commit or release; or record, which changes no budget.
        dataset: which dataset.
        cohort: which blocks, in one line for people; a reserve entry's body lists them. Empty for a record.
        reservation: the number of the reservation it belongs to; 0 for a record that is about none.
        body: what the kind carries (key, cap, charge, blocks, by whom and until when; stage; realised events; reason; what is recorded).
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
        """Return JSON-ready values; the body is the entry's own, not a copy, which in a long book would take most of the time."""
        return {name: getattr(self, name) for name in _ENTRY_FIELDS}


_ENTRY_FIELDS = tuple(field.name for field in fields(Entry))

Said: TypeAlias = Callable[[Sequence[Entry]], Entry | None]
"""Looks through entries for one that says what is to be recorded; None where none does."""


class Ledger(Protocol):
    """The operations of every ledger: reserve → mark_read → commit, or release before anything is read."""

    @staticmethod
    def open(place: Path | str | None = None) -> "Ledger":
        """Return the ledger in a file or on a PostgreSQL server; see `place.open_ledger`."""
        from synth_pipeline.privacy.ledger.place import open_ledger

        return open_ledger(place)

    @property
    def place(self) -> str:
        """Where it is, for people: a path, or an address without its password."""
        ...

    def reserve(
        self, key: WalkKey, charge: Charge, *, cap: Cap, cohort: str | Sequence[str] = ALL_COHORTS
    ) -> Reservation:
        """Admit a charge, or refuse it before anything is written.

        A reservation under the same key that has not been read is returned again.

        Args:
            key: whose walk it is.
            charge: what it asks for.
            cap: the cap of each block it touches.
            cohort: the block of privacy units that it touches, or several; "all": whoever may be in the dataset.

        Raises:
            BudgetRefused: when a block it touches would pass the cap, or earlier walks protect another unit than it does.
            PrivacyError: when the charge's events cost more than the ε it states.
            LedgerError: when the key was read before, or is reserved for another charge.
        """
        ...

    def require_room(
        self, dataset: str, charge: Charge, *, cap: Cap, cohort: str | Sequence[str] = ALL_COHORTS
    ) -> None:
        """Refuse a charge that `reserve` would refuse now; nothing is written either way.

        Raises:
            BudgetRefused: when a block it touches would pass the cap, or earlier walks protect another unit than it does.
            PrivacyError: when the charge's events cost more than the ε it states.
        """
        ...

    def mark_read(self, reservation: Reservation, *, stage: str = "walk") -> None:
        """Announce a stage's first private answer: from here a crash stays charged.

        Raises:
            LedgerError: when the stage was announced before, or the reservation is committed or released.
        """
        ...

    def commit(self, reservation: Reservation, realised_events: Sequence[Event], realised_epsilon: float) -> None:
        """Record what a walk did and close it: nothing more may be read under it.

        What is composed stays the plan. The scales of the events that ran were chosen from earlier answers, so they may not be
        composed as if they had been fixed in advance, even where that gives less; see `book.covering`.

        Raises:
            LedgerError: when the reservation has not been read, or is closed.
            PrivacyError: when more was spent than reserved; it is recorded in full before this is raised.
        """
        ...

    def close(self, reservation: Reservation, reason: str) -> None:
        """Close a walk that read rows and will never be committed, at its whole charge; it then no longer counts in new periods.

        Raises:
            LedgerError: when it has not been read, or is closed.
        """
        ...

    def release(self, reservation: Reservation, reason: str) -> None:
        """Give a charge back that has not been read.

        Raises:
            LedgerError: when it was read, or is closed.
        """
        ...

    def record(
        self, dataset: str, body: Mapping[str, Any], *, reservation: int = 0, unless: "Said | None" = None
    ) -> "Entry":
        """Keep in the chain that something happened to what a walk made, such as the approval of a release; no budget changes.

        Args:
            dataset: which dataset.
            body: what happened: plain data, with a word for it under `what`.
            reservation: the walk's number; 0: of no walk in this ledger.
            unless: asked, under the write lock, with the dataset's entries so far: an entry that says it already, which is then
                returned instead; None to go on; or it raises, and nothing is written.

        Raises:
            LedgerError: when there is no ledger, the reservation is not in it, or the body says no `what`.
        """
        ...

    def find(self, key: WalkKey) -> WalkRecord | None:
        """Return the latest record under a key, released ones aside."""
        ...

    def walks(self, dataset: str | None = None) -> tuple[WalkRecord, ...]:
        """Return the record of every reservation, oldest first."""
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
