"""Train on synthetic, test on real (Esteban, Hyland & Rätsch 2017), against train on real, test on real.

Gradient boosting and a linear model are fitted once on the synthetic table (TSTR) and once on train (TRTR), and predict the holdout. The
ratio TSTR / TRTR is 1 when the synthetic rows teach as much as the real ones; `auc_lift` is the ratio of what both gain over chance.

Intervals: percentile bootstrap over holdout rows, the same resamples for every model, so that ratios are paired. They cover other
holdout rows for these fitted models; not another synthetic table, nor another training set. Internal.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from synth_pipeline.benchmark.holdout_prediction import BASELINE, HoldoutPredictions, Model
from synth_pipeline.benchmark.interval import Interval, percentile_interval
from synth_pipeline.benchmark.learner import LEARNERS, Learner
from synth_pipeline.benchmark.prediction_bootstrap import Evaluated, Truth, evaluate
from synth_pipeline.benchmark.scorecard import LearnerScores, Utility
from synth_pipeline.benchmark.target import LEAST_ROWS, LabelledTables

RESAMPLES, RESAMPLES_QUICK = 1_000, 500


def utility_of(predicted: HoldoutPredictions, *, seed: int, quick: bool, progress: Callable[[str], None]) -> Utility:
    """TSTR against TRTR for the target of the specification, from the models' predictions of the holdout.

    Args:
        predicted: what each model says of each holdout row, or why none was trained.
        seed: seed of the resamples.
        quick: fewer resamples.
        progress: called with one line before the bootstrap.

    Privacy:
        Scores on real rows without noise: internal.
    """
    labelled = predicted.labelled
    if predicted.reason:
        return _unmeasured(predicted.target, labelled, predicted.reason)
    guesses = {model: guess for model, guess in predicted.guesses.items() if model[0] != "rebalanced"}
    progress("benchmark: bootstrap of the predictions")
    resamples = RESAMPLES_QUICK if quick else RESAMPLES
    truth = Truth(labelled.holdout.target, labelled.rarest if labelled.classes else None)
    evaluated = evaluate(guesses, truth, seed=seed, resamples=resamples)
    method = f"percentile bootstrap over holdout rows, {resamples} resamples"
    learners = {learner: _learner_scores(learner, evaluated, method) for learner in LEARNERS}
    short = labelled.synthetic.rows.rows < LEAST_ROWS
    return Utility(
        target=predicted.target,
        task=_task(labelled),
        learners=learners,
        baseline=_intervals(evaluated[BASELINE], method),
        synth_rows_without_valid_target=labelled.synthetic.invalid,
        rarest_class_share=_rarest_share(labelled) if labelled.classes else None,
        reason=f"fewer than {LEAST_ROWS} synthetic rows have a valid target" if short else None,
    )


def _unmeasured(target: str, labelled: LabelledTables, reason: str) -> Utility:
    return Utility(
        target=target,
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
