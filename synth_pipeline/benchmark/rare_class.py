"""How well the rarest class of the target is found by a classifier trained on real, synthetic and rebalanced rows; tested on the holdout.

Average precision, and recall and precision of two decisions: the likeliest class, and the rows of the highest probability, as many as the
class's share in train (`benchmark.one_class`). A classifier of a rare class hardly ever finds it the likeliest; trained on rebalanced rows
it does so too often: recall at the same number of selected rows, and average precision, tell whether it learned more.

Intervals: percentile bootstrap over the holdout's people, for the fitted models. Internal.
"""

import numpy as np

from synth_pipeline.benchmark.group_score import RareClassScores, RareMetric
from synth_pipeline.benchmark.holdout_prediction import GROUP_LEARNER, HoldoutPredictions
from synth_pipeline.benchmark.interval import Floats, Interval
from synth_pipeline.benchmark.one_class import OneClass, blocks, draw_people, one_class, score_interval
from synth_pipeline.benchmark.resample import Bag
from synth_pipeline.benchmark.scored_table import Ints

_BOOTSTRAP_STREAM = 16


def measure_rare_class(
    predicted: HoldoutPredictions, units: Ints, *, seed: int, resamples: int
) -> RareClassScores | None:
    """Scores of the rarest class.

    Args:
        predicted: predictions of the holdout.
        units: the person of each holdout row, numbered from 0.
        seed: seed of the resamples.
        resamples: number of resamples.

    Returns:
        None where the target is no class or nothing could be learned.
    """
    guesses, labelled = predicted.by_source(), predicted.labelled
    if not guesses:
        return None
    label, target = labelled.rarest, labelled.holdout.target.astype(np.int64)
    parts = {"train": labelled.train, "holdout": labelled.holdout, "synthetic": labelled.synthetic}
    parts |= {} if labelled.rebalanced is None else {"rebalanced": labelled.rebalanced}
    share = {which: float((part.target == label).mean()) if len(part.target) else 0.0 for which, part in parts.items()}
    bag = draw_people(units, resamples, np.random.default_rng([seed, _BOOTSTRAP_STREAM]))
    method = f"bootstrap over people of the holdout, {resamples} resamples"
    return RareClassScores.model_validate(
        {
            "target": predicted.target,
            "label": labelled.shown[label],
            "share": share,
            "learner": GROUP_LEARNER,
            "scores": {
                source: _scores(one_class(guess, target, label=label, share=share["train"]), bag, method)
                for source, guess in guesses.items()
            },
        }
    )


def _scores(view: OneClass, bag: Bag, method: str) -> dict[RareMetric, Interval]:
    ones, bagged = np.ones((len(view.scores), 1)), view.take(bag.rows)
    values, centres = _metrics(view, ones), _metrics(bagged, np.ones((len(bag.rows), 1)))
    pieces = [_metrics(bagged, weights) for weights in blocks(bag)]
    found: dict[RareMetric, Interval] = {}
    for metric, value in values.items():
        replicates = np.concatenate([piece[metric] for piece in pieces])
        interval = score_interval(float(value[0]), float(centres[metric][0]), replicates, method=method)
        if interval is not None:
            found[metric] = interval
    return found


def _metrics(view: OneClass, weights: Floats) -> dict[RareMetric, Floats]:
    rates = view.rates(np.zeros(len(view.scores), dtype=np.int64), 1, weights)
    chosen, selected = view.precision(weights)
    return {
        "ap": view.average_precision(weights),
        "recall_at_argmax": rates["tpr"][0],
        "recall_at_share": rates["tpr_at_share"][0],
        "precision_at_argmax": chosen,
        "precision_at_share": selected,
    }
