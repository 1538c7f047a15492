"""The Markov random field: log p(x) = Σ_j bias_j(x_j) + Σ_pairs theta(x_a, x_b), and its Gibbs chains.

All factors live in one symmetric matrix over one-hot codes, so that the conditional logits of a column are a sum of rows of it.

Symbols: S one-hot width, M chains, d active columns, D_j codes of column j.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from synth_pipeline.table.encoded import Domain


@dataclass
class Field:
    """Factors and chains.

    Attributes:
        domain: the active columns.
        weights: symmetric (S, S) float32; blocks of a column with itself are zero.
        bias: (S,) float32.
        states: (M, d) int64 one-hot positions (offset of the column + code).
    """

    domain: Domain
    weights: Tensor
    bias: Tensor
    states: Tensor

    def __post_init__(self) -> None:
        self.slices = self.domain.slices()
        self.offsets = torch.tensor(self.domain.offsets[:-1], device=self.bias.device)

    @property
    def chains(self) -> int:
        """Number of chains."""
        return len(self.states)

    @property
    def width(self) -> int:
        """One-hot width S."""
        return self.domain.offsets[-1]

    def logits(self, column: int, states: Tensor | None = None) -> Tensor:
        """Conditional logits of a column given all others, (M, D_j)."""
        rows = self.states if states is None else states
        part = self.slices[column]
        return embedding_bag(rows, self.weights[:, part].contiguous(), mode="sum") + self.bias[part]

    def one_hot(self) -> Tensor:
        """The chains as one-hot rows, (M, S)."""
        hot = torch.zeros(self.chains, self.width, device=self.bias.device)
        return hot.scatter_(1, self.states, 1.0)

    def resample(self, log_weights: Tensor, generator: torch.Generator) -> None:
        """Systematic resampling of the chains in proportion to their weights."""
        cumulative = torch.cumsum(torch.softmax(log_weights.double(), 0), 0)
        start = torch.rand(1, generator=generator, device=self.bias.device, dtype=torch.float64)
        points = (torch.arange(self.chains, device=self.bias.device, dtype=torch.float64) + start) / self.chains
        self.states = self.states[torch.searchsorted(cumulative, points).clamp_(max=self.chains - 1)]


def start_field(domain: Domain, shares: list[np.ndarray], chains: int, rng: np.random.Generator, device: str) -> Field:
    """The field of independent columns with the released one-ways, its chains stratified draws from them."""
    columns = [
        rng.permutation(
            np.searchsorted(np.cumsum(share)[:-1], (np.arange(chains) + rng.random()) / chains, side="right")
        )
        for share in shares
    ]
    states = torch.tensor(np.stack(columns, 1) + np.array(domain.offsets[:-1]), dtype=torch.int64, device=device)
    width = domain.offsets[-1]
    bias = torch.tensor(np.log(np.concatenate(shares)), dtype=torch.float32, device=device)
    return Field(domain, torch.zeros(width, width, device=device), bias, states)


def draw(logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Probabilities (M, K) of the logits, and one index a row drawn from them."""
    probabilities = torch.softmax(logits, 1)
    cumulative = probabilities.cumsum(1)
    points = torch.rand(len(logits), 1, generator=generator, device=logits.device) * cumulative[:, -1:]
    return probabilities, (cumulative < points).sum(1).clamp_(max=logits.shape[1] - 1)


def sweep(field: Field, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """One Gibbs sweep in random column order, and the Rao–Blackwell estimate of all pair marginals, (S, S), symmetric."""
    hot = field.one_hot()
    joint = torch.zeros(field.width, field.width, device=hot.device)
    for column in rng.permutation(len(field.domain)):
        part = field.slices[column]
        probabilities, codes = draw(field.logits(column), generator)
        joint[:, part] = hot.T @ probabilities / field.chains
        field.states[:, column] = codes + field.offsets[column]
        hot[:, part] = 0.0
        hot.scatter_(1, field.states[:, column : column + 1], 1.0)
    for column, part in enumerate(field.slices):
        other = field.slices[0 if column else len(field.domain) - 1]
        joint[part, part] = torch.diag(joint[other, part].sum(0))
    return (joint + joint.T) / 2
