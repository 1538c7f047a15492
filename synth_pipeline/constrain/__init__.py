"""The rules of a dataset: parsed from its specification, compiled for samplers, and enforced on every released table.

Belongs here: what rules mean and that none is broken. Does not: parsing SQL (table) or sampling (generate).
"""
