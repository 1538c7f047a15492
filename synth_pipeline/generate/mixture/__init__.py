"""Mixture of products: rows of a hidden component, columns independent inside it; conditions and imputation are exact.

Belongs here: the model (products), FIT (fit), exact draws (conditional, impute), engine. Does not: asking (maxent.transcript).
"""
