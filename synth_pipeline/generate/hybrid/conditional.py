"""The target's conditional model: logits of the target's codes from the codes of all other active columns, pair by pair.

    log p(y | x) ∝ bias_y + Σ_j block(x_j, y)

It starts as the field's own conditional law, which has the same form, and is corrected by block += B W Cᵀ, with B the features of the
other columns and C those of the target.
"""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.maxent.engine import Maxent
from synth_pipeline.table.encoded import Codes

Floats = npt.NDArray[np.float32]
Real = TypeVar("Real", np.float32, np.float64)

_CALIBRATION_STEPS = 60


@dataclass(frozen=True, eq=False)
class TargetModel:
    """P(target | all other active columns).

    Attributes:
        target: index of the target in the domain.
        active: domain indices of the columns in the field, the target among them.
        offsets: start of each active column's codes, (active,).
        block: logit of each target code for each code of each active column, (S, codes); zero for the target's own.
        bias: logit of each target code, (codes,).
    """

    target: int
    active: tuple[int, ...]
    offsets: npt.NDArray[np.int64]
    block: Floats
    bias: Floats

    def logits(self, codes: Codes) -> Floats:
        """Logits of the target's codes given the other columns of rows.

        Shapes:
            (rows, columns of the domain) → (rows, target codes).
        """
        found = np.tile(self.bias, (len(codes), 1))
        for place, column in enumerate(self.active):
            if column != self.target:
                found += self.block[self.offsets[place] + codes[:, column]]
        return found

    def probabilities(self, codes: Codes) -> Floats:
        """Probability of each of the target's codes."""
        return softmax(self.logits(codes))

    def log_chosen(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Log-probability of each row's own target code."""
        logits = self.logits(codes).astype(np.float64)
        top = logits.max(axis=1)
        normaliser = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
        return logits[np.arange(len(codes)), codes[:, self.target]] - normaliser

    def corrected(self, block: Floats, bias: Floats) -> "TargetModel":
        """The model with a correction added."""
        return replace(self, block=self.block + block, bias=self.bias + bias)

    def calibrated(self, codes: Codes, shares: npt.NDArray[np.float64]) -> "TargetModel":
        """The model whose mean probabilities on rows are the released one-way shares; exact shares are free and better than noisy means."""
        logits, goal = self.logits(codes), np.log(np.maximum(shares, 1e-12))
        shift = np.zeros(len(goal), dtype=np.float32)
        for _ in range(_CALIBRATION_STEPS):
            mean = softmax(logits + shift).mean(axis=0, dtype=np.float64)
            move = np.clip(goal - np.log(np.maximum(mean, 1e-12)), -1.0, 1.0)
            shift += move.astype(np.float32)
            if np.abs(move).max() < 1e-3:
                break
        return replace(self, bias=self.bias + shift)


def field_conditional(generator: Maxent, target: int) -> TargetModel:
    """The field's own conditional law of a column in it."""
    field, place = generator.field, generator.active.index(target)
    part = field.slices[place]
    return TargetModel(
        target,
        generator.active,
        np.array(field.domain.offsets[:-1], dtype=np.int64),
        np.ascontiguousarray(field.weights[:, part].cpu().numpy(), dtype=np.float32),
        np.ascontiguousarray(field.bias[part].cpu().numpy(), dtype=np.float32),
    )


def carried_over(
    earlier: TargetModel | None, field: Maxent, fresh: Maxent, target: int, places: dict[int, int]
) -> TargetModel:
    """A fresh field's conditional law of the target, with what an earlier release had corrected its own field's by.

    Args:
        earlier: the earlier conditional model, if there was one.
        field: the field that it corrected.
        fresh: the fresh field.
        target: index of the target in the fresh domain.
        places: index in the fresh domain of each column of the earlier one that kept its codes; others are not corrected.
    """
    own = field_conditional(fresh, target)
    if earlier is None or places.get(earlier.target) != target:
        return own
    before = field_conditional(field, earlier.target)
    block = np.zeros_like(own.block)
    for place, column in enumerate(earlier.active):
        if column != earlier.target and places.get(column) in own.active:
            size, start = field.domain.sizes[column], earlier.offsets[place]
            to = own.offsets[own.active.index(places[column])]
            block[to : to + size] = (earlier.block - before.block)[start : start + size]
    return own.corrected(block, earlier.bias - before.bias)


def softmax(logits: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Probabilities (rows, codes); −∞ logits are allowed as long as one of a row is finite."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)
