"""What the latent-variable engines share: code space, heads, laws given a hidden state, calibration, conditional rows, files, plan.

Belongs here: blocks that two or more of vae, gan, diffusion, pate_gan use. Does not: a network of one engine, clipping and noise (dpsgd).
"""
