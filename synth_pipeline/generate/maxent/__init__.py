"""MaxEnt-Gibbs: a maximum-entropy Markov random field over noisy pair marginals, fitted and sampled by Gibbs chains.

Belongs here: SELECT (dependency, candidates, select), MEASURE (measure), FIT (field, fit), SAMPLE (sample, herd, ranks), engine.
"""
