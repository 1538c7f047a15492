"""The trained network as plain arrays, and drawing columns one after another from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.autoregressive.features import Features
from synth_pipeline.table.encoded import Codes, Domain

Floats = npt.NDArray[np.float32]

_GOLDEN = (5**0.5 - 1) / 2
_POWER_STEPS = 6
_CALIBRATION_STEPS = 60


class ColumnModel(Protocol):
    """A trained network that draws one column after another; what it knows of rows is an array, one line a row."""

    @property
    def domain(self) -> Domain:
        """The encoded columns."""
        ...

    @property
    def bias(self) -> Floats:
        """Logit of each code that is added to the network's, all codes side by side."""
        ...

    def with_bias(self, bias: Floats) -> Self:
        """The same network with other biases."""
        ...

    def blank(self, rows: int) -> npt.NDArray[Any]:
        """State of rows of which no column is known."""
        ...

    def logits(self, column: int, known: npt.NDArray[Any]) -> Floats:
        """Logits of a column given the known ones (rows, codes)."""
        ...

    def learn(self, known: npt.NDArray[Any], column: int, codes: npt.NDArray[np.integer]) -> None:
        """Make a column known, in place."""
        ...

    def log_likelihood(self, codes: Codes, order: Sequence[int]) -> npt.NDArray[np.float64]:
        """Log-probability of each row when columns are drawn in an order."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights to be saved."""
        ...


@dataclass(frozen=True, eq=False)
class PairModel:
    """Released parameters of the network.

    Attributes:
        domain: the encoded columns.
        features: their features.
        couplings: W with both directions of every pair (F, F).
        bias: logit of each code before any column is known, all codes side by side.
    """

    domain: Domain
    features: Features
    couplings: Floats
    bias: Floats

    def with_bias(self, bias: Floats) -> Self:
        """The same network with other biases."""
        return replace(self, bias=bias)

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights to be saved."""
        return {"couplings": self.couplings, "features": self.features.table}

    def blank(self, rows: int) -> Floats:
        """Features of rows of which no column is known."""
        return np.zeros((rows, len(self.couplings)), dtype=np.float32)

    def logits(self, column: int, known: Floats) -> Floats:
        """Logits of a column given the known ones (rows, codes)."""
        codes, part = self.domain.slices()[column], self.features.part(column)
        effects = known @ self.couplings[:, part]
        return (effects @ self.features.table[codes, part].T + self.bias[codes]).astype(np.float32, copy=False)

    def learn(self, known: Floats, column: int, codes: npt.NDArray[np.integer]) -> None:
        """Write the features of a drawn column, in place."""
        part = self.features.part(column)
        known[:, part] = self.features.table[self.domain.offsets[column] + codes, part]

    def log_likelihood(self, codes: Codes, order: Sequence[int]) -> npt.NDArray[np.float64]:
        """Log-probability of each row when columns are drawn in an order."""
        known, total = self.blank(len(codes)), np.zeros(len(codes))
        for column in order:
            logits = self.logits(column, known)
            total += logits[np.arange(len(codes)), codes[:, column]] - log_sum_exp(logits)
            self.learn(known, column, codes[:, column])
        return total


def draw_rows(model: ColumnModel, order: Sequence[int], rows: int, rng: np.random.Generator) -> Codes:
    """Rows of the model (rows, columns)."""
    codes, known = np.empty((rows, len(model.domain)), dtype=np.int32), model.blank(rows)
    for column in order:
        codes[:, column] = draw_codes(softmax(model.logits(column, known)), rng)
        model.learn(known, column, codes[:, column])
    return codes


def calibrate(
    model: ColumnModel,
    order: Sequence[int],
    shares: Sequence[npt.NDArray[np.float64]],
    *,
    rows: int,
    rng: np.random.Generator,
) -> Floats:
    """Biases for which rows drawn in an order have the released one-way shares.

    The noise of the couplings moves the mean of every column; the released shares are more exact, and using them is free. Column by
    column, on rows drawn so far, the bias moves by log(share / mean probability) until they agree.
    """
    bias, known = model.bias.copy(), model.blank(rows)
    slices = model.domain.slices()
    for column in order:
        logits = model.logits(column, known)
        target = np.log(np.maximum(shares[column], 1e-12)).astype(np.float32)
        shift = np.zeros_like(target)
        for _ in range(_CALIBRATION_STEPS):
            mean = softmax(logits + shift).mean(axis=0, dtype=np.float64)
            move = np.clip(target - np.log(np.maximum(mean, 1e-12)), -1.0, 1.0)
            shift += move.astype(np.float32)
            if np.abs(move).max() < 1e-3:
                break
        bias[slices[column]] += shift
        model.learn(known, column, draw_codes(softmax(logits + shift), rng))
    return bias


def draw_codes(probabilities: Floats, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """One code a row, each by its own distribution.

    The uniform numbers behind the draws are a golden-ratio sequence along rows sorted by their likeness (leading principal component of
    the distributions): each is uniform by itself, but rows that are alike share them out evenly, so counts vary less than for independent
    draws (systematic sampling).

    Shapes:
        (rows, codes), rows of sum 1 → (rows,).
    """
    rows = len(probabilities)
    shuffled = rng.permutation(rows)
    likeness = _likeness(probabilities, rng)[shuffled]
    place = np.empty(rows, dtype=np.int64)
    place[shuffled[np.argsort(likeness, kind="stable")]] = np.arange(rows)
    uniform = (place * _GOLDEN + rng.random()) % 1.0
    cumulative = np.cumsum(probabilities, axis=1, dtype=np.float64)
    chosen = (cumulative < uniform[:, None] * cumulative[:, -1:]).sum(axis=1)
    return np.minimum(chosen, probabilities.shape[1] - 1)


def softmax(logits: Floats) -> Floats:
    """Probabilities (rows, codes)."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def log_sum_exp(logits: Floats) -> npt.NDArray[np.float64]:
    """Log of the sum of exponentials along codes; −∞ entries are allowed as long as one is finite."""
    top = logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits - top).sum(axis=1, dtype=np.float64)) + top[:, 0]


def _likeness(probabilities: Floats, rng: np.random.Generator) -> Floats:
    if len(probabilities) == 0:
        return np.zeros(0, dtype=np.float32)
    centred = probabilities - probabilities.mean(axis=0)
    direction = rng.normal(size=probabilities.shape[1]).astype(np.float32)
    for _ in range(_POWER_STEPS):
        direction = centred.T @ (centred @ direction)
        size = float(np.linalg.norm(direction))
        if size < 1e-20:
            return np.zeros(len(probabilities), dtype=np.float32)
        direction /= size
    return centred @ direction
