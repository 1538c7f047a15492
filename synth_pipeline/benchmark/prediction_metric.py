"""Metrics of predictions on weighted rows: the weights of all resamples are evaluated at once, unit weights give the score itself.

AUC is the weighted rank statistic with ties counting half (for more than two classes the mean over classes of one against the rest,
classes absent from the rows left out); average precision, macro-F1, accuracy, R² and RMSE are defined as in scikit-learn.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.benchmark.interval import Floats
from synth_pipeline.benchmark.resample import weighted_counts
from synth_pipeline.benchmark.scored_table import Ints


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows in the order of a score, ready for any weights.

    Attributes:
        order: rows by increasing score.
        starts: where each run of equal scores starts.
        is_positive: whether each ordered row is of the class in question.
    """

    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    is_positive: npt.NDArray[np.bool_]

    def tied_weights(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weight of the positive and of the negative rows at each distinct score.

        Shapes:
            weights: rows × resamples. Results: distinct scores × resamples.
        """
        ordered = weights[self.order]
        positive = ordered * self.is_positive[:, None]
        negative = ordered - positive
        if len(self.starts) == len(self.order):
            return positive, negative
        return np.add.reduceat(positive, self.starts, axis=0), np.add.reduceat(negative, self.starts, axis=0)


@dataclass(frozen=True, eq=False)
class ClassPredictions:
    """Predicted probabilities of classes, prepared for weighted evaluation.

    Attributes:
        classes: number of classes.
        rarest: the class whose average precision is measured; also the positive one of two.
        outcome: for each row, its cell (true class, predicted class) in the confusion matrix.
        rankings: by class, for the classes whose AUC counts.
    """

    classes: int
    rarest: int
    outcome: Ints
    rankings: dict[int, Ranking]

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """AUC, average precision of the rarest class, macro-F1 and accuracy of each resample; NaN where undefined."""
        areas: list[Floats] = []
        precision = np.full(weights.shape[1], np.nan)
        for label, ranking in self.rankings.items():
            positive, negative = ranking.tied_weights(weights)
            if self.classes > 2 or label == self.rarest:
                areas.append(_auc(positive, negative))
            if label == self.rarest:
                precision = _average_precision(positive, negative)
        macro_f1, accuracy = self._confusion(weights)
        return {
            "auc": _mean_of_defined(areas, weights.shape[1]),
            "ap_rarest": precision,
            "macro_f1": macro_f1,
            "accuracy": accuracy,
        }

    def _confusion(self, weights: Floats) -> tuple[Floats, Floats]:
        cells = weighted_counts(self.outcome, self.classes**2, weights).astype(np.float64)
        confusion = cells.reshape(self.classes, self.classes, -1)
        correct = np.einsum("kkr->kr", confusion)
        either = confusion.sum(axis=0) + confusion.sum(axis=1)
        f1 = np.divide(2 * correct, either, out=np.zeros_like(correct), where=either > 0)
        return f1.mean(axis=0), correct.sum(axis=0) / confusion.sum(axis=(0, 1))


@dataclass(frozen=True, eq=False)
class ValuePredictions:
    """True and predicted values of a number, prepared for weighted evaluation."""

    truth: Floats
    squared_error: Floats

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """R² and RMSE of each resample; R² is NaN where the truth is constant."""
        rows = weights.sum(axis=0)
        error = self.squared_error @ weights
        centred = self.truth - self.truth.mean()
        spread = (centred**2) @ weights - (centred @ weights) ** 2 / rows
        ratio = np.divide(error, spread, out=np.full_like(error, np.nan), where=spread > 1e-12)
        return {"r2": 1 - ratio, "rmse": np.sqrt(error / rows)}


def class_predictions(truth: Ints, probabilities: Floats, *, rarest: int) -> ClassPredictions:
    """Prepare predicted probabilities (rows × classes) for evaluation."""
    classes = probabilities.shape[1]
    outcome = truth * classes + probabilities.argmax(axis=1)
    counts = np.bincount(truth, minlength=classes)
    wanted = {label for label in range(classes) if classes > 2 and 0 < counts[label] < len(truth)}
    wanted |= {rarest} if 0 < counts[rarest] < len(truth) else set()
    rankings = {label: _rank(probabilities[:, label], truth == label) for label in sorted(wanted)}
    return ClassPredictions(classes, rarest, outcome, rankings)


def ranked_auc(scores: Floats, is_positive: npt.NDArray[np.bool_], weights: Floats) -> Floats:
    """AUC of a score in each resample; NaN where a class is absent.

    Shapes:
        scores and is_positive: rows; weights: rows × resamples. Result: resamples.
    """
    return _auc(*_rank(scores, is_positive).tied_weights(weights))


def value_predictions(truth: Floats, predicted: Floats) -> ValuePredictions:
    """Prepare predicted values for evaluation."""
    return ValuePredictions(truth, (truth - predicted) ** 2)


def _rank(scores: Floats, is_positive: npt.NDArray[np.bool_]) -> Ranking:
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return Ranking(order, starts, is_positive[order])


def _auc(positive: Floats, negative: Floats) -> Floats:
    below = np.cumsum(negative, axis=0)
    concordant = (positive * (below - negative / 2)).sum(axis=0)
    possible = positive.sum(axis=0) * below[-1]
    return np.divide(concordant, possible, out=np.full_like(concordant, np.nan), where=possible > 0)


def _average_precision(positive: Floats, negative: Floats) -> Floats:
    found = np.cumsum(positive[::-1], axis=0)
    taken = found + np.cumsum(negative[::-1], axis=0)
    gained = np.divide(positive[::-1] * found, taken, out=np.zeros_like(taken), where=taken > 0).sum(axis=0)
    return np.divide(gained, found[-1], out=np.full_like(gained, np.nan), where=found[-1] > 0)


def _mean_of_defined(areas: list[Floats], resamples: int) -> Floats:
    if not areas:
        return np.full(resamples, np.nan)
    stacked = np.stack(areas)
    is_defined = np.isfinite(stacked)
    defined = is_defined.sum(axis=0)
    total = np.where(is_defined, stacked, 0).sum(axis=0)
    return np.divide(total, defined, out=np.full(resamples, np.nan), where=defined > 0)
