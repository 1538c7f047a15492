"""Ordinary training on rows that are already released, such as a generator's own: no privacy is spent."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from synth_pipeline.table.encoded import Codes


@dataclass(frozen=True, kw_only=True)
class PublicSchedule:
    """How a model is trained on released rows.

    Attributes:
        steps: batches.
        batch_rows: rows of a batch, drawn with replacement.
        learning_rate: Adam's first step length; it falls linearly to 0.
    """

    steps: int
    batch_rows: int
    learning_rate: float


def train_public(
    model: nn.Module,
    per_row_loss: Callable[[nn.Module, Tensor], Tensor],
    rows: Codes,
    schedule: PublicSchedule,
    *,
    rng: np.random.Generator,
) -> None:
    """Train a model in place by Adam with a linearly falling step, on random batches of rows.

    Args:
        model: the model, on its device.
        per_row_loss: (model, codes (batch, columns)) → loss of each row (batch,); the mean is descended.
        rows: released rows (rows, columns); never private ones.
        schedule: how long, and in what steps.
        rng: draws the batches.

    Privacy:
        Post-processing of released rows.
    """
    device = next(model.parameters()).device
    codes = torch.as_tensor(rows, device=device).long()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=schedule.learning_rate)
    falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / schedule.steps)
    model.train()
    for _ in range(schedule.steps):
        batch = codes[torch.from_numpy(rng.integers(0, len(codes), schedule.batch_rows)).to(device)]
        optimizer.zero_grad(set_to_none=True)
        per_row_loss(model, batch).mean().backward()
        optimizer.step()
        falling.step()
