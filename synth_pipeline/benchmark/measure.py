"""The scorecard of one synthetic table, measured: read this first.

Everything is deterministic for one seed and one set of library versions, and runs on one thread.
"""

from collections.abc import Callable

import pandas as pd

from synth_pipeline.benchmark.fidelity import measure_fidelity
from synth_pipeline.benchmark.scorecard import Scorecard
from synth_pipeline.benchmark.scored_table import read_tables
from synth_pipeline.benchmark.target import check_task
from synth_pipeline.benchmark.two_sample import measure_two_sample
from synth_pipeline.benchmark.utility import measure_utility
from synth_pipeline.spec import Spec


def score(  # noqa: PLR0913 - three tables and their specification are the question; the rest are keyword-only options
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    spec: Spec,
    *,
    seed: int = 0,
    quick: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Scorecard:
    """Score a synthetic table against the rows that its generator saw and against rows that it did not see.

    Args:
        train: the real rows that the generator saw.
        holdout: real rows that it did not see, exchangeable with train.
        synthetic: the rows to score.
        spec: the specification of the dataset; its identifiers are left out, its benchmark names the target.
        seed: seed of subsamples, folds, learners and resamples.
        quick: smaller subsamples, fewer triples, trees and resamples.
        progress: called with one line before each part.

    Raises:
        TableError: if a table is empty, lacks a column, or holds values of another type than declared.
        SpecError: if the task of the benchmark does not fit its target.

    Privacy:
        Reads real rows without noise: the scorecard is internal and no ε covers it.
    """
    tell = progress or _say_nothing
    check_task(spec)
    tables = read_tables(train, holdout, synthetic, spec)
    tell("benchmark: marginals and associations")
    fidelity = measure_fidelity(tables, seed=seed, quick=quick)
    tell("benchmark: classifier two-sample test")
    c2st = measure_two_sample(tables, seed=seed, quick=quick)
    tstr = measure_utility(tables, spec.benchmark, seed=seed, quick=quick, progress=tell) if spec.benchmark else None
    return Scorecard(
        dataset=spec.dataset,
        spec_digest=spec.digest,
        seed=seed,
        quick=quick,
        rows={"train": tables.train.rows, "holdout": tables.holdout.rows, "synthetic": tables.synthetic.rows},
        columns=len(tables.names),
        fidelity=fidelity,
        c2st=c2st,
        tstr=tstr,
    )


def _say_nothing(message: str) -> None:
    """The progress of a caller who wants none."""
