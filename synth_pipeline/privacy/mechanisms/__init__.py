"""Mechanisms: one paper, one file; each takes true answers and a noise source, and returns released values.

Belongs here: adding noise, choosing privately. Does not: counting private rows (curator), adding up cost.
"""
