"""DP-SGD on the couplings, on the common loop (`generate.dpsgd`): heavy ball, a falling step and a moving average of the weights.

Deviations from Abadi et al. 2016: no Adam (measured equal or worse: the noise has the same scale for all weights, so there is nothing
to adapt to), and the average over column orders is taken inside each row's gradient, before clipping, so sensitivity stays one clip.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.autoregressive.network import Loss, PairCouplings
from synth_pipeline.generate.dpsgd.config import Execution
from synth_pipeline.generate.dpsgd.loop import DPTrainer
from synth_pipeline.privacy.batch import Batch
from synth_pipeline.privacy.events import SubsampledGaussianEvent


@dataclass(frozen=True)
class Orders:
    """The column orders of a step.

    Attributes:
        main: columns in the order in which rows will be drawn.
        random: fresh random orders beside it.
    """

    main: tuple[int, ...]
    random: int

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Place of each column in each order, the main one first (1 + random, columns)."""
        return np.stack([np.argsort(self.main), *(rng.permutation(len(self.main)) for _ in range(self.random))])


def make_trainer(
    couplings: PairCouplings,
    loss: Loss,
    *,
    config: AutoregressiveConfig,
    event: SubsampledGaussianEvent,
    execution: Execution | None = None,
) -> DPTrainer:
    """What takes the DP-SGD steps on couplings.

    Args:
        couplings: what is trained.
        loss: loss of each row.
        config: constants of the mechanism.
        event: what the curator charges for the run.
        execution: device, clipping mode and seeds.

    Raises:
        PrivacyError: if config and event disagree.
    """
    orders = torch.tensor(config.order_weights, dtype=torch.float32, device=couplings.weight.device)

    def per_row(model: nn.Module, codes: torch.Tensor) -> torch.Tensor:
        return loss.per_row(model(loss.inputs(codes)), codes, orders)

    return DPTrainer(couplings, per_row, config=config.training(), event=event, execution=execution)


def train(
    trainer: DPTrainer,
    couplings: PairCouplings,
    batches: Iterator[Batch],
    *,
    orders: Orders,
    rng: np.random.Generator,
    progress: Callable[[str, float], None],
) -> np.ndarray:
    """Run all steps and return the averaged couplings, both directions (F, F).

    Args:
        trainer: what takes the steps.
        couplings: what it trains.
        batches: exactly `config.steps` Poisson batches from the curator.
        orders: the main order, and how many random ones beside it.
        rng: draws the random orders; public randomness.
        progress: told how far the training is.

    Raises:
        PrivacyError: if the curator dealt another number of batches than was planned.
    """

    def draw_orders(_: int) -> None:
        couplings.positions = torch.as_tensor(orders.draw(rng), device=couplings.weight.device)

    trainer.run(batches, progress=progress, before_step=draw_orders)
    lower = (trainer.averaged()["weight"] * couplings.lower).cpu().numpy()
    return lower + lower.T
