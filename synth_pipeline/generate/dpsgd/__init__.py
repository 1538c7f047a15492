"""DP-SGD for every engine with a network: one training loop, one accountant, exact clipping by book-keeping, moving average, fixed steps.

Belongs here: what happens to gradients between the curator's Poisson batches and the weights. Does not: networks, losses, sampling.
"""
