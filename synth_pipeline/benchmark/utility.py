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
from synth_pipeline.benchmark.prediction_metric import (
    ClassPredictions,
    ValuePredictions,
    class_predictions,
    value_predictions,
)
from synth_pipeline.benchmark.scorecard import LearnerScores, Utility
from synth_pipeline.benchmark.scored_table import ScoredTables
from synth_pipeline.benchmark.target import LEAST_ROWS, LabelledTables, label_tables
from synth_pipeline.spec import Benchmark

Predictions: TypeAlias = ClassPredictions | ValuePredictions
Replicates: TypeAlias = Mapping[str, Floats]
Model: TypeAlias = tuple[str, Learner]

RESAMPLES, RESAMPLES_QUICK = 1_000, 500

_BOOTSTRAP_STREAM = 14
_BLOCK_CELLS = 2_000_000
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
    predictions = _fit_all(tables, labelled, features, LearnerConfig(labelled.classes, seed, quick), progress)
    progress("benchmark: bootstrap of the predictions")
    resamples = RESAMPLES_QUICK if quick else RESAMPLES
    scores = {model: part.metrics(np.ones((labelled.holdout.rows.rows, 1))) for model, part in predictions.items()}
    replicates = _bootstrap(predictions, labelled.holdout.rows.rows, seed=seed, resamples=resamples)
    method = f"percentile bootstrap over holdout rows, {resamples} resamples"
    learners = {learner: _learner_scores(learner, scores, replicates, method) for learner in LEARNERS}
    short = labelled.synthetic.rows.rows < LEAST_ROWS
    return Utility(
        target=benchmark.target,
        task=_task(labelled),
        learners=learners,
        baseline=_intervals(scores[_BASELINE], replicates[_BASELINE], method),
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
    features: tuple[str, ...],
    config: LearnerConfig,
    progress: Callable[[str], None],
) -> dict[Model, Predictions]:
    """Holdout predictions of every learner from every source that can be learned from, and of the baseline."""
    coding = fit_coding(tables, features)
    holdout = labelled.holdout
    sources = {"trtr": labelled.train, "tstr": labelled.synthetic}
    predictions: dict[Model, Predictions] = {_BASELINE: _prepare(labelled, _baseline(labelled))}
    for source, rows in sources.items():
        if rows.rows.rows < LEAST_ROWS:
            continue
        for learner in LEARNERS:
            progress(f"benchmark: {learner.replace('_', ' ')} on {'real' if source == 'trtr' else 'synthetic'} rows")
            guess = predict(learner, (rows.rows, rows.target), holdout.rows, coding=coding, config=config)
            predictions[source, learner] = _prepare(labelled, guess)
    return predictions


def _baseline(labelled: LabelledTables) -> Floats:
    """Always train's majority class, or its mean."""
    rows = labelled.holdout.rows.rows
    if not labelled.classes:
        return np.full((rows, 1), labelled.train.target.mean())
    guess = np.zeros((rows, labelled.classes))
    guess[:, np.bincount(labelled.train.target.astype(np.int64), minlength=labelled.classes).argmax()] = 1.0
    return guess


def _prepare(labelled: LabelledTables, guess: Floats) -> Predictions:
    truth = labelled.holdout.target
    if labelled.classes:
        return class_predictions(truth.astype(np.int64), guess, rarest=labelled.rarest)
    return value_predictions(truth.astype(np.float64), guess[:, 0])


def _bootstrap(
    predictions: Mapping[Model, Predictions], rows: int, *, seed: int, resamples: int
) -> dict[Model, dict[str, Floats]]:
    """Metrics of every model on the same resamples of the holdout, block by block."""
    rng = np.random.default_rng([seed, _BOOTSTRAP_STREAM])
    block = max(1, min(resamples, _BLOCK_CELLS // rows))
    parts: dict[Model, list[dict[str, Floats]]] = {model: [] for model in predictions}
    for start in range(0, resamples, block):
        width = min(block, resamples - start)
        weights = np.empty((rows, width))
        for column in range(width):
            weights[:, column] = np.bincount(rng.integers(rows, size=rows), minlength=rows)
        for model, part in predictions.items():
            parts[model].append(part.metrics(weights))
    return {
        model: {metric: np.concatenate([piece[metric] for piece in pieces]) for metric in pieces[0]}
        for model, pieces in parts.items()
    }


def _learner_scores(
    learner: Learner, scores: Mapping[Model, Replicates], replicates: Mapping[Model, Replicates], method: str
) -> LearnerScores:
    real: Model = ("trtr", learner)
    synthetic: Model = ("tstr", learner)
    trtr = _intervals(scores[real], replicates[real], method)
    if synthetic not in scores:
        return LearnerScores(tstr={}, trtr=trtr, ratio={})
    tstr = _intervals(scores[synthetic], replicates[synthetic], method)
    ratio: dict[str, Interval] = {}
    for metric in trtr:
        chances = {metric: 0.0, "auc_lift": 0.5} if metric == "auc" else {metric: 0.0}
        for name, chance in chances.items():
            paired = [part[model][metric] - chance for part in (scores, replicates) for model in (synthetic, real)]
            interval = _ratio(paired, method) if metric in tstr and trtr[metric].low > chance else None
            if interval:
                ratio[name] = interval
    return LearnerScores(tstr=tstr, trtr=trtr, ratio=ratio)


def _ratio(paired: list[Floats], method: str) -> Interval | None:
    """Ratio of two scores from [score above, score below, replicates above, replicates below]."""
    above, below, above_replicates, below_replicates = paired
    quotient = np.divide(
        above_replicates, below_replicates, out=np.full_like(above_replicates, np.nan), where=below_replicates > 0
    )
    return percentile_interval(float(above[0] / below[0]), quotient, method=method + ", paired")


def _intervals(scores: Replicates, replicates: Replicates, method: str) -> dict[str, Interval]:
    intervals = {
        metric: percentile_interval(float(value[0]), replicates[metric], method=method)
        for metric, value in scores.items()
    }
    return {metric: interval for metric, interval in intervals.items() if interval is not None}
