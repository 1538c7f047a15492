"""FIT: the mixture by gradient (Adam) on noisy tables of pairs and noisy one-ways.

With x̂ the model's share of a table cell, y the noisy one, s its noise and n rows, the loss is

    ½ Σ_cells (x̂ − y)² / (s² + max(y, 0)/n)  +  λ n Σ_k w_k Σ_c KL(p_kc ‖ p̄_c),

where y/n is the sampling variance of a share and p̄_c the mixture's own one-way. The second sum is the information that components carry
about columns: what a component pays for departing from independence. It is the denoiser, as the ridge is in `maxent`; without it the fit
follows the noise after some 300 steps. λ is steered so that the residuals come to what noise alone leaves (Morozov's discrepancy
principle), which reads released values only.

Symbols: K components, S one-hot width, d active columns, A (K, S) log-factors, a (K,) log-weights, P and w their softmaxes.

Source:
    Loss on noisy marginals by Adam after Liu, Vietri & Wu 2021 (GEM, arXiv 2106.07153, mixtures of products); Morozov 1966.
Deviations: noise-aware weights, the information penalty and its steering are ours. Measured on adult at ε = 1, mean distance of pairs on
the bins (one seed): .0279 without the penalty, .0207 with it; bank .0252 and .0208; credit_default .098 and .072. From 200 to 800
components, and twice the steps, change nothing. A lower price for the target's column costs accuracy on bank and credit_default.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth_pipeline.generate.maxent.fit import Measurement
from synth_pipeline.generate.mixture.config import MixtureConfig
from synth_pipeline.table.encoded import Domain
from synth_pipeline.table.profile import Floats

_LAST_RATE = 0.1
_DECAYS = (0.9, 0.99)
_STEERING = 0.3
_LAMBDA_RANGE = (0.001, 0.05)
_LOWEST_LOG = -60.0


@dataclass(frozen=True, eq=False)
class TableTargets:
    """All measured tables as flat vectors.

    Attributes:
        places: positions in the flattened (S, S) matrix of every code pair of every table.
        cells: for each of those, the table cell that it belongs to.
        values: noisy share of each table cell.
        noise: its noise, as a share.
        variance: its noise and sampling variance.
        tables: table of each cell.
        sizes: cells of each table.
    """

    places: Tensor
    cells: Tensor
    values: Tensor
    noise: Tensor
    variance: Tensor
    tables: Tensor
    sizes: Tensor

    def residuals(self, shares: Tensor) -> Tensor:
        """Root mean square of (model − noisy) / noise of each table."""
        squares = ((shares - self.values) / self.noise) ** 2
        return (torch.zeros_like(self.sizes).index_add_(0, self.tables, squares) / self.sizes).sqrt()


def make_table_targets(domain: Domain, measurements: Sequence[Measurement], rows: float) -> TableTargets:
    """The measured tables (columns numbered as in `domain`) as targets."""
    width, offsets, start = domain.offsets[-1], domain.offsets, 0
    places: list[np.ndarray] = []
    cells: list[np.ndarray] = []
    for item in measurements:
        part = item.partition
        shape = part.labels.shape
        first, second = offsets[part.first] + np.arange(shape[0]), offsets[part.second] + np.arange(shape[1])
        places.append((first[:, None] * width + second[None, :]).reshape(-1))
        cells.append(part.labels.reshape(-1) + start)
        start += part.size
    sizes = np.array([item.partition.size for item in measurements])
    values = np.concatenate([item.values for item in measurements]) / rows
    noise = np.concatenate([item.noise for item in measurements]) / rows
    floats = (values, noise, noise**2 + np.maximum(values, 0.0) / rows)
    flat = [torch.tensor(part, dtype=torch.float32) for part in floats]
    return TableTargets(
        torch.tensor(np.concatenate(places)),
        torch.tensor(np.concatenate(cells)),
        *flat,
        tables=torch.tensor(np.repeat(np.arange(len(sizes)), sizes)),
        sizes=torch.tensor(sizes, dtype=torch.float32),
    )


class MixtureFitter:
    """Holds the parameters of the mixture and moves them towards targets."""

    def __init__(
        self, domain: Domain, shares: Sequence[Floats], config: MixtureConfig, *, rows: float, seed: int
    ) -> None:
        self.domain, self.config, self.rows = domain, config, rows
        width, count = domain.offsets[-1], config.component_count(domain.offsets[-1])
        start = torch.tensor(np.log(np.concatenate(shares)), dtype=torch.float32)
        noise = torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
        self.logs, self.log_weights = start + config.spread * noise, torch.zeros(count)
        self.price = config.information
        self.residual = 0.0
        self._columns = torch.zeros(width, len(domain))
        for column, part in enumerate(domain.slices()):
            self._columns[part, column] = 1.0

    def tables(self) -> Tensor:
        """P (K, S): distribution of every column in every component."""
        raised = torch.exp((self.logs - self.logs.amax(1, keepdim=True)).clamp_(min=_LOWEST_LOG))
        return raised / self._column_sums(raised)

    def released(self) -> tuple[Floats, Floats]:
        """Weights w (K,) and tables P (K, S) as float64, each distribution summing to 1."""
        weights, tables = torch.softmax(self.log_weights.double(), 0), self.tables().double()
        for part in self.domain.slices():
            tables[:, part] /= tables[:, part].sum(1, keepdim=True)
        return weights.numpy(), tables.numpy()

    def joint(self) -> Tensor:
        """The model's pair marginals (S, S), symmetric, one-ways on the diagonal blocks."""
        tables, weights = self.tables(), torch.softmax(self.log_weights, 0)
        joint, mean = (tables * weights[:, None]).T @ tables, weights @ tables
        for part in self.domain.slices():
            joint[part, part] = torch.diag(mean[part])
        return joint

    def run(self, targets: TableTargets, one_ways: tuple[Floats, Floats], steps: int) -> None:
        """Adam steps of a falling rate.

        Args:
            targets: the noisy tables.
            one_ways: noisy shares of the single columns, side by side, and their noise.
            steps: number of steps.
        """
        values, noise = (torch.tensor(part, dtype=torch.float32) for part in one_ways)
        goal = (values, noise**2 + values.clamp(min=0) / self.rows)
        adam = (_Adam(self.logs), _Adam(self.log_weights))
        for number in range(steps):
            rate = self.config.learning_rate * _LAST_RATE ** (number / steps)
            for optimiser, gradient in zip(adam, self._gradients(targets, goal), strict=True):
                optimiser.step(gradient, rate)
            if number >= steps // 3:
                steered = self.price * float(np.exp(_STEERING * np.clip(self.config.residual - self.residual, -1, 1)))
                self.price = float(np.clip(steered, *_LAMBDA_RANGE))

    def _gradients(self, targets: TableTargets, goal: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Gradients of the loss by the log-factors and the log-weights."""
        tables, weights = self.tables(), torch.softmax(self.log_weights, 0)
        weighted = tables * weights[:, None]
        joint = weighted.T @ tables
        shares = torch.zeros_like(targets.values).index_add_(0, targets.cells, joint.view(-1)[targets.places])
        self.residual = float(targets.residuals(shares).mean())
        pull = (shares - targets.values) / targets.variance
        force = torch.zeros(joint.numel()).index_add_(0, targets.places, pull[targets.cells]).view_as(joint)
        paired = tables @ (force + force.T)
        mean = weights @ tables
        single = (mean - goal[0]) / goal[1]
        told = self.price * self.rows * torch.log(tables / mean)  # the term of dp̄ sums to zero over the components
        by_table = paired + single + told
        by_weight = 0.5 * (tables * paired).sum(1) + tables @ single + (tables * told).sum(1)
        by_logs = weighted * (by_table - self._column_sums(tables * by_table))
        return by_logs, weights * (by_weight - (weights * by_weight).sum())

    def _column_sums(self, values: Tensor) -> Tensor:
        """Sum over the codes of each column, repeated for each of them, (K, S)."""
        return (values @ self._columns) @ self._columns.T


class _Adam:
    """Adam on one tensor, in place (Kingma & Ba 2015)."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.mean, self.square = torch.zeros_like(values), torch.zeros_like(values)
        self.number = 0

    def step(self, gradient: Tensor, rate: float) -> None:
        first, second = _DECAYS
        self.number += 1
        self.mean.mul_(first).add_(gradient, alpha=1 - first)
        self.square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = (self.square / (1 - second**self.number)).sqrt() + 1e-8
        self.values.sub_(rate / (1 - first**self.number) * self.mean / scale)
