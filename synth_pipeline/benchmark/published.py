"""A score that may be shown: the accuracy on held-out people of a classifier trained on the synthetic table, measured under DP.

Every other score of the benchmark is internal. Whoever lets one decide whether a table is released tells the world something about real
rows; so what decides is asked of the curator like any other question, with noise, and charged.

    SELECT   nothing: the classifier is gradient boosting on the synthetic rows, which are released
    MEASURE  people whose target it predicts, and people whose target it does not: two noisy counts
    RELEASE  their ratio, with an interval for noise and for the sample of people

Privacy:
    The classifier, its features and its classes come from released rows alone, so whether a held-out row is predicted hangs on that row
    and nothing else. The two counts are a histogram of weighted rows (see `Curator.histogram`): one unit moves it by at most its weight.
    Held-out people are not trained on, so the loss of anybody is at most the larger of both charges; it is charged as their sum, because
    the ledger does not tell the two sides of a split apart.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from synth_pipeline.benchmark.feature import fit_coding
from synth_pipeline.benchmark.learner import LearnerConfig, predict
from synth_pipeline.benchmark.scored_table import Ints, read_tables
from synth_pipeline.benchmark.target import MOST_TRAINED_ROWS, labels_like_train
from synth_pipeline.errors import NothingToLearn, SpecError, TableError
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import Event, event_from_dict
from synth_pipeline.spec import Spec
from synth_pipeline.table.native import NULL, NativeTable
from synth_pipeline.table.partition import Whole
from synth_pipeline.table.predicate_values import category_codes

COLUMN = "prediction"
_WRONG, _RIGHT = 0, 1
_DEVIATIONS = 1.96
_LEAST_DEVIATIONS = 5.0


@dataclass(frozen=True)
class PublishedScore:
    """Noisy numbers of held-out people whose target is predicted, and whose is not; released.

    Attributes:
        target: the predicted column.
        right: noisy number of people (weighted rows, where they may have several) that are predicted.
        wrong: noisy number that are not.
        sigma: standard deviation of the noise of each.
        events: the DP events that it cost.
    """

    target: str
    right: float
    wrong: float
    sigma: float
    events: tuple[Event, ...]

    @property
    def accuracy(self) -> float | None:
        """Share that is predicted; None where the noise drowns the number of people."""
        people = self.right + self.wrong
        return min(max(self.right / people, 0.0), 1.0) if people > _LEAST_DEVIATIONS * self._noise_of_people else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the accuracy: of its noise (first order), and of a sample of so many people.

        Source:
            The delta method for R / (R + W) with independent noise σ² on both: σ² ((1 − p)² + p²) / n²; p (1 − p) / n for the sample.
        """
        share = self.accuracy
        if share is None:
            return None
        people = self.right + self.wrong
        noise = self.sigma**2 * ((1 - share) ** 2 + share**2) / people**2
        return math.sqrt(noise + share * (1 - share) / people)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the accuracy."""
        share, deviation = self.accuracy, self.deviation
        if share is None or deviation is None:
            return None
        return max(share - _DEVIATIONS * deviation, 0.0), min(share + _DEVIATIONS * deviation, 1.0)

    @property
    def summary(self) -> str:
        """The score in a line."""
        share, interval = self.accuracy, self.interval
        if share is None or interval is None:
            return f"{self.target}: too few held-out people for a score under this noise"
        return f"{self.target}: accuracy {share:.3f} [{interval[0]:.3f}, {interval[1]:.3f}], noise included"

    def reaches(self, floor: float) -> bool:
        """Whether the accuracy is at least a floor, at the lower end of its interval."""
        return self.interval is not None and self.interval[0] >= floor

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back, with what follows from it."""
        interval = self.interval
        return {
            **{name: value for name, value in asdict(self).items() if name != "events"},
            "events": [event.to_dict() for event in self.events],
            "accuracy": self.accuracy,
            "interval": None if interval is None else list(interval),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "PublishedScore":
        """The score that `to_json` wrote."""
        events = tuple(event_from_dict(event) for event in content["events"])
        return cls(content["target"], content["right"], content["wrong"], content["sigma"], events)

    @property
    def _noise_of_people(self) -> float:
        return math.sqrt(2.0) * self.sigma


def predictions(synthetic: pd.DataFrame, holdout: pd.DataFrame, spec: Spec, *, seed: int = 0) -> NativeTable:
    """For each held-out row whether its target is predicted, as the one column of a table for a curator; private.

    Args:
        synthetic: the released table, which alone is trained on.
        holdout: real rows that it was not made from.
        spec: the specification; its benchmark names the target.
        seed: of the learner.

    Shapes:
        One row a row of the holdout: 1 right, 0 wrong, null where it has no target.

    Raises:
        SpecError: if there is no classification target.
        NothingToLearn: if the synthetic table is not fit to learn its target from, whatever the holdout holds: a released fact.
        TableError: if the holdout cannot be read beside it; says something of real rows, so it is not to be shown as a result.
    """
    benchmark = spec.benchmark
    if benchmark is None or benchmark.task != "classification":
        raise SpecError(f"{spec.dataset}: a published score needs benchmark.target and task: classification")
    _require_learnable(synthetic, spec, benchmark.target)
    tables = read_tables(synthetic, holdout, synthetic, spec)
    features = tuple(name for name in tables.names if name != benchmark.target)
    labelled = labels_like_train(tables, benchmark.target, most=MOST_TRAINED_ROWS, seed=seed)
    config = LearnerConfig(labelled.classes, seed, quick=False)
    trained_on = (labelled.rows, labelled.target)
    coding = fit_coding(tables, features)
    guessed = predict("gradient_boosting", trained_on, tables.holdout, coding=coding, config=config).argmax(axis=1)
    outcome: Ints = np.where(guessed == labelled.held, _RIGHT, _WRONG)
    outcome[labelled.is_unknown] = NULL
    return NativeTable({COLUMN: outcome}, _units(holdout, spec))


def measure_score(curator: Curator, target: str, *, stage: str) -> PublishedScore:
    """Ask a curator of `predictions` for the two counts, with all that is left of its budget.

    Privacy:
        One histogram of two cells; one discrete Gaussian.
    """
    noisy = curator.histogram(
        COLUMN, Whole(2), with_null=False, cost=curator.left_cost, stage=stage, purpose=f"{target}: right and wrong"
    )
    wrong, right = (float(count) for count in noisy.values)
    return PublishedScore(target, right, wrong, noisy.sigma, curator.events)


def _require_learnable(synthetic: pd.DataFrame, spec: Spec, target: str) -> None:
    """Refuse a synthetic table that cannot be read, or has no two classes or no feature; of released rows alone."""
    try:
        alone = read_tables(synthetic, synthetic, synthetic, spec)
    except TableError as fault:
        raise NothingToLearn(f"{spec.dataset}: {fault}") from None
    classes = labels_like_train(alone, target, most=MOST_TRAINED_ROWS, seed=0).classes
    if classes < 2 or set(alone.names) == {target}:
        raise NothingToLearn(f"{spec.dataset}: the synthetic table has no two classes of {target!r} to learn")


def _units(holdout: pd.DataFrame, spec: Spec) -> Ints | None:
    """The person of each row, numbered from 0; None where each row is one."""
    column = spec.privacy.unit.column
    if column is None:
        return None
    codes = category_codes(pd.Series(holdout[column]))[0].astype(np.int64)
    return np.unique(codes, return_inverse=True)[1].reshape(-1).astype(np.int64)
