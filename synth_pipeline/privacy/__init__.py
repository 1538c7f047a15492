"""The gate between the private and the released zone: curator, budget, noise, accounting and the ledger.

Belongs here: everything that decides what an answer costs and that it is charged. Does not: which questions to ask (profile, generate).
"""
