"""The ledger: what has been spent on whom; reserve before reading, and nobody overspends.

Belongs here: the contract, the chain of entries, admission, stores. Does not: what an event costs (accounting).
"""

from synth_pipeline.privacy.ledger.account import Account, BlockAccount
from synth_pipeline.privacy.ledger.chain import ChainReport, Head
from synth_pipeline.privacy.ledger.contract import (
    ALL_COHORTS,
    Cap,
    Charge,
    ChargeLine,
    Entry,
    Ledger,
    Reservation,
    WalkKey,
    WalkRecord,
)
from synth_pipeline.privacy.ledger.declared import blocks_of, cap_of, charge_of
from synth_pipeline.privacy.ledger.operations import StoredLedger
from synth_pipeline.privacy.ledger.place import LEDGER_VARIABLE, open_ledger

__all__ = [
    "ALL_COHORTS",
    "LEDGER_VARIABLE",
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
    "StoredLedger",
    "WalkKey",
    "WalkRecord",
    "blocks_of",
    "cap_of",
    "charge_of",
    "open_ledger",
]
