"""Admission: whether a charge fits under a cap beside what the same units have lost already.

Belongs here: blocks and periods, and their composition. Does not: what composition is (accounting), or what is stored (book, stores).

*Blocks.* Disjoint cohorts hold different people, so their charges do not add up (parallel composition; Luo et al. 2021,
"Privacy Budget Scheduling", call them blocks). A charge counts in every block that it touches, and has to fit in each of them;
one that touches "all" may touch anyone, so it counts and has to fit everywhere.

*Periods.* A cap with a period holds for each period by itself. A walk counts in the period in which it is reserved and in every
later one until it is closed, for until then it may be read: reserving before a period ends and reading after it dodges neither
cap. The lifetime, where it has a cap of its own, counts every walk.

*Composition* is a fully adaptive filter on μ² (`accounting.filter_epsilon`): a charge is admitted only while everything that has
been read and everything that may still be read under a reservation stays within the cap, whatever the answers were that it was
chosen from (Smith and Thakurta 2022; Koskela, Tobaben and Honkela 2022; Feldman and Zrnic 2021).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from synth_pipeline.errors import BudgetRefused, PrivacyError
from synth_pipeline.privacy.accounting import composed_epsilon, filter_epsilon, filter_room, gaussian_epsilon
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.ledger.account import Account, BlockAccount
from synth_pipeline.privacy.ledger.contract import (
    ALL_COHORTS,
    EPSILON_TOLERANCE,
    Cap,
    Charge,
    Entry,
    WalkRecord,
)
from synth_pipeline.spec.period import Period

_ROUNDING = 1 + 1e-9


@dataclass(frozen=True)
class Holdings:
    """What a dataset's cap has to hold at a moment.

    Attributes:
        dataset: which dataset.
        cap: the cap of each block.
        walks: every walk that was not released.
        current: those of them that count in the current period; all, where the cap never renews.
        since: start of the period.
        until: its end; None where the cap never renews.
    """

    dataset: str
    cap: Cap
    walks: tuple[WalkRecord, ...]
    current: tuple[WalkRecord, ...]
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def at(cls, now: datetime, *, dataset: str, cap: Cap, records: Iterable[WalkRecord]) -> "Holdings":
        """Return what counts at a moment."""
        live = tuple(record for record in records if record.status != "released")
        if cap.period is None:
            return cls(dataset, cap, live, live)
        since, until = Period(cap.period).around(now)
        return cls(dataset, cap, live, tuple(r for r in live if _is_open_after(r, since)), since, until)


def require_honest(charge: Charge) -> None:
    """Refuse a charge that states less than its events cost.

    Raises:
        PrivacyError: when the events' composed ε is above the stated one.
    """
    cost = composed_epsilon(charge.events, charge.delta)
    if cost > charge.epsilon * (1 + EPSILON_TOLERANCE):
        raise PrivacyError(
            f"charge: its events cost ε={cost:.6g} at δ={charge.delta:g}, more than the ε={charge.epsilon:.6g} it states; "
            "plan more noise or state the larger ε"
        )


def require_room(charge: Charge, blocks: Sequence[str], holdings: Holdings) -> None:
    """Refuse a charge that would bring a block it touches beyond the cap, of this period or of the lifetime.

    Args:
        charge: what is asked for.
        blocks: the blocks that it touches, or "all".
        holdings: the cap, and what it has to hold already.

    Raises:
        BudgetRefused: when the charge's δ is above the cap's, a block would pass the cap's ε at the cap's δ, or earlier walks protect
            another unit.
    """
    cap = holdings.cap
    _require_same_unit(charge, holdings)
    if charge.delta > cap.delta:
        raise BudgetRefused(
            f"dataset {holdings.dataset!r}: the walk's δ={charge.delta:g} is above the cap's δ={cap.delta:g}; "
            "lower the walk's delta or have the cap's delta raised"
        )
    for block in _touched(blocks, holdings.walks):
        total = filter_epsilon([*_loads(block, holdings.current), charge.events], cap.delta)
        if total > cap.epsilon * _ROUNDING:
            raise BudgetRefused(_refusal(charge, block, holdings, total))
        if cap.lifetime_epsilon is not None:
            total = filter_epsilon([*_loads(block, holdings.walks), charge.events], cap.delta)
            if total > cap.lifetime_epsilon * _ROUNDING:
                raise BudgetRefused(_lifetime_refusal(charge, block, holdings, total))


def _require_same_unit(charge: Charge, holdings: Holdings) -> None:
    """Refuse to add up losses of different units: what a row lost does not bound what a person with several rows lost.

    Walks whose unit was not recorded are taken to protect the same one.
    """
    known = (walk.reservation.charge.unit for walk in holdings.walks)
    others = sorted({unit for unit in known if unit is not None and unit != charge.unit})
    if charge.unit is not None and others:
        raise BudgetRefused(
            f"dataset {holdings.dataset!r}: this walk protects {charge.unit}, and earlier ones were charged for {', '.join(others)};"
            " one cap cannot bound the loss of both. Nothing was read. Set privacy.unit.column as it was, or give the table with the new"
            " unit a dataset name of its own, and a cap that is lower by what was spent"
        )


def build_account(holdings: Holdings, *, records: Iterable[WalkRecord], entries: tuple[Entry, ...]) -> Account:
    """Return what is spent, reserved and left of a dataset's blocks, the most loaded one first in line."""
    names = sorted({block for record in holdings.walks for block in record.reservation.blocks}) or [ALL_COHORTS]
    blocks = tuple(_block_account(name, holdings) for name in names)
    worst = max(blocks, key=lambda block: (block.spent_epsilon + block.reserved_epsilon, -block.left_epsilon))
    return Account(
        dataset=holdings.dataset,
        cap=holdings.cap,
        spent_epsilon=worst.spent_epsilon,
        reserved_epsilon=worst.reserved_epsilon,
        left_epsilon=worst.left_epsilon,
        entries=entries,
        blocks=blocks,
        walks=tuple(records),
        since=None if holdings.since is None else holdings.since.isoformat(),
        until=None if holdings.until is None else holdings.until.isoformat(),
    )


def _is_open_after(record: WalkRecord, since: datetime) -> bool:
    """Whether anything may have been read under a reservation at or after a moment."""
    return record.closed is None or datetime.fromisoformat(record.closed) >= since


def _touched(blocks: Sequence[str], walks: Iterable[WalkRecord]) -> list[str]:
    """Return the blocks a charge must fit in: its own, or for "all" every block there is."""
    if ALL_COHORTS not in blocks:
        return list(blocks)
    return sorted({block for record in walks for block in record.reservation.blocks} | {ALL_COHORTS})


def _loads(block: str, walks: Iterable[WalkRecord]) -> list[tuple[Event, ...]]:
    return [record.events for record in walks if not {block, ALL_COHORTS}.isdisjoint(record.reservation.blocks)]


def _block_account(block: str, holdings: Holdings) -> BlockAccount:
    cap, loads = holdings.cap, _loads(block, holdings.current)
    spent = filter_epsilon(_loads(block, [r for r in holdings.current if r.status != "reserved"]), cap.delta)
    total = filter_epsilon(loads, cap.delta)
    ever = _loads(block, holdings.walks)
    left = _left(loads, cap.epsilon, cap.delta)
    if cap.lifetime_epsilon is not None:
        left = min(left, _left(ever, cap.lifetime_epsilon, cap.delta))
    lifetime = filter_epsilon(ever, cap.delta)
    return BlockAccount(block, spent, total - spent if math.isfinite(total) else 0.0, left, lifetime)


def _left(loads: Sequence[tuple[Event, ...]], epsilon: float, delta: float) -> float:
    # An untouched block has the whole cap; the conversion there and back would lose its last digit.
    if not loads:
        return epsilon
    return gaussian_epsilon(math.sqrt(filter_room(loads, epsilon=epsilon, delta=delta)), delta)


def _where(block: str, holdings: Holdings) -> str:
    return f"dataset {holdings.dataset!r}" + ("" if block == ALL_COHORTS else f", cohort {block!r}")


def _refusal(charge: Charge, block: str, holdings: Holdings, total: float) -> str:
    cap, account = holdings.cap, _block_account(block, holdings)
    left = f"at most ε={account.left_epsilon:.4g} (δ={cap.delta:g})" if account.left_epsilon > 0 else "nothing more"
    renews = wait = ""
    if holdings.until is not None:
        renews = f" a {cap.period}" if "/" not in str(cap.period) else f" a period of {cap.period}"
        wait = f", wait until the cap renews at {holdings.until:%Y-%m-%d %H:%M} UTC"
    raised = (
        "the cap raised" if math.isfinite(total) else "the cap's delta raised, which their failure probabilities use up"
    )
    return (
        f"{_where(block, holdings)}: the walk asks for ε={charge.epsilon:.4g} (δ={charge.delta:g}); "
        f"ε={account.spent_epsilon:.4g} is spent and ε={account.reserved_epsilon:.4g} reserved of the cap ε={cap.epsilon:g} "
        f"at δ={cap.delta:g}{renews}, and together they would come to ε={total:.4g}. Nothing was read. Ask for {left}, release "
        f"reservations that were never read{wait}, or have {raised}"
    )


def _lifetime_refusal(charge: Charge, block: str, holdings: Holdings, total: float) -> str:
    cap = holdings.cap
    return (
        f"{_where(block, holdings)}: the walk asks for ε={charge.epsilon:.4g} (δ={charge.delta:g}) and would bring all periods "
        f"together to ε={total:.4g}, above the lifetime's cap ε={cap.lifetime_epsilon:g} at δ={cap.delta:g}, which never renews. "
        "Nothing was read. Ask for less, release reservations that were never read, or have the lifetime's cap raised"
    )
