"""The slow truth beside the fast clipping: plain autograd, one row at a time. For tests of engines' models."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def clipped_sum_one_by_one(
    model: nn.Module, per_row_loss: Callable[[nn.Module, Tensor], Tensor], codes: Tensor, clip_norm: float
) -> dict[str, Tensor]:
    """Sum of the rows' clipped gradients.

    Args:
        model: weights with `requires_grad` are clipped together.
        per_row_loss: (model, codes) → loss of each row; called with one row at a time, so it must be deterministic to be compared.
        codes: rows (batch, columns).
        clip_norm: the clip.

    Returns:
        A gradient for each trained weight's name.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    sums = {name: torch.zeros_like(parameter) for name, parameter in trained.items()}
    for row in codes:
        loss = per_row_loss(model, row[None]).sum()
        found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
        norm = torch.stack([gradient.norm() for gradient in found if gradient is not None]).norm()
        weight = (clip_norm / (norm + 1e-6)).clamp(max=1.0)
        for name, gradient in zip(trained, found, strict=True):
            if gradient is not None:
                sums[name] += weight * gradient
    return sums
