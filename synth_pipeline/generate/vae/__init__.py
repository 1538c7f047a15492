"""`vae`: a variational autoencoder on codes (TVAE-like), encoder and decoder trained by DP-SGD.

Belongs here: its network, loss, law. Does not: clipping and noise (dpsgd), shared blocks (neural).
"""
