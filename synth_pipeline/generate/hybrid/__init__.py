"""Maximum-entropy rows whose target column is drawn from a conditional model of its own, corrected by one noisy sum of clipped scores.

Belongs here: the scores, the correction, sampling and saving. Does not: the rows (maxent), clipping and noise (privacy).
"""
