"""MaxEnt-Gibbs: a maximum-entropy Markov random field over noisy pair marginals, fitted and sampled by Gibbs chains.

Belongs here: SCREEN (dependency), SELECT and MEASURE (transcript, grouping, select), FIT (reconcile, structure, field, fit), SAMPLE
(kernel, evidence, sample, ranks), IMPUTE (impute, known_dependent), engine. Does not: single columns (profile), decoding (encode).
"""
