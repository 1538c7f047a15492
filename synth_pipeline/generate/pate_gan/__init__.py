"""`pate_gan`: a GAN whose student learns from noisy votes of disjoint teachers (PATE-GAN); a baseline, not recommended.

Belongs here: its config, teachers, student, loop. Does not: dealing rows and counting votes (privacy.teachers), shared blocks (neural).
"""
