"""Admission: whether a charge fits under a cap beside what the same units have lost already.

Belongs here: blocks, and their composition. Does not: what composition is (accounting), or what is stored (book, sqlite).

A dataset's blocks are its cohorts. Disjoint cohorts hold different people, so their charges do not add up (parallel
composition; Luo et al. 2021, "Privacy Budget Scheduling", call them blocks). A charge to the block "all" may touch
anyone: it counts in every block, and has to fit in every block.
"""

import math
from collections.abc import Iterable

from synth_pipeline.errors import BudgetRefused, PrivacyError
from synth_pipeline.privacy.accounting import composed_epsilon, filter_epsilon, filter_room, gaussian_epsilon
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.ledger.contract import (
    ALL_COHORTS,
    EPSILON_TOLERANCE,
    Account,
    BlockAccount,
    Cap,
    Charge,
    Entry,
    WalkRecord,
)

_ROUNDING = 1 + 1e-9


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


def require_room(dataset: str, charge: Charge, *, cap: Cap, cohort: str, records: Iterable[WalkRecord]) -> None:
    """Refuse a charge that would bring a block it touches beyond the cap.

    Args:
        dataset: for the message.
        charge: what is asked for.
        cap: the cap of each block.
        cohort: the block that is charged, or "all".
        records: the dataset's walks.

    Raises:
        BudgetRefused: when the charge's δ is above the cap's, or a block would pass the cap's ε at the cap's δ.
    """
    if charge.delta > cap.delta:
        raise BudgetRefused(
            f"dataset {dataset!r}: the walk's δ={charge.delta:g} is above the cap's δ={cap.delta:g}; "
            "lower the walk's delta or have the cap's delta raised"
        )
    live = [record for record in records if record.status != "released"]
    for block in _touched(cohort, live):
        total = filter_epsilon([*_loads(block, live), charge.events], cap.delta)
        if total > cap.epsilon * _ROUNDING:
            raise BudgetRefused(_refusal(dataset, charge, cap=cap, block=_block_account(block, live, cap), total=total))


def build_account(dataset: str, cap: Cap, *, records: Iterable[WalkRecord], entries: tuple[Entry, ...]) -> Account:
    """Return what is spent, reserved and left of a dataset's blocks, the most loaded one first in line."""
    live = [record for record in records if record.status != "released"]
    names = sorted({record.reservation.cohort for record in live}) or [ALL_COHORTS]
    blocks = tuple(_block_account(name, live, cap) for name in names)
    worst = max(blocks, key=lambda block: block.spent_epsilon + block.reserved_epsilon)
    return Account(
        dataset=dataset,
        cap=cap,
        spent_epsilon=worst.spent_epsilon,
        reserved_epsilon=worst.reserved_epsilon,
        left_epsilon=worst.left_epsilon,
        entries=entries,
        blocks=blocks,
    )


def _touched(cohort: str, live: list[WalkRecord]) -> list[str]:
    """Return the blocks a charge must fit in: its own, or for "all" every block there is."""
    if cohort != ALL_COHORTS:
        return [cohort]
    return sorted({record.reservation.cohort for record in live} | {ALL_COHORTS})


def _loads(block: str, live: list[WalkRecord]) -> list[tuple[Event, ...]]:
    return [record.events for record in live if record.reservation.cohort in {block, ALL_COHORTS}]


def _block_account(block: str, live: list[WalkRecord], cap: Cap) -> BlockAccount:
    read = [record for record in live if record.status != "reserved"]
    spent = filter_epsilon(_loads(block, read), cap.delta)
    total = filter_epsilon(_loads(block, live), cap.delta)
    loads = _loads(block, live)
    # An untouched block has the whole cap; the conversion there and back would lose its last digit.
    room = filter_room(loads, epsilon=cap.epsilon, delta=cap.delta)
    left = gaussian_epsilon(math.sqrt(room), cap.delta) if loads else cap.epsilon
    return BlockAccount(block, spent, total - spent if math.isfinite(total) else 0.0, left)


def _refusal(dataset: str, charge: Charge, *, cap: Cap, block: BlockAccount, total: float) -> str:
    where = f"dataset {dataset!r}" + ("" if block.cohort == ALL_COHORTS else f", cohort {block.cohort!r}")
    left = f"at most ε={block.left_epsilon:.4g} (δ={cap.delta:g})" if block.left_epsilon > 0 else "nothing more"
    return (
        f"{where}: the walk asks for ε={charge.epsilon:.4g} (δ={charge.delta:g}); ε={block.spent_epsilon:.4g} is spent and "
        f"ε={block.reserved_epsilon:.4g} reserved of the cap ε={cap.epsilon:g} at δ={cap.delta:g}, and together they would "
        f"come to ε={total:.4g}. Nothing was read. Ask for {left}, release reservations that were never read, or have the "
        "cap raised"
    )
