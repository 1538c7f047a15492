"""MaxEnt-Gibbs: a maximum-entropy Markov random field over noisy pair marginals, fitted and sampled by Gibbs chains.

Belongs here: SCREEN (dependency), SELECT and MEASURE (grouping, select), FIT (field, fit), SAMPLE (evidence, sample, ranks), engine.
Does not: single columns (profile), decoding (encode).
"""
