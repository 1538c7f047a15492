"""Torch side of the code space: rows to features, effects to logits, per-column losses and draws; and the plain perceptron."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from synth_pipeline.generate.neural.space import CodeSpace


class Heads:
    """Inputs and outputs of a network over codes; holds released constants and nothing that is trained.

    Args:
        space: the code space.
        device: torch device.
    """

    def __init__(self, space: CodeSpace, device: str = "cpu") -> None:
        self.sizes = list(space.domain.sizes)
        self.offsets = torch.tensor(space.domain.offsets[:-1], device=device)
        self.table = torch.tensor(space.features.table, device=device)
        self.log_shares = torch.tensor(space.log_shares, device=device)
        self.shares = [torch.tensor(part, dtype=torch.float32, device=device) for part in space.by_column]

    def flat(self, codes: Tensor) -> Tensor:
        """Place of each code among all codes side by side; any leading shape."""
        return codes.long() + self.offsets

    def inputs(self, codes: Tensor) -> Tensor:
        """Features of rows.

        Shapes:
            (..., columns) → (..., F).
        """
        flat = self.flat(codes)
        summed = nn.functional.embedding_bag(flat.reshape(-1, len(self.sizes)), self.table, mode="sum")
        return summed.reshape(*flat.shape[:-1], self.table.shape[1])

    def logits(self, effects: Tensor) -> Tensor:
        """Logits of all codes side by side: (..., F) → (..., codes)."""
        return effects @ self.table.T + self.log_shares

    def loss(self, logits: Tensor, codes: Tensor, weights: Tensor) -> Tensor:
        """Weighted negative log-likelihood of codes.

        Shapes:
            logits (..., codes), codes (..., columns), weights (columns,) → (...).
        """
        return self.losses(logits, codes) @ weights

    def losses(self, logits: Tensor, codes: Tensor) -> Tensor:
        """Negative log-likelihood of each code: (..., codes), (..., columns) → (..., columns)."""
        # split, not slices: the backward pass of a slice fills a whole tensor with zeros.
        sums = torch.stack([part.logsumexp(dim=-1) for part in logits.split(self.sizes, dim=-1)], dim=-1)
        return sums - logits.gather(-1, self.flat(codes))

    def soft_rows(self, logits: Tensor, temperature: float, noise: torch.Generator | None) -> Tensor:
        """Features of nearly one-hot rows through which gradients pass (Gumbel-softmax; Jang, Gu and Poole 2017).

        Shapes:
            (..., codes) → (..., F).
        """
        uniform = torch.rand(logits.shape, generator=noise, device=logits.device).clamp_(1e-6, 1 - 1e-6)
        gumbel = (logits - (-uniform.log()).log()) / temperature
        return torch.cat([part.softmax(dim=-1) for part in gumbel.split(self.sizes, dim=-1)], dim=-1) @ self.table

    def draw(self, logits: Tensor, noise: torch.Generator | None) -> Tensor:
        """Codes, each column by its own distribution: (..., codes) → (..., columns)."""
        uniform = torch.rand(logits.shape, generator=noise, device=logits.device).clamp_(1e-12, 1 - 1e-7)
        gumbel = logits - (-uniform.log()).log()
        return torch.stack([part.argmax(dim=-1) for part in gumbel.split(self.sizes, dim=-1)], dim=-1)

    def draw_shares(self, shape: Sequence[int], noise: torch.Generator | None) -> Tensor:
        """Codes of independent columns with the released one-ways: shape → (*shape, columns)."""
        count = 1
        for size in shape:
            count *= size
        drawn = [torch.multinomial(share, count, replacement=True, generator=noise) for share in self.shares] if count else [
            torch.zeros(0, dtype=torch.long) for _ in self.shares
        ]  # fmt: skip
        return torch.stack([part.reshape(*shape) for part in drawn], dim=-1)


def perceptron(widths: Sequence[int], *, zero_last: bool) -> nn.Sequential:
    """Linear layers with SiLU between them.

    Args:
        widths: width of the input, of each hidden layer and of the output.
        zero_last: whether the last layer starts at zero.
    """
    layers: list[nn.Module] = []
    for index, (inside, outside) in enumerate(pairwise(widths)):
        layers += [nn.SiLU()] if index else []
        layers.append(nn.Linear(inside, outside))
    last = layers[-1]
    if zero_last and isinstance(last, nn.Linear):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return nn.Sequential(*layers)
