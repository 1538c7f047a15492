"""FIT: stochastic maximum likelihood of the field on noisy tables, by persistent chains with resampling.

For each table with noise s (in proportions) the log-factors theta follow

    g = (y − x̂ − λθ) / (max(y, x̂) + λ + s),   λ = ridge · s / (1 + |θ|),

with x̂ the Rao–Blackwell estimate of the model's table. The ridge is the denoiser: cells whose residual lies inside the noise stay near
independence, so no consistency step is needed. Its pull levels off where |θ| is large, so that strong relations are not bent. After each
update the chains are resampled by the change of their log-probability (particle-filtered stochastic maximum likelihood), which moves
modes that single-site Gibbs cannot.

The factors that are kept are the mean over the last half of the sweeps, and the chains of those sweeps are kept as a pool of rows: the
start of every sample.

Source:
    Tieleman 2008 (persistent contrastive divergence); Asuncion, Liu, Ihler & Smyth 2010 (particle-filtered MCMC-MLE);
    Polyak & Juditsky 1992 (averaging).
Deviations: Rao–Blackwell pair estimates, degree-damped steps with momentum, ridge in units of each table's DP noise.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth_pipeline.generate.maxent.config import step_sizes
from synth_pipeline.generate.maxent.field import Field, sweep_once
from synth_pipeline.generate.maxent.kernel import energies
from synth_pipeline.privacy.answer import PairPartition

_MOMENTUM = 0.8
_MOST_POOLED = 65_536
_MOST_CELLS = 8_000_000
_MOST_CHAINS = 16_384
_CHAIN_NOISE = 0.5
_CONTINUED_STEP = 0.4
_BIAS_RIDGE = 0.02
_MEAN_NOISE = math.sqrt(2 / math.pi)  # mean size of a standard Gaussian


@dataclass(frozen=True, eq=False)
class Measurement:
    """A noisy table of a pair, in rows.

    Attributes:
        partition: its cells, over the codes of the active columns (indices of the active domain).
        values: noisy rows of each cell.
        sigma: standard deviation of their noise; where cells differ, the root of their mean variance.
        sigmas: standard deviation of each cell, where cells differ (a table of an earlier snapshot); else None.
    """

    partition: PairPartition
    values: np.ndarray
    sigma: float
    sigmas: np.ndarray | None = None

    @property
    def noise(self) -> np.ndarray:
        """Standard deviation of each cell."""
        return np.full(self.partition.size, self.sigma) if self.sigmas is None else self.sigmas

    def merged(self, other: "Measurement") -> "Measurement":
        """The inverse-variance mean with another measurement of the same table."""
        if self.sigmas is not None or other.sigmas is not None:
            own, others = 1 / self.noise**2, 1 / other.noise**2
            sigmas = 1 / np.sqrt(own + others)
            values = (self.values * own + other.values * others) / (own + others)
            return Measurement(self.partition, values, float(np.sqrt(np.mean(sigmas**2))), sigmas)
        weights = 1 / np.array([self.sigma**2, other.sigma**2])
        values = (self.values * weights[0] + other.values * weights[1]) / weights.sum()
        return Measurement(self.partition, values, float(1 / np.sqrt(weights.sum())))


@dataclass
class Targets:
    """All measured tables as flat vectors, so that one step updates all of them.

    Attributes:
        places: positions in the flattened (S, S) matrix of every code pair of every table.
        mirrored: the same positions in its transpose.
        cells: for each of those, the table cell that it belongs to.
        values: noisy share of each table cell.
        noise: its noise, as a share.
        damping: step factor of each table cell, smaller where its columns are in many tables.
        tables: for each table cell, which table it belongs to.
        theta: log-factor of each table cell.
    """

    places: Tensor
    mirrored: Tensor
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
        key: [] for key in ("places", "mirrored", "cells", "values", "noise", "damping", "tables", "theta")
    }
    start = 0
    for number, item in enumerate(measurements):
        part = item.partition
        first, second = offsets[part.first], offsets[part.second]
        shape = part.labels.shape
        places = (first + np.arange(shape[0]))[:, None] * width + second + np.arange(shape[1])[None, :]
        parts["places"].append(places.reshape(-1))
        parts["mirrored"].append((places % width * width + places // width).reshape(-1))
        parts["cells"].append(part.labels.reshape(-1) + start)
        parts["values"].append(item.values / rows)
        parts["noise"].append(item.noise / rows)
        damping = 1 / max(1.0, 0.5 * np.sqrt(degree[part.first] * degree[part.second]))
        parts["damping"].append(np.full(part.size, damping))
        parts["tables"].append(np.full(part.size, number))
        parts["theta"].append(theta.get(table_key(part), np.zeros(part.size)))
        start += part.size
    flat = {key: torch.as_tensor(np.concatenate(value)) for key, value in parts.items()}
    whole = ("places", "mirrored", "cells", "tables")
    return Targets(**{key: value if key in whole else value.float() for key, value in flat.items()})


def table_key(partition: PairPartition) -> str:
    """Identity of a table among the measured ones."""
    return f"{partition.first}|{partition.second}|{partition.name}"


@dataclass(frozen=True)
class FitResult:
    """Where a fit ended.

    Attributes:
        joint: model's pair marginals, (S, S): mean over the last half of the sweeps.
        residual: root mean square of (model − noisy table) / noise, averaged over tables; about 0.85–1.05 when converged.
        misfit: total variation between model and noisy table beyond what the noise explains, averaged over tables.
    """

    joint: Tensor
    residual: float
    misfit: float = 0.0


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
        self.one_ways = OneWays(one_ways.values.cpu(), one_ways.noise.cpu())
        self.ridge = ridge
        self.rng = rng
        self.generator = generator
        self.bias_log = torch.zeros_like(field.bias)
        self.speed = torch.zeros_like(targets.theta)
        self.bias_speed = torch.zeros_like(field.bias)
        self.change = torch.zeros_like(field.weights)
        self.near = _neighbours(field, targets)

    def run(self, sweeps: int) -> FitResult:
        """Sweep and step; factors and marginals are averaged over the last half, whose chains become the field's pool."""
        field = self.field
        is_continued = bool(_is_warm(self.targets).all())
        most = _MOST_CHAINS * (2 if is_continued else 1)
        self._set_chains(min(self._needed_chains(sweeps - sweeps // 2), most))
        total, kept = torch.zeros_like(field.weights), 0
        mean_theta, mean_bias = torch.zeros_like(self.targets.theta), torch.zeros_like(field.bias)
        pool: deque[Tensor] = deque(
            maxlen=max(1, min(_MOST_POOLED // field.chains, _MOST_CELLS // field.states.numel()))
        )
        for number, eta in enumerate(step_sizes(sweeps) * (_CONTINUED_STEP if is_continued else 1.0)):
            joint = torch.from_numpy(sweep_once(field, self.near, self.rng, self.generator))
            self._step(joint, float(eta))
            if number >= sweeps // 2:
                total += joint
                kept += 1
                mean_theta += self.targets.theta
                mean_bias += field.bias
                pool.append(field.states.clone())
        self._add(mean_theta / kept - self.targets.theta, mean_bias / kept - field.bias)
        field.states = torch.cat(list(pool))
        joint = total.add_(total.T.clone()).div_(2 * kept)
        return FitResult(joint, *self._goodness(joint))

    def _needed_chains(self, kept: int) -> int:
        """Chains whose sampling error over the kept sweeps is small against the tables' noise, at least as many as the field asks for."""
        goal = self.targets
        ratio = float((goal.values.clamp(min=0.0) / goal.noise**2).mean())
        return max(self.field.fit_chains, math.ceil(ratio / (kept * _CHAIN_NOISE)))

    def _set_chains(self, count: int) -> None:
        """The last chains, as many as asked for; where the field has fewer, each of them about equally often."""
        states = self.field.states
        count = count or len(states)
        chosen = np.resize(self.rng.permutation(len(states)), count) if count > len(states) else np.arange(-count, 0)
        self.field.states = states[torch.from_numpy(chosen)]

    def model_tables(self, joint: Tensor) -> Tensor:
        """The model's share of each table cell; either half of the matrix may hold it, their mean is taken."""
        goal, flat = self.targets, joint.reshape(-1)
        shares = torch.zeros_like(goal.values)
        return shares.index_add_(0, goal.cells, (flat[goal.places] + flat[goal.mirrored]) / 2)

    def _step(self, joint: Tensor, eta: float) -> None:
        goal, field = self.targets, self.field
        model = self.model_tables(joint)
        ridge = self.ridge * goal.noise / (1 + goal.theta.abs())
        gain = (goal.values - model - ridge * goal.theta) / (torch.maximum(goal.values, model) + ridge + goal.noise)
        self.speed = (eta * goal.damping * gain).clamp_(-1, 1) + _MOMENTUM * self.speed
        bias_change = self._bias_step(torch.diag(joint), eta)
        log_weights = self._add(self.speed, bias_change)
        field.resample(log_weights, self.generator)

    def _add(self, theta: Tensor, bias: Tensor) -> Tensor:
        """Add to the log-factors of the tables and to the biases; returns the change of each chain's log-probability."""
        goal, field = self.targets, self.field
        change, cells = self.change.reshape(-1), theta[goal.cells]
        change.index_add_(0, goal.places, cells)
        change.index_add_(0, goal.mirrored, cells)
        gained = torch.from_numpy(energies(field.rows, self.change.numpy(), bias.numpy()))
        flat = field.weights.reshape(-1)
        flat.index_add_(0, goal.places, cells)
        flat.index_add_(0, goal.mirrored, cells)
        change[goal.places] = 0.0
        change[goal.mirrored] = 0.0
        goal.theta += theta
        field.bias += bias
        return gained

    def _bias_step(self, model: Tensor, eta: float) -> Tensor:
        goal = self.one_ways
        gain = (goal.values - model - _BIAS_RIDGE * goal.noise * self.bias_log) / (
            torch.maximum(model, goal.values) + goal.noise
        )
        self.bias_speed = (0.5 * eta * gain).clamp_(-1, 1) + _MOMENTUM * self.bias_speed
        self.bias_log += self.bias_speed
        return self.bias_speed

    def _goodness(self, joint: Tensor) -> tuple[float, float]:
        """Residual and misfit (see `FitResult`)."""
        goal = self.targets
        error, tables = (self.model_tables(joint) - goal.values).abs(), int(goal.tables.max()) + 1
        squares = torch.zeros(tables).index_add_(0, goal.tables, (error / goal.noise) ** 2)
        distance = torch.zeros(tables).index_add_(0, goal.tables, (error - _MEAN_NOISE * goal.noise) / 2)
        sizes = torch.bincount(goal.tables, minlength=tables)
        return float((squares / sizes).sqrt().mean()), float(distance.clamp(min=0).mean())


def _is_warm(targets: Targets) -> Tensor:
    """Which tables have been fitted before."""
    moved = torch.zeros(int(targets.tables.max()) + 1).index_add_(0, targets.tables, targets.theta.abs())
    return moved > 0


def _neighbours(field: Field, targets: Targets) -> np.ndarray:
    """Which columns share a factor, those about to be fitted included, (d, d) booleans."""
    starts = np.array(field.domain.offsets[:-1])
    near = field.neighbours()
    for flat in (targets.places.numpy(), targets.mirrored.numpy()):
        first, second = np.divmod(flat, field.width)
        near[np.searchsorted(starts, first, side="right") - 1, np.searchsorted(starts, second, side="right") - 1] = True
    return near
