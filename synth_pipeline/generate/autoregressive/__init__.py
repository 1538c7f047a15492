"""A small autoregressive network over encoded columns, trained by DP-SGD on the Poisson batches that a curator deals.

Belongs here: its features, networks, losses, sampling, imputation, saving. Does not: dealing batches (privacy), clipping and noise (dpsgd).
"""
