"""The Markov random field: log p(x) = Σ_j bias_j(x_j) + Σ_pairs theta(x_a, x_b), and its Gibbs chains.

All factors live in one symmetric matrix over one-hot codes, so that the conditional logits of a column are a sum of rows of it.
The chains are moved by the compiled loops of `kernel`, in main memory.

Symbols: S one-hot width, M chains, d active columns, D_j codes of column j.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth_pipeline.generate.maxent.kernel import Column, Floats, Ints, move_and_count
from synth_pipeline.table.encoded import Domain


@dataclass
class Field:
    """Factors and chains.

    Attributes:
        domain: the active columns.
        weights: symmetric (S, S) float32; blocks of a column with itself are zero. −∞ forbids a pair of codes.
        bias: (S,) float32.
        states: (M, d) int32 one-hot positions (offset of the column + code).
        fit_chains: how many of the chains, the last ones, a further fit starts from; 0 is all of them.
    """

    domain: Domain
    weights: Tensor
    bias: Tensor
    states: Tensor
    fit_chains: int = 0

    def __post_init__(self) -> None:
        self.slices = self.domain.slices()
        self.offsets = torch.tensor(self.domain.offsets[:-1])
        self.states = self.states.to("cpu", torch.int32).contiguous()
        self.weights, self.bias = self.weights.cpu(), self.bias.cpu()

    @property
    def chains(self) -> int:
        """Number of chains."""
        return len(self.states)

    @property
    def width(self) -> int:
        """One-hot width S."""
        return self.domain.offsets[-1]

    @property
    def rows(self) -> Ints:
        """The chains as an array that shares their memory, (M, d)."""
        return self.states.numpy()

    def neighbours(self) -> np.ndarray:
        """Which columns share a factor, (d, d) booleans."""
        starts = np.array(self.domain.offsets[:-1])
        used = np.logical_or.reduceat(self.weights.numpy() != 0, starts, axis=1)
        return np.logical_or.reduceat(used, starts, axis=0)

    def column(self, index: int, near: np.ndarray) -> Column:
        """A column for the compiled moves.

        Args:
            index: position in the domain.
            near: the columns that share a factor with it, (d,) booleans.
        """
        part = self.slices[index]
        others = np.flatnonzero(near & (np.arange(len(near)) != index)).astype(np.int32)
        block = np.ascontiguousarray(self.weights.numpy()[:, part])
        return Column(index, part.start, others, block, self.bias.numpy()[part].copy())

    def resample(self, log_weights: Tensor, generator: torch.Generator) -> Tensor:
        """Systematic resampling of the chains in proportion to their weights; returns the chosen ones' former places."""
        chosen = systematic(log_weights, self.chains, generator)
        self.states = self.states[chosen]
        return chosen


def systematic(log_weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices of `count` systematic draws in proportion to the weights, ascending."""
    cumulative = torch.cumsum(torch.softmax(log_weights.double(), 0), 0)
    start = uniform(1, generator).double()
    points = (torch.arange(count, dtype=torch.float64) + start) / count * cumulative[-1]
    return torch.searchsorted(cumulative, points, right=True).clamp_(max=len(log_weights) - 1)


def uniform(count: int, generator: torch.Generator) -> Tensor:
    """Uniform numbers in [0, 1), float32, in main memory."""
    return torch.rand(count, generator=generator, device=generator.device).cpu()


def start_field(domain: Domain, shares: list[np.ndarray], chains: int, rng: np.random.Generator) -> Field:
    """The field of independent columns with the released one-ways, its chains stratified draws from them.

    Args:
        domain: the active columns.
        shares: one-way shares of each.
        chains: number of chains of a fit.
        rng: randomness of the draws.
    """
    columns = [
        rng.permutation(
            np.searchsorted(np.cumsum(share)[:-1], (np.arange(chains) + rng.random()) / chains, side="right")
        )
        for share in shares
    ]
    states = torch.tensor(np.stack(columns, 1) + np.array(domain.offsets[:-1]), dtype=torch.int32)
    width = domain.offsets[-1]
    bias = torch.tensor(np.log(np.concatenate(shares)), dtype=torch.float32)
    return Field(domain, torch.zeros(width, width), bias, states, fit_chains=chains)


def sweep_once(field: Field, near: np.ndarray, rng: np.random.Generator, generator: torch.Generator) -> Floats:
    """One Gibbs sweep in random column order, and a Rao–Blackwell estimate of the pair marginals.

    Returns:
        (S, S), not symmetric: columns of a block are estimated when its column moves; both halves estimate the same.
    """
    joint = np.zeros((field.width, field.width), np.float32)
    rows = field.rows
    for index in rng.permutation(len(field.domain)):
        column = field.column(int(index), near[index])
        table = np.zeros(column.block.shape, np.float32)
        move_and_count(rows, column, uniform(len(rows), generator).numpy(), table)
        joint[:, field.slices[index]] = table
    joint /= len(rows)
    return joint


def sweep(field: Field, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """One Gibbs sweep in random column order, and the Rao–Blackwell estimate of all pair marginals, (S, S), symmetric."""
    joint = torch.from_numpy(sweep_once(field, field.neighbours(), rng, generator))
    return (joint + joint.T) / 2
