"""The profile stage: noisy one-way statistics, bins and categories, measured through a curator.

Belongs here: what is asked about single columns and how the answers become a released Profile. Does not: joint counts (generate).
"""
