"""Bootstrap of predictions over holdout rows: every model on the same resamples, so that their ratios are paired.

Large holdouts with many classes are resampled by the bag of little bootstraps (Kleiner et al. 2014): a random bag of the rows, out of
which as many rows as the holdout has are drawn; the replicates are then moved from the bag's score to the score of all rows. Internal.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from synth_pipeline.benchmark.interval import Floats
from synth_pipeline.benchmark.prediction_metric import (
    ClassPredictions,
    ValuePredictions,
    class_predictions,
    value_predictions,
)
from synth_pipeline.benchmark.scored_table import Ints

Model = TypeVar("Model")
Predictions: TypeAlias = ClassPredictions | ValuePredictions

MOST_RANKED_CELLS = 200_000
LEAST_BAG_ROWS = 2_000

_BOOTSTRAP_STREAM = 14
_BLOCK_CELLS = 2_000_000


@dataclass(frozen=True, eq=False)
class Truth:
    """What the predictions are measured against.

    Attributes:
        target: class numbers, or values.
        rarest: the rarest class of train; None for regression.
    """

    target: Floats | Ints
    rarest: int | None

    def prepare(self, guess: Floats, rows: Ints) -> Predictions:
        """Predictions (rows × classes, or rows × 1) of some rows, ready for weights."""
        target = self.target[rows]
        if self.rarest is None:
            return value_predictions(target.astype(np.float64), guess[rows, 0])
        return class_predictions(target.astype(np.int64), guess[rows], rarest=self.rarest)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Scores of one model on all rows, and their replicates; undefined ones are NaN."""

    scores: Mapping[str, float]
    replicates: Mapping[str, Floats]


def evaluate(guesses: Mapping[Model, Floats], truth: Truth, *, seed: int, resamples: int) -> dict[Model, Evaluated]:
    """Scores of every model's predictions, with replicates on shared resamples of the rows.

    Shapes:
        guesses: rows × classes of probabilities, or rows × 1 of values.
    """
    rng = np.random.default_rng([seed, _BOOTSTRAP_STREAM])
    total = len(truth.target)
    rows = np.arange(total)
    scores = {model: _unweighted(truth.prepare(guess, rows)) for model, guess in guesses.items()}
    bag = _draw_rows(total, max(guess.shape[1] for guess in guesses.values()), rng)
    bagged = {model: truth.prepare(guess, bag) for model, guess in guesses.items()}
    parts: dict[Model, list[dict[str, Floats]]] = {model: [] for model in guesses}
    for weights in _blocks(len(bag), total, resamples, rng):
        for model, prediction in bagged.items():
            parts[model].append(prediction.metrics(weights))
    evaluated: dict[Model, Evaluated] = {}
    for model, pieces in parts.items():
        centre = _unweighted(bagged[model])
        replicates = {
            metric: np.concatenate([piece[metric] for piece in pieces]) + (scores[model][metric] - centre[metric])
            for metric in centre
        }
        evaluated[model] = Evaluated(scores[model], replicates)
    return evaluated


def _unweighted(prediction: Predictions) -> dict[str, float]:
    rows = len(prediction.outcome if isinstance(prediction, ClassPredictions) else prediction.truth)
    return {metric: float(value[0]) for metric, value in prediction.metrics(np.ones((rows, 1))).items()}


def _draw_rows(total: int, columns: int, rng: np.random.Generator) -> Ints:
    """The rows that are resampled: all, unless ranking them for every class would take long."""
    rankings = columns if columns > 2 else 1
    most = max(LEAST_BAG_ROWS, MOST_RANKED_CELLS // rankings)
    return np.arange(total) if total <= most else np.sort(rng.permutation(total)[:most])


def _blocks(kept: int, total: int, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Weights of the resamples, rows × a block of resamples at a time, each resample of `total` draws."""
    block = max(1, min(resamples, _BLOCK_CELLS // kept))
    for start in range(0, resamples, block):
        weights = np.empty((kept, min(block, resamples - start)))
        for column in range(weights.shape[1]):
            weights[:, column] = np.bincount(rng.integers(kept, size=total), minlength=kept)
        yield weights
