"""Train on synthetic, test on real (Esteban, Hyland & Rätsch 2017), against train on real, test on real.

Gradient boosting and a linear model are fitted once on the synthetic table (TSTR) and once on train (TRTR), and predict the holdout. The
ratio TSTR / TRTR is 1 when the synthetic rows teach as much as the real ones; `auc_lift` is the ratio of what both gain over chance.

Intervals: percentile bootstrap over holdout rows, the same resamples for every model, so that ratios are paired. They cover other
holdout rows for these fitted models; not another synthetic table, nor another training set. Internal.
"""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import numpy as np

from synth_pipeline.benchmark.feature import fit_coding
from synth_pipeline.benchmark.interval import Floats, Interval, percentile_interval
from synth_pipeline.benchmark.learner import LEARNERS, Learner, LearnerConfig, predict
from synth_pipeline.benchmark.prediction_bootstrap import Evaluated, Truth, evaluate
from synth_pipeline.benchmark.scorecard import LearnerScores, Utility
from synth_pipeline.benchmark.scored_table import ScoredTables
from synth_pipeline.benchmark.target import LEAST_ROWS, LabelledTables, label_tables
from synth_pipeline.spec import Benchmark

Model: TypeAlias = tuple[str, Learner]

RESAMPLES, RESAMPLES_QUICK = 1_000, 500

_BASELINE: Model = ("baseline", "linear")


def measure_utility(
    tables: ScoredTables,
    benchmark: Benchmark,
    *,
    seed: int,
    quick: bool,
    progress: Callable[[str], None],
) -> Utility:
    """TSTR against TRTR for the target of the specification."""
    labelled = label_tables(tables, benchmark, seed=seed, quick=quick)
    features = tuple(name for name in tables.names if name != benchmark.target)
    reason = labelled.reason_against() or (None if features else "there is no other column to predict from")
    if reason:
        return _unmeasured(benchmark, labelled, reason)
    guesses = _fit_all(
        tables, labelled, features=features, config=LearnerConfig(labelled.classes, seed, quick), progress=progress
    )
    progress("benchmark: bootstrap of the predictions")
    resamples = RESAMPLES_QUICK if quick else RESAMPLES
    truth = Truth(labelled.holdout.target, labelled.rarest if labelled.classes else None)
    evaluated = evaluate(guesses, truth, seed=seed, resamples=resamples)
    method = f"percentile bootstrap over holdout rows, {resamples} resamples"
    learners = {learner: _learner_scores(learner, evaluated, method) for learner in LEARNERS}
    short = labelled.synthetic.rows.rows < LEAST_ROWS
    return Utility(
        target=benchmark.target,
        task=_task(labelled),
        learners=learners,
        baseline=_intervals(evaluated[_BASELINE], method),
        synth_rows_without_valid_target=labelled.synthetic.invalid,
        rarest_class_share=_rarest_share(labelled) if labelled.classes else None,
        reason=f"fewer than {LEAST_ROWS} synthetic rows have a valid target" if short else None,
    )


def _unmeasured(benchmark: Benchmark, labelled: LabelledTables, reason: str) -> Utility:
    return Utility(
        target=benchmark.target,
        task=None,
        learners={},
        baseline={},
        synth_rows_without_valid_target=labelled.synthetic.invalid,
        rarest_class_share=None,
        reason=reason,
    )


def _task(labelled: LabelledTables) -> Literal["binary", "multiclass", "regression"]:
    if not labelled.classes:
        return "regression"
    return "binary" if labelled.classes == 2 else "multiclass"


def _rarest_share(labelled: LabelledTables) -> dict[str, float]:
    parts = {"train": labelled.train, "holdout": labelled.holdout, "synthetic": labelled.synthetic}
    return {
        which: float((part.target == labelled.rarest).mean()) if len(part.target) else 0.0
        for which, part in parts.items()
    }


def _fit_all(
    tables: ScoredTables,
    labelled: LabelledTables,
    *,
    features: tuple[str, ...],
    config: LearnerConfig,
    progress: Callable[[str], None],
) -> dict[Model, Floats]:
    """Holdout predictions of every learner from every source that can be learned from, and of the baseline."""
    coding = fit_coding(tables, features)
    sources = {"trtr": labelled.train, "tstr": labelled.synthetic}
    guesses: dict[Model, Floats] = {_BASELINE: _baseline(labelled)}
    for source, rows in sources.items():
        if rows.rows.rows < LEAST_ROWS:
            continue
        for learner in LEARNERS:
            progress(f"benchmark: {learner.replace('_', ' ')} on {'real' if source == 'trtr' else 'synthetic'} rows")
            trained_on = (rows.rows, rows.target)
            guesses[source, learner] = predict(learner, trained_on, labelled.holdout.rows, coding=coding, config=config)
    return guesses


def _baseline(labelled: LabelledTables) -> Floats:
    """Always train's majority class, or its mean."""
    rows = labelled.holdout.rows.rows
    if not labelled.classes:
        return np.full((rows, 1), labelled.train.target.mean())
    guess = np.zeros((rows, labelled.classes))
    guess[:, np.bincount(labelled.train.target.astype(np.int64), minlength=labelled.classes).argmax()] = 1.0
    return guess


def _learner_scores(learner: Learner, evaluated: Mapping[Model, Evaluated], method: str) -> LearnerScores:
    real = evaluated["trtr", learner]
    synthetic = evaluated.get(("tstr", learner))
    trtr = _intervals(real, method)
    if synthetic is None:
        return LearnerScores(tstr={}, trtr=trtr, ratio={})
    tstr = _intervals(synthetic, method)
    ratio: dict[str, Interval] = {}
    for metric in trtr.keys() & tstr.keys():
        chances = {metric: 0.0, "auc_lift": 0.5} if metric == "auc" else {metric: 0.0}
        for name, chance in chances.items():
            interval = (
                _ratio(synthetic, real, metric=metric, chance=chance, method=method)
                if trtr[metric].low > chance
                else None
            )
            if interval:
                ratio[name] = interval
    return LearnerScores(tstr=tstr, trtr=trtr, ratio=dict(sorted(ratio.items())))


def _ratio(above: Evaluated, below: Evaluated, *, metric: str, chance: float, method: str) -> Interval | None:
    """What two models gain over chance, one over the other, on the same resamples."""
    value = (above.scores[metric] - chance) / (below.scores[metric] - chance)
    gains = above.replicates[metric] - chance, below.replicates[metric] - chance
    quotients = np.divide(gains[0], gains[1], out=np.full_like(gains[0], np.nan), where=gains[1] > 0)
    return percentile_interval(value, quotients, method=method + ", paired")


def _intervals(evaluated: Evaluated, method: str) -> dict[str, Interval]:
    intervals = {
        metric: percentile_interval(value, evaluated.replicates[metric], method=method)
        for metric, value in evaluated.scores.items()
    }
    return {metric: interval for metric, interval in intervals.items() if interval is not None}
