"""Predictions of the holdout by every learner from every table that can be learned from.

The scores of utility, fairness and rare class are all read from them. Private: they are made from real rows, and live only while a
scorecard is made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from synth_pipeline.benchmark.feature import fit_coding
from synth_pipeline.benchmark.group_score import Source
from synth_pipeline.benchmark.interval import Floats
from synth_pipeline.benchmark.learner import LEARNERS, Learner, LearnerConfig, predict
from synth_pipeline.benchmark.scored_table import ScoredTables
from synth_pipeline.benchmark.target import LEAST_ROWS, Labelled, LabelledTables, label_tables
from synth_pipeline.spec import Benchmark

Trained: TypeAlias = Literal["trtr", "tstr", "rebalanced", "baseline"]
Model: TypeAlias = tuple[Trained, Learner]

BASELINE: Model = ("baseline", "linear")
GROUP_LEARNER: Learner = "gradient_boosting"
"""The learner whose predictions are scored by group and for the rarest class; the only one that learns from rebalanced rows."""

_SOURCES: Mapping[Source, Trained] = {"real": "trtr", "synthetic": "tstr", "rebalanced": "rebalanced"}


@dataclass(frozen=True, repr=False, eq=False)
class HoldoutPredictions:
    """What every model says of the holdout rows that have a valid target.

    Attributes:
        target: the predicted column.
        labelled: the tables with their targets.
        guesses: rows × classes of probabilities (rows × 1 of values for regression) of each model, and of the baseline; empty where
            nothing could be learned or tested.
        reason: why there are none.
    """

    target: str
    labelled: LabelledTables
    guesses: Mapping[Model, Floats]
    reason: str | None

    def by_source(self) -> dict[Source, Floats]:
        """The class probabilities of the group learner by what it was trained on; empty for a regression."""
        if not self.labelled.classes:
            return {}
        found: dict[Source, Floats | None] = {
            source: self.guesses.get((trained, GROUP_LEARNER)) for source, trained in _SOURCES.items()
        }
        return {source: guess for source, guess in found.items() if guess is not None}


def predict_holdout(
    tables: ScoredTables, benchmark: Benchmark, *, seed: int, quick: bool, progress: Callable[[str], None]
) -> HoldoutPredictions:
    """Fit every learner on train and on the synthetic table, one on the rebalanced table too, and predict the holdout."""
    labelled = label_tables(tables, benchmark, seed=seed, quick=quick)
    features = tuple(name for name in tables.names if name != benchmark.target)
    reason = labelled.reason_against() or (None if features else "there is no other column to predict from")
    guesses: dict[Model, Floats] = {}
    if reason is None:
        config = LearnerConfig(labelled.classes, seed, quick)
        guesses = _fit_all(tables, labelled, features=features, config=config, progress=progress)
    return HoldoutPredictions(benchmark.target, labelled, guesses, reason)


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
    sources: dict[Trained, Labelled | None] = {
        "trtr": labelled.train,
        "tstr": labelled.synthetic,
        "rebalanced": labelled.rebalanced,
    }
    told = {trained: source for source, trained in _SOURCES.items()}
    guesses: dict[Model, Floats] = {BASELINE: _baseline(labelled)}
    for source, rows in sources.items():
        if rows is None or rows.rows.rows < LEAST_ROWS or (source == "rebalanced" and not config.classes):
            continue
        for learner in LEARNERS if source != "rebalanced" else (GROUP_LEARNER,):
            progress(f"benchmark: {learner.replace('_', ' ')} on {told[source]} rows")
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
