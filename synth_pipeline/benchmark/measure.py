"""The scorecard of one synthetic table, measured: read this first.

Everything is deterministic for one seed and one set of library versions, and runs on one thread.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from synth_pipeline.benchmark.fairness import measure_fairness
from synth_pipeline.benchmark.fidelity import measure_fidelity
from synth_pipeline.benchmark.holdout_prediction import HoldoutPredictions, predict_holdout
from synth_pipeline.benchmark.one_class import RESAMPLES, RESAMPLES_QUICK
from synth_pipeline.benchmark.rare_class import measure_rare_class
from synth_pipeline.benchmark.scorecard import Scorecard
from synth_pipeline.benchmark.scored_table import Ints, ScoredTables, read_tables
from synth_pipeline.benchmark.target import check_task
from synth_pipeline.benchmark.two_sample import measure_two_sample
from synth_pipeline.benchmark.utility import utility_of
from synth_pipeline.spec import Spec


def score(  # noqa: PLR0913 - three tables and their specification are the question; the rest are keyword-only options
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    spec: Spec,
    *,
    rebalanced: pd.DataFrame | None = None,
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
        rebalanced: rows of the same model with equal shares of groups and classes, scored beside them for fairness and rare class.
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
    tables = read_tables(train, holdout, synthetic, spec, rebalanced=rebalanced)
    tell("benchmark: marginals and associations")
    fidelity = measure_fidelity(tables, seed=seed, quick=quick)
    tell("benchmark: classifier two-sample test")
    c2st = measure_two_sample(tables, seed=seed, quick=quick)
    predicted = (
        predict_holdout(tables, spec.benchmark, seed=seed, quick=quick, progress=tell) if spec.benchmark else None
    )
    tell("benchmark: groups and rarest class")
    resamples = RESAMPLES_QUICK if quick else RESAMPLES
    return Scorecard(
        dataset=spec.dataset,
        spec_digest=spec.digest,
        seed=seed,
        quick=quick,
        rows=_rows_of(tables),
        columns=len(tables.names),
        fidelity=fidelity,
        c2st=c2st,
        tstr=utility_of(predicted, seed=seed, quick=quick, progress=tell) if predicted else None,
        **_of_groups(predicted, tables, spec, _people(holdout, spec), seed=seed, resamples=resamples),
    )


def _of_groups(
    predicted: HoldoutPredictions | None,
    tables: ScoredTables,
    spec: Spec,
    people: Ints,
    *,
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    """Rare class and fairness, where there is a target."""
    if predicted is None:
        return {}
    units = np.unique(people[predicted.labelled.holdout.places], return_inverse=True)[1].astype(np.int64)
    found: dict[str, Any] = {"rare_class": measure_rare_class(predicted, units, seed=seed, resamples=resamples)}
    if spec.fairness is not None and spec.fairness.sensitive:
        found["fairness"] = measure_fairness(predicted, tables, spec.fairness, units, seed=seed, resamples=resamples)
    return found


def _people(holdout: pd.DataFrame, spec: Spec) -> Ints:
    """The person of each holdout row; each row is one where no other is known."""
    unit = spec.privacy.unit.column
    if unit is None or unit not in holdout.columns:
        return np.arange(len(holdout), dtype=np.int64)
    return pd.factorize(holdout[unit], use_na_sentinel=False)[0].astype(np.int64)


def _rows_of(tables: ScoredTables) -> dict[Any, int]:
    parts = {"train": tables.train, "holdout": tables.holdout, "synthetic": tables.synthetic}
    parts |= {} if tables.rebalanced is None else {"rebalanced": tables.rebalanced}
    return {which: part.rows for which, part in parts.items()}


def _say_nothing(message: str) -> None:
    """The progress of a caller who wants none."""
