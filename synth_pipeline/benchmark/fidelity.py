"""Fidelity: the distances of `marginal_distance`, `univariate` and `association` put together. Internal."""

import itertools

from synth_pipeline.benchmark.association import compare_associations
from synth_pipeline.benchmark.binning import fit_binning
from synth_pipeline.benchmark.marginal_distance import bin_tables, choose_triples, compare_marginals, nist_score
from synth_pipeline.benchmark.scorecard import Fidelity
from synth_pipeline.benchmark.scored_table import ScoredTables
from synth_pipeline.benchmark.univariate import compare_categories, compare_numbers

TRIPLES, TRIPLES_QUICK = 200, 50
RESAMPLES, RESAMPLES_QUICK = 200, 100


def measure_fidelity(tables: ScoredTables, *, seed: int, quick: bool) -> Fidelity:
    """Every distance of the synthetic table's distributions from train's, beside the holdout's.

    Bins, subsamples and triples are drawn as in an independent scorer, with which a contract test compares the scores.
    """
    resamples = RESAMPLES_QUICK if quick else RESAMPLES
    binning = fit_binning(tables)
    binned = bin_tables(tables, binning, seed=seed)
    names = tables.names
    one_way, by_column = compare_marginals(binned, [(name,) for name in names], seed=seed, resamples=resamples)
    pairs = list(itertools.combinations(names, 2))
    triples = choose_triples(names, TRIPLES_QUICK if quick else TRIPLES, seed=seed)
    two_way, three_way = (
        compare_marginals(binned, marginals, seed=seed, resamples=resamples)[0] if marginals else None
        for marginals in (pairs, triples)
    )
    return Fidelity(
        matched_rows=binned.by_use["matched"].rows,
        tvd_1way=one_way,
        tvd_2way=two_way,
        tvd_3way=three_way,
        tvd_by_column=dict(zip(names, by_column, strict=True)),
        nist_k2=nist_score(two_way),
        nist_k3=nist_score(three_way),
        ks_complement=compare_numbers(tables, seed=seed, resamples=resamples),
        tv_complement=compare_categories(tables, seed=seed, resamples=resamples),
        association=compare_associations(tables, binning, seed=seed, resamples=resamples),
    )
