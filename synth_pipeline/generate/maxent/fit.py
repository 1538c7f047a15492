"""FIT: stochastic maximum likelihood of the field on noisy tables, by persistent chains with resampling.

For each table with noise s (in proportions) the log-factors theta follow

    g = (y − x̂ − λθ) / (max(y, x̂) + λ + s),   λ = ridge · s,

with x̂ the Rao–Blackwell estimate of the model's table. The ridge is the denoiser: cells whose residual lies inside the noise stay near
independence, so no consistency step is needed. After each update the chains are resampled by the change of their log-probability
(particle-filtered stochastic maximum likelihood), which moves modes that single-site Gibbs cannot.

Source:
    Tieleman 2008 (persistent contrastive divergence); Asuncion, Liu, Ihler & Smyth 2010 (particle-filtered MCMC-MLE).
Deviations: Rao–Blackwell pair estimates, degree-damped steps with momentum, ridge in units of each table's DP noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth_pipeline.generate.maxent.config import step_sizes
from synth_pipeline.generate.maxent.field import Field, sweep
from synth_pipeline.privacy.answer import PairPartition

_MOMENTUM = 0.8
_BIAS_RIDGE = 0.02


@dataclass(frozen=True, eq=False)
class Measurement:
    """A noisy table of a pair, in rows.

    Attributes:
        partition: its cells, over the codes of the active columns (indices of the active domain).
        values: noisy rows of each cell.
        sigma: standard deviation of their noise.
    """

    partition: PairPartition
    values: np.ndarray
    sigma: float

    def merged(self, other: "Measurement") -> "Measurement":
        """The inverse-variance mean with another measurement of the same table."""
        weights = 1 / np.array([self.sigma**2, other.sigma**2])
        values = (self.values * weights[0] + other.values * weights[1]) / weights.sum()
        return Measurement(self.partition, values, float(1 / np.sqrt(weights.sum())))


@dataclass
class Targets:
    """All measured tables as flat vectors, so that one step updates all of them.

    Attributes:
        places: positions in the flattened (S, S) matrix of every code pair of every table.
        cells: for each of those, the table cell that it belongs to.
        values: noisy share of each table cell.
        noise: its noise, as a share.
        damping: step factor of each table cell, smaller where its columns are in many tables.
        tables: for each table cell, which table it belongs to.
        theta: log-factor of each table cell.
    """

    places: Tensor
    cells: Tensor
    values: Tensor
    noise: Tensor
    damping: Tensor
    tables: Tensor
    theta: Tensor


@dataclass(frozen=True, eq=False)
class OneWays:
    """Released one-way shares of the active columns, (S,), and their noise."""

    values: Tensor
    noise: Tensor


def make_targets(
    field: Field, measurements: Sequence[Measurement], rows: float, theta: dict[str, np.ndarray]
) -> Targets:
    """The measured tables as targets, each with the log-factors that it had before (zero for new ones)."""
    width, offsets = field.width, field.domain.offsets
    degree = np.zeros(len(field.domain))
    for item in measurements:
        degree[[item.partition.first, item.partition.second]] += 1
    parts: dict[str, list[np.ndarray]] = {
        key: [] for key in ("places", "cells", "values", "noise", "damping", "tables", "theta")
    }
    start = 0
    for number, item in enumerate(measurements):
        part = item.partition
        first, second = offsets[part.first], offsets[part.second]
        shape = part.labels.shape
        places = (first + np.arange(shape[0]))[:, None] * width + second + np.arange(shape[1])[None, :]
        parts["places"].append(places.reshape(-1))
        parts["cells"].append(part.labels.reshape(-1) + start)
        parts["values"].append(item.values / rows)
        parts["noise"].append(np.full(part.size, item.sigma / rows))
        damping = 1 / max(1.0, 0.5 * np.sqrt(degree[part.first] * degree[part.second]))
        parts["damping"].append(np.full(part.size, damping))
        parts["tables"].append(np.full(part.size, number))
        parts["theta"].append(theta.get(table_key(part), np.zeros(part.size)))
        start += part.size
    flat = {key: torch.as_tensor(np.concatenate(value), device=field.bias.device) for key, value in parts.items()}
    floats = {key: value.float() for key, value in flat.items() if key not in ("places", "cells", "tables")}
    return Targets(places=flat["places"], cells=flat["cells"], tables=flat["tables"], **floats)


def table_key(partition: PairPartition) -> str:
    """Identity of a table among the measured ones."""
    return f"{partition.first}|{partition.second}|{partition.name}"


@dataclass(frozen=True)
class FitResult:
    """Where a fit ended.

    Attributes:
        joint: model's pair marginals, (S, S): mean over the last half of the sweeps.
        residual: root mean square of (model − noisy table) / noise, averaged over tables; about 0.85–1.05 when converged.
    """

    joint: Tensor
    residual: float


class Fitter:
    """Fits a field to targets; keeps the momentum between its steps."""

    def __init__(
        self,
        field: Field,
        targets: Targets,
        one_ways: OneWays,
        *,
        ridge: float,
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> None:
        self.field = field
        self.targets = targets
        self.one_ways = one_ways
        self.ridge = ridge
        self.rng = rng
        self.generator = generator
        self.bias_log = torch.zeros_like(field.bias)
        self.speed = torch.zeros_like(targets.theta)
        self.bias_speed = torch.zeros_like(field.bias)

    def run(self, sweeps: int) -> FitResult:
        """Sweep and step; the model's marginals are averaged over the last half."""
        total, kept = torch.zeros_like(self.field.weights), 0
        for number, eta in enumerate(step_sizes(sweeps)):
            joint = sweep(self.field, self.rng, self.generator)
            if number >= sweeps // 2:
                total += joint
                kept += 1
            self._step(joint, float(eta))
        joint = total / kept
        return FitResult(joint, self._residual(joint))

    def model_tables(self, joint: Tensor) -> Tensor:
        """The model's share of each table cell."""
        return _tables(self.targets, joint)

    def _step(self, joint: Tensor, eta: float) -> None:
        goal, field = self.targets, self.field
        model = self.model_tables(joint)
        ridge = self.ridge * goal.noise
        gain = (goal.values - model - ridge * goal.theta) / (torch.maximum(goal.values, model) + ridge + goal.noise)
        self.speed = (eta * goal.damping * gain).clamp_(-1, 1) + _MOMENTUM * self.speed
        goal.theta += self.speed
        change = torch.zeros(field.width * field.width, device=model.device)
        change.index_add_(0, goal.places, self.speed[goal.cells])
        change = change.reshape(field.width, field.width)
        change = change + change.T
        bias_change = self._bias_step(torch.diag(joint), eta)
        hot = field.one_hot()
        log_weights = 0.5 * ((hot @ change) * hot).sum(1) + hot @ bias_change
        field.weights += change
        field.bias += bias_change
        field.resample(log_weights, self.generator)

    def _bias_step(self, model: Tensor, eta: float) -> Tensor:
        goal = self.one_ways
        gain = (goal.values - model - _BIAS_RIDGE * goal.noise * self.bias_log) / (
            torch.maximum(model, goal.values) + goal.noise
        )
        self.bias_speed = (0.5 * eta * gain).clamp_(-1, 1) + _MOMENTUM * self.bias_speed
        self.bias_log += self.bias_speed
        return self.bias_speed

    def _residual(self, joint: Tensor) -> float:
        goal = self.targets
        squares = ((self.model_tables(joint) - goal.values) / goal.noise) ** 2
        tables = int(goal.tables.max()) + 1
        sums = torch.zeros(tables, device=squares.device).index_add_(0, goal.tables, squares)
        sizes = torch.bincount(goal.tables, minlength=tables)
        return float((sums / sizes).sqrt().mean())


def _tables(targets: Targets, joint: Tensor) -> Tensor:
    shares = torch.zeros_like(targets.values)
    return shares.index_add_(0, targets.cells, joint.reshape(-1)[targets.places])
