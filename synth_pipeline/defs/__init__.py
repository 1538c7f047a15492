"""Datasets: one folder with a `defs.yaml` each.

Belongs here: specifications. Does not: code.
"""
