"""`diffusion`: multinomial diffusion on codes that forgets towards the released one-ways, trained by DP-SGD with noise multiplicity.

Belongs here: its noising, denoiser, loss, chain. Does not: clipping and noise (dpsgd), shared blocks (neural).
"""
