"""One class against the rest, as a fitted model sees it: two ways to decide, and rates by group on weighted rows.

`argmax` takes a row where the class is the likeliest. `share` takes the rows to which the model gives the class the highest probability,
as many as the class's share in train (and those that tie with the last), so that models that differ in how often they say the class, such
as one trained on rebalanced rows, can be compared. Private: the arrays follow real rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.benchmark.interval import Floats, Interval, normal_interval, percentile_interval
from synth_pipeline.benchmark.prediction_metric import class_predictions, ranked_auc
from synth_pipeline.benchmark.resample import Bag, weighted_counts
from synth_pipeline.benchmark.scored_table import Ints

Bools = npt.NDArray[np.bool_]

MOST_BAG_ROWS = 20_000
RESAMPLES, RESAMPLES_QUICK = 500, 200

_BLOCK_CELLS = 2_000_000


@dataclass(frozen=True, repr=False, eq=False)
class OneClass:
    """Holdout rows, and what one model makes of one class.

    Attributes:
        is_positive: rows that are truly of the class.
        scores: the model's probability of the class.
        chosen: rows of which it is the likeliest class.
        selected: rows of the highest probability, about as many as the class's share in train.
    """

    is_positive: Bools
    scores: Floats
    chosen: Bools
    selected: Bools

    def take(self, rows: npt.NDArray[np.intp]) -> "OneClass":
        """The given rows."""
        return OneClass(self.is_positive[rows], self.scores[rows], self.chosen[rows], self.selected[rows])

    def rates(self, groups: Ints, size: int, weights: npt.NDArray[np.floating]) -> dict[str, Floats]:
        """Rates of each group in each resample; NaN where undefined.

        Shapes:
            groups: rows, each below `size`; weights: rows × resamples. Results: size × resamples.
        """
        codes = ((groups * 2 + self.is_positive) * 2 + self.chosen) * 2 + self.selected
        counts = weighted_counts(codes, 8 * size, weights).astype(np.float64).reshape(size, 2, 2, 2, -1)
        of_class = counts.sum(axis=(2, 3))
        taken = {"": counts[:, :, 1].sum(axis=2), "_at_share": counts[:, :, :, 1].sum(axis=2)}
        rows = of_class.sum(axis=1)
        found: dict[str, Floats] = {}
        for suffix, by_class in taken.items():
            found[f"selection_rate{suffix}"] = _quotient(by_class.sum(axis=1), rows)
            found[f"tpr{suffix}"] = _quotient(by_class[:, 1], of_class[:, 1])
            found[f"fpr{suffix}"] = _quotient(by_class[:, 0], of_class[:, 0])
        right = taken[""][:, 1] + of_class[:, 0] - taken[""][:, 0]
        return {**found, "accuracy": _quotient(right, rows)}

    def auc(self, weights: Floats) -> Floats:
        """AUC of the class in each resample; NaN where the class or the others are absent."""
        return ranked_auc(self.scores, self.is_positive, weights)

    def average_precision(self, weights: Floats) -> Floats:
        """Average precision of the class in each resample; NaN where it is absent."""
        both = np.stack([1 - self.scores, self.scores], axis=1)
        return class_predictions(self.is_positive.astype(np.int64), both, rarest=1).metrics(weights)["ap_rarest"]

    def precision(self, weights: Floats) -> tuple[Floats, Floats]:
        """Precision of the chosen and of the selected rows in each resample; NaN where none is taken."""
        parts = [
            _quotient((taken & self.is_positive) @ weights, taken @ weights) for taken in (self.chosen, self.selected)
        ]
        return parts[0], parts[1]


def one_class(guess: Floats, target: Ints, *, label: int, share: float) -> OneClass:
    """What a model says of one class.

    Args:
        guess: rows × classes of probabilities.
        target: the true class numbers.
        label: the class.
        share: its share in train.
    """
    scores = guess[:, label]
    wanted = min(max(round(share * len(scores)), 1), len(scores))
    threshold = np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
    selected = (scores >= threshold) & (scores > 0)
    return OneClass(target == label, scores, guess.argmax(axis=1) == label, selected)


def draw_people(units: Ints, resamples: int, rng: np.random.Generator) -> Bag:
    """Resamples of rows by the people whom they belong to: who is drawn comes with all their rows.

    Where there are more than 20,000 rows, a bag of people stands for all (see `benchmark.resample`).

    Args:
        units: the person of each row, numbered from 0; where each row is a person, its own number.
        resamples: number of resamples.
        rng: randomness of the resamples.
    """
    people = int(units.max()) + 1
    kept = max(1, min(people, people * MOST_BAG_ROWS // len(units)))
    places = np.full(people, -1)
    places[np.arange(people) if kept == people else rng.permutation(people)[:kept]] = np.arange(kept)
    rows = np.flatnonzero(places[units] >= 0)
    drawn = np.empty((kept, resamples), dtype=np.float32)
    for column in range(resamples):
        drawn[:, column] = np.bincount(rng.integers(kept, size=people), minlength=kept)
    return Bag(rows, drawn[places[units[rows]]])


def blocks(bag: Bag) -> Iterator[Floats]:
    """The weights of a bag, a few resamples at a time."""
    step = max(1, _BLOCK_CELLS // max(len(bag.rows), 1))
    for start in range(0, bag.resamples, step):
        yield bag.weights[:, start : start + step].astype(np.float64)


def score_interval(value: float, centre: float, replicates: Floats, *, method: str) -> Interval | None:
    """The middle 95 % of the replicates of a rate, moved from the bag's score to that of all rows and cut at 0 and 1."""
    return percentile_interval(value, np.clip(replicates + (value - centre), 0, 1), method=f"percentile {method}")


def gap_interval(value: float, replicates: Floats, *, method: str) -> Interval | None:
    """The interval of a gap between groups: its replicates' spread around it, since resampling widens gaps."""
    finite = replicates[np.isfinite(replicates)]
    if not np.isfinite(value) or len(finite) < max(2, 0.9 * len(replicates)):
        return None
    return normal_interval(value, finite, method=f"normal {method}")


def _quotient(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
