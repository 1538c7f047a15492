"""Networks, inputs and losses on which clipping by row and by person is tried, small enough to clip one gradient at a time."""

import torch
from torch import Tensor, nn


class CodeNet(nn.Module):
    """Predicts each column of six codes from the sum of all columns' embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm, self.head = nn.Embedding(6, 8), nn.LayerNorm(8), nn.Linear(8, 6)

    def forward(self, codes: Tensor) -> Tensor:
        """Scores of the codes of each place."""
        return self.head(torch.tanh(self.norm(self.embedding(codes))))


def unknown_kind() -> type[nn.Module]:
    """A kind of layer, new at each call, that no rule knows: it adds a weight of four to its input."""

    class Shift(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Parameter(torch.ones(4))

        def forward(self, values: Tensor) -> Tensor:
            return values + self.shift

    return Shift


def next_code_loss(model: nn.Module, codes: Tensor) -> Tensor:
    """Loss of each row of a `CodeNet`: each column against the one before it."""
    return nn.functional.cross_entropy(model(codes).transpose(1, 2), codes.roll(1, 1), reduction="none").sum(dim=1)


def half_squares(model: nn.Module, inputs: Tensor) -> Tensor:
    """Loss of each row: half the sum of its squared outputs."""
    return (model(inputs) ** 2).flatten(1).sum(dim=1) / 2


def drawn(*shape: int) -> Tensor:
    """Normal values that are the same for the same number of dimensions."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


def drawn_codes(*shape: int) -> Tensor:
    """Codes 0 to 4, the same every time."""
    return torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(1))
