"""The slow truth beside the fast clipping: plain autograd, one person at a time. For tests of engines' models."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def clipped_sum_one_by_one(
    model: nn.Module,
    per_row_loss: Callable[[nn.Module, Tensor], Tensor],
    codes: Tensor,
    clip_norm: float,
    persons: Tensor | None = None,
) -> dict[str, Tensor]:
    """Sum of the clipped gradients of rows, or of the mean loss of each person's rows.

    Args:
        model: weights with `requires_grad` are clipped together.
        per_row_loss: (model, codes) → loss of each row; called with one person's rows at a time, so it must be
            deterministic to be compared.
        codes: rows (batch, columns).
        clip_norm: the clip.
        persons: person of each row (batch,), if not each row is a person.

    Returns:
        A gradient for each trained weight's name.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    sums = {name: torch.zeros_like(parameter) for name, parameter in trained.items()}
    rows = codes.split(1) if persons is None else [codes[persons == person] for person in persons.unique()]
    for own in rows:
        loss = per_row_loss(model, own).mean()
        found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
        norm = torch.stack([gradient.norm() for gradient in found if gradient is not None]).norm()
        weight = (clip_norm / (norm + 1e-6)).clamp(max=1.0)
        for name, gradient in zip(trained, found, strict=True):
            if gradient is not None:
                sums[name] += weight * gradient
    return sums
