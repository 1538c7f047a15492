"""What can change the mechanism of MaxEnt-Gibbs, and the rules that adapt it to the signal of a table.

The rules read the noisy row count, the budget and the public schema only.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np


class SelectionConfig(Protocol):
    """Constants that the selection of tables reads; see `MaxentConfig` for their meaning."""

    @property
    def target_weight(self) -> float:
        """Factor on the score of a pair with the target."""
        ...

    @property
    def noise_penalty(self) -> float:
        """How much of a table's expected noise is taken off its score."""
        ...

    @property
    def cells_power(self) -> float:
        """Cost of a picked table ∝ cells to this power."""
        ...

    @property
    def rectangles(self) -> tuple[int, ...]:
        """Sizes of the adaptive partitions of a pair."""
        ...


@dataclass(frozen=True)
class MaxentConfig:
    """Constants of the mechanism.

    Attributes:
        target: public target column; its pairs weigh more in the selection, and each gets at least a coarse table.
        target_weight: factor on the score of a pair with the target.
        determined: dependencies that the specification declares: (column, the column that determines it).
        dependency_share: share of the walk's cost for functional dependencies.
        noise_penalty: how much of a table's expected noise is taken off its score.
        cells_power: cost of a picked table ∝ cells to this power.
        groups: sizes of the coarse maps of a column, beside the full one.
        rectangles: sizes of the adaptive partitions of a pair, from the second round on.
        ridge: pull of a log-factor towards 0, in units of the noise of its table; levels off where the factor is large.
        chains: number of Gibbs chains of the fit.
        sweeps: sweeps after each round but the last.
        final_sweeps: sweeps after the last round.
    """

    target: str | None = None
    target_weight: float = 1.5
    determined: tuple[tuple[str, str], ...] = ()
    dependency_share: float = 0.015
    noise_penalty: float = 0.4
    cells_power: float = 0.4
    groups: tuple[int, ...] = (12, 5)
    rectangles: tuple[int, ...] = (36, 144)
    ridge: float = 2.0
    chains: int = 2048
    sweeps: int = 20
    final_sweeps: int = 50

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "MaxentConfig":
        """The config that `to_json` wrote."""
        plain: dict[str, Any] = {
            **content,
            "groups": tuple(content["groups"]),
            "rectangles": tuple(content["rectangles"]),
            "determined": tuple((column, by) for column, by in content["determined"]),
        }
        return cls(**plain)


@dataclass(frozen=True)
class RoundPlan:
    """How the pairs' budget is spent.

    Attributes:
        rounds: number of select–measure–fit rounds, of equal cost.
        selection_share: share of a round's cost for its scores.
        picks_per_column: most tables picked a round, for each active column.
    """

    rounds: int
    selection_share: float
    picks_per_column: float


def plan_rounds(*, columns: int, rows: float, cost: float) -> RoundPlan:
    """Four rounds where the scores of all candidates are clear of their noise, fewer with a larger selection share where not.

    Args:
        columns: number of modelled columns.
        rows: noisy row count.
        cost: μ² left for pairs.
    """
    candidates = max(2.8 * columns * (columns - 1) / 2, 1.0)
    for rounds, share in ((4, 0.03), (3, 0.06), (2, 0.10)):
        if math.sqrt(candidates * rounds / (share * cost)) <= 0.06 * rows:
            return RoundPlan(rounds, share, 3.0 if rounds > 2 else 2.0)
    return RoundPlan(2, 0.10, 2.0)


def step_sizes(sweeps: int) -> np.ndarray:
    """Learning rate of each sweep: geometric from 0.25 to 0.05."""
    return 0.25 * (0.05 / 0.25) ** (np.arange(sweeps) / max(sweeps - 1, 1))
