"""DP-SGD on the couplings, by Opacus: ghost clipping, Gaussian noise, momentum, a falling step and a moving average of the weights.

Nothing about the mechanism is left for Opacus to infer: the curator deals the Poisson batches and has charged for their rate and number,
and the noise multiplier and clipping norm are ours. Losses are sums, so no batch size enters; the step length is measured in standard
deviations of the noise.

Deviations from Abadi et al. 2016: no Adam (measured equal or worse: the noise has the same scale for all weights, so there is nothing
to adapt to), and the average over column orders is taken inside each row's gradient, before clipping, so sensitivity stays one clip.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.autoregressive.network import Loss, PairCouplings
from synth_pipeline.table.encoded import Codes

PIECE_ROWS = 8192
"""A larger batch is clipped piece by piece and its clipped gradients are added up; the sum is the same."""


def urandom_seed() -> int:
    """A seed from the operating system's cryptographic source."""
    return int.from_bytes(os.urandom(8), "little")


@dataclass(frozen=True)
class Noise:
    """The noise of a training run.

    Attributes:
        multiplier: standard deviation over clipping norm.
        next_seed: seed of each step's noise; the operating system's, but for tests.
    """

    multiplier: float
    next_seed: Callable[[], int] = urandom_seed


class Trainer:
    """Runs DP-SGD steps on couplings.

    Privacy:
        Each step adds to the sum of the rows' gradients, each clipped to `clip_norm`, Gaussian noise of standard deviation
        multiplier × clip_norm; also to the sum over an empty batch. The noise is torch's floating-point Gaussian, reseeded for every
        step from the operating system (see docs/known_vulnerabilities.md for what that leaves open).

    Args:
        couplings: what is trained.
        loss: loss of each row.
        config: constants of the mechanism.
        noise: noise of each step.
        piece_rows: most rows whose gradients are clipped at once.
    """

    def __init__(
        self,
        couplings: PairCouplings,
        loss: Loss,
        *,
        config: AutoregressiveConfig,
        noise: Noise,
        piece_rows: int = PIECE_ROWS,
    ) -> None:
        self.couplings, self.loss, self.config, self.noise, self.piece_rows = couplings, loss, config, noise, piece_rows
        self.generator = torch.Generator(device=couplings.weight.device)
        self.module = GradSampleModuleFastGradientClipping(
            couplings,
            max_grad_norm=config.clip_norm,  # pyright: ignore[reportArgumentType]  annotated int, used as a float
            loss_reduction="sum",
            use_ghost_clipping=True,
        )
        # In units of the noise's standard deviation; heavy ball adds up 1 / (1 − momentum) steps.
        self.unit = (1 - config.momentum) / (noise.multiplier * config.clip_norm)
        self.optimizer = DPOptimizerFastGradientClipping(
            torch.optim.SGD(self.module.parameters(), lr=self.unit, momentum=config.momentum),
            noise_multiplier=noise.multiplier,
            max_grad_norm=config.clip_norm,
            expected_batch_size=None,
            loss_reduction="sum",
            generator=self.generator,
        )
        self.average = couplings.weight.detach().clone()
        self.steps = 0

    def step(self, codes: Codes, positions: np.ndarray, weights: Sequence[float]) -> None:
        """One step on one batch, which may be empty.

        Args:
            codes: rows of the batch (batch, columns).
            positions: place of each column in each order (K, columns).
            weights: weight of each order (K,), of sum 1.
        """
        device = self.couplings.weight.device
        self.couplings.positions = torch.as_tensor(positions, device=device)
        orders = torch.tensor(weights, dtype=torch.float32, device=device)
        starts = range(0, max(len(codes), 1), self.piece_rows)
        for start in starts:
            piece = codes[start : start + self.piece_rows]
            losses = self.loss.per_row(self.module(self.loss.inputs(piece)), piece, orders)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Full backward hook is firing", category=UserWarning)
                DPTensorFastGradientClipping(self.module, self.optimizer, losses, loss_reduction="sum").backward()
            is_last = start == starts[-1]
            if is_last:
                self._prepare_release()
            self.optimizer.signal_skip_step(do_skip=not is_last)
            self.optimizer.step()
        self._finish_step()

    def _prepare_release(self) -> None:
        """Fresh noise and this step's length."""
        self.generator.manual_seed(self.noise.next_seed())
        left = 1 - self.steps / self.config.steps
        for group in self.optimizer.param_groups:
            group["lr"] = self.unit * self.config.step_length * left

    def _finish_step(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        decay = min(self.config.averaging, (1 + self.steps) / (10 + self.steps))
        self.average.mul_(decay).add_(self.couplings.weight.detach(), alpha=1 - decay)
        self.steps += 1


def train(
    trainer: Trainer,
    batches: Iterator[Codes],
    main_order: Sequence[int],
    *,
    rng: np.random.Generator,
    progress: Callable[[str, float], None],
) -> np.ndarray:
    """Run all steps and return the averaged couplings, both directions (F, F).

    Args:
        trainer: what takes the steps.
        batches: exactly `config.steps` Poisson batches from the curator.
        main_order: columns in the order in which rows will be drawn.
        rng: draws the random orders; public randomness.
        progress: told how far the training is.

    Raises:
        PrivacyError: if the curator dealt another number of batches than was planned.
    """
    config, columns = trainer.config, len(main_order)
    main = np.argsort(main_order)
    others = config.random_orders
    weights = [config.main_share, *[(1 - config.main_share) / others] * others] if others else [1.0]
    for codes in batches:
        positions = np.stack([main, *(rng.permutation(columns) for _ in range(others))])
        trainer.step(codes, positions, weights)
        if trainer.steps % 20 == 0:
            progress(f"autoregressive: step {trainer.steps} of {config.steps}", trainer.steps / config.steps)
    if trainer.steps != config.steps:
        raise PrivacyError(f"autoregressive: {trainer.steps} batches were dealt where {config.steps} were charged")
    lower = (trainer.average * trainer.couplings.lower).cpu().numpy()
    return lower + lower.T
