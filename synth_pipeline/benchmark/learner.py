"""The learners of the benchmark: gradient boosting and a linear model, one OpenMP thread, deterministic for one seed."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from synth_pipeline.benchmark.feature import FeatureCoding, fit_scaling, one_hot
from synth_pipeline.benchmark.interval import Floats
from synth_pipeline.benchmark.scored_table import Ints, ScoredTable

Learner: TypeAlias = Literal["gradient_boosting", "linear"]
LEARNERS: tuple[Learner, ...] = ("gradient_boosting", "linear")

_TREES, _TREES_QUICK = 100, 60


@dataclass(frozen=True)
class LearnerConfig:
    """What a fit depends on besides its rows.

    Attributes:
        classes: number of classes; 0 for regression.
        seed: seed of the learner.
        quick: fewer trees.
    """

    classes: int
    seed: int
    quick: bool


def fit_boosting(
    features: Floats, target: Floats | Ints, config: LearnerConfig, *, categorical: npt.NDArray[np.bool_]
) -> Any:
    """A histogram gradient boosting model, fitted; a feature without a value teaches nothing."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    model: Any = HistGradientBoostingClassifier if config.classes else HistGradientBoostingRegressor
    unfitted = model(
        max_iter=_TREES_QUICK if config.quick else _TREES,
        random_state=config.seed,
        early_stopping=False,
        categorical_features=categorical if categorical.any() else None,
    )
    is_empty = np.isnan(features).all(axis=0) & ~categorical
    return unfitted.fit(np.where(is_empty, 0.0, features), target)


def predict(
    learner: Learner,
    trained_on: tuple[ScoredTable, Floats | Ints],
    tested_on: ScoredTable,
    *,
    coding: FeatureCoding,
    config: LearnerConfig,
) -> Floats:
    """Train on some rows and predict others.

    Args:
        learner: which learner.
        trained_on: the rows and their targets (class numbers, or values).
        tested_on: the rows to predict.
        coding: the features.
        config: classes, seed, size.

    Shapes:
        Result: rows × classes of probabilities; rows × 1 of values for regression. A single class in training gives probability 1.
    """
    target = trained_on[1]
    if config.classes and len(np.unique(target)) < 2:
        constant = np.zeros((tested_on.rows, config.classes))
        constant[:, int(target[0])] = 1.0
        return constant
    with one_thread():
        model, features = _fit(learner, trained_on, coding=coding, config=config)
        fitted = features(tested_on)
        if not config.classes:
            return np.asarray(model.predict(fitted), dtype=np.float64)[:, None]
        probabilities = np.zeros((tested_on.rows, config.classes))
        probabilities[:, model.classes_.astype(int)] = model.predict_proba(fitted)
    return probabilities


@contextmanager
def one_thread() -> Generator[None]:
    """Hold sklearn's OpenMP and BLAS loops to one thread: on a shared machine more threads spin and are many times slower."""
    import_module("sklearn.ensemble")  # its OpenMP library must be loaded before it can be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", module="sklearn"
        )  # convergence of the linear model, columns that are all null
        yield


def _fit(
    learner: Learner, trained_on: tuple[ScoredTable, Floats | Ints], *, coding: FeatureCoding, config: LearnerConfig
) -> Any:
    """The fitted model and the function that makes its features."""
    table, target = trained_on
    if learner == "gradient_boosting":
        model: Any = fit_boosting(coding.ordered(table), target, config, categorical=coding.categorical)
        return model, coding.ordered
    from sklearn.linear_model import LogisticRegression, Ridge

    scaling = fit_scaling(table, coding)
    model = LogisticRegression(max_iter=200) if config.classes else Ridge(1.0)
    return model.fit(one_hot(table, coding, scaling), target), lambda rows: one_hot(rows, coding, scaling)
