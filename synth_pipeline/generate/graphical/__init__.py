"""Graphical models on junction trees: exact marginals, estimation from noisy tables, exact sampling and conditions; shared by mst and aim.

Belongs here: Private-PGM (junction, beliefs, estimate, pairs, draw, condition). Does not: which tables to measure (mst, aim).
"""
