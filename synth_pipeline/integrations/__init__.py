"""Bridges to other people's systems: Great Expectations, MLflow, file stores; each is imported only when it is used.

Belongs here: translation of our values into theirs and back. Does not: decisions, privacy or statistics, which the layers below make.
"""
