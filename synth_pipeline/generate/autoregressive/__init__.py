"""A small autoregressive network over encoded columns, trained by DP-SGD with Opacus on the Poisson batches that a curator deals.

Belongs here: its features, network, training, sampling, saving. Does not: dealing batches or accounting (privacy), bins (profile).
"""
