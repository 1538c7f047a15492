"""The ledger: what has been spent on whom; reserve before reading, and nobody overspends.

Belongs here: the contract, the chain of entries, admission, stores. Does not: what an event costs (accounting).
"""

from synth_pipeline.privacy.ledger.chain import ChainReport, Head
from synth_pipeline.privacy.ledger.contract import (
    ALL_COHORTS,
    Account,
    BlockAccount,
    Cap,
    Charge,
    ChargeLine,
    Entry,
    Ledger,
    Reservation,
    WalkKey,
    WalkRecord,
)
from synth_pipeline.privacy.ledger.sqlite import SqliteLedger, open_ledger

__all__ = [
    "ALL_COHORTS",
    "Account",
    "BlockAccount",
    "Cap",
    "ChainReport",
    "Charge",
    "ChargeLine",
    "Entry",
    "Head",
    "Ledger",
    "Reservation",
    "SqliteLedger",
    "WalkKey",
    "WalkRecord",
    "open_ledger",
]
