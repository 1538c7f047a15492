"""`gan`: a conditional GAN on codes (CTGAN-like); the critic is trained by DP-SGD, the generator only through the critic.

Belongs here: generator, critic, their losses and loop, law. Does not: clipping and noise (dpsgd), shared blocks (neural).
"""
