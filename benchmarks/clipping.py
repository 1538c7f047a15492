"""How fast is clipping? Rows per CPU-second of plain SGD, of our DP-SGD step by book-keeping, and of Opacus' ghost clipping and hooks.

    OMP_NUM_THREADS=1 python benchmarks/clipping.py [--rows 256 1024 4096] [--rounds 7] [--hooks]

The modes take turns on the same batch in the same process, and ratios are medians over rounds of paired times, so that a loaded machine
hurts all alike. A DP step is everything: clip, noise, optimizer, moving average (ours); clip, noise, optimizer (Opacus). Plain SGD is
forward, backward, optimizer. CPU time of one thread; the machine's load is printed.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from opacus.grad_sample import GradSampleModule
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping
from torch import Tensor, nn

from synth_pipeline.generate.dpsgd.blocks import TransformerBlock
from synth_pipeline.generate.dpsgd.config import DPSGDConfig, Execution
from synth_pipeline.generate.dpsgd.loop import DPTrainer
from synth_pipeline.privacy.events import SubsampledGaussianEvent

COLUMNS, CODES, WIDTH = 15, 24, 64
STEPS = 1_000_000
Step = Callable[[Tensor], None]


class Mlp(nn.Module):
    """Three hidden layers of 256; the row's codes as 128 numbers in, 128 out."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (128, 256, 256, 256, 128)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, values: Tensor) -> Tensor:
        """Rebuild the values (batch, 128)."""
        for layer in self.layers[:-1]:
            values = torch.relu(layer(values))
        return self.layers[-1](values)


class Transformer(nn.Module):
    """Three blocks of width 64 over 15 columns of 24 codes each."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.position = nn.Embedding(COLUMNS * CODES, WIDTH), nn.Embedding(COLUMNS, WIDTH)
        self.blocks = nn.Sequential(*(TransformerBlock(WIDTH, 4, 4 * WIDTH, causal=True) for _ in range(3)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CODES)

    def forward(self, codes: Tensor) -> Tensor:
        """Logits of the next column at each column (batch, columns, codes)."""
        places = torch.arange(COLUMNS, device=codes.device).repeat(len(codes), 1)
        return self.head(self.norm(self.blocks(self.embedding(codes + places * CODES) + self.position(places))))


def mlp_loss(model: nn.Module, codes: Tensor) -> Tensor:
    """A row's squared error as an auto-encoder of its codes."""
    values = VALUES[codes].flatten(1)
    return ((model(values) - values) ** 2).sum(dim=1)


def transformer_loss(model: nn.Module, codes: Tensor) -> Tensor:
    """A row's cross-entropy of each column given the columns before it."""
    logits = model(codes)[:, :-1]
    return nn.functional.cross_entropy(logits.transpose(1, 2), codes[:, 1:], reduction="none").sum(dim=1)


VALUES = torch.randn(CODES, 1, generator=torch.Generator().manual_seed(0))
TASKS = {"MLP 3x256": (Mlp, mlp_loss, 128), "transformer 3x64": (Transformer, transformer_loss, COLUMNS)}


def plain(make: type[nn.Module], loss: Callable[[nn.Module, Tensor], Tensor]) -> Step:
    """Forward, backward, heavy ball."""
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9, momentum=0.9)

    def step(codes: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(model, codes).sum().backward()
        optimizer.step()

    return step


def ours(make: type[nn.Module], loss: Callable[[nn.Module, Tensor], Tensor]) -> Step:
    """A whole step of `DPTrainer`."""
    config = DPSGDConfig(sample_rate=0.1, steps=STEPS, clip_norm=1.0, learning_rate=1e-9)
    event = SubsampledGaussianEvent(noise_multiplier=1.0, sample_rate=0.1, steps=STEPS)
    how = Execution(piece_rows=256 if make is Transformer else 1024)
    return DPTrainer(make(), loss, config=config, event=event, execution=how).step


def ghost(make: type[nn.Module], loss: Callable[[nn.Module, Tensor], Tensor]) -> Step:
    """Opacus' ghost clipping as its documentation has it."""
    module = GradSampleModuleFastGradientClipping(make(), max_grad_norm=1, loss_reduction="sum")
    optimizer = DPOptimizerFastGradientClipping(
        torch.optim.SGD(module.parameters(), lr=1e-9, momentum=0.9),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        expected_batch_size=None,
        loss_reduction="sum",
    )

    def step(codes: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        DPTensorFastGradientClipping(module, optimizer, loss(module, codes), "sum").backward()
        optimizer.step()

    return step


def hooks(make: type[nn.Module], loss: Callable[[nn.Module, Tensor], Tensor]) -> Step:
    """Opacus' default."""
    module = GradSampleModule(make(), loss_reduction="sum")
    optimizer = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=1e-9, momentum=0.9),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        expected_batch_size=None,
        loss_reduction="sum",
    )

    def step(codes: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(module, codes).sum().backward()
        optimizer.step()

    return step


def measure(steps: dict[str, Step], codes: Tensor, rounds: int) -> dict[str, np.ndarray]:
    """CPU-seconds of each mode in each round, the modes taking turns."""
    repeats = max(1, 4096 // len(codes))
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            start = time.process_time()
            for _ in range(repeats):
                step(codes)
            if number:
                seconds[name].append((time.process_time() - start) / repeats)
    return {name: np.array(values) for name, values in seconds.items()}


def main() -> None:
    """Print one line a model and batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--hooks", action="store_true", help="also time Opacus' hooks (slow)")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=UserWarning)
    makers = {"SGD": plain, "ours": ours, "ghost": ghost, **({"hooks": hooks} if options.hooks else {})}
    print(f"torch {torch.__version__}, 1 thread, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for task in options.tasks:
        make, loss, columns = TASKS[task]
        steps = {name: maker(make, loss) for name, maker in makers.items()}
        for rows in options.rows:
            codes = torch.randint(0, CODES, (rows, columns), generator=torch.Generator().manual_seed(rows))
            seconds = measure(steps, codes, options.rounds)
            rates = "  ".join(f"{name} {rows / np.median(value):>8,.0f}/s" for name, value in seconds.items())
            ratios = "  ".join(
                f"ours/{name} {np.median(value / seconds['ours']):.2f}"
                for name, value in seconds.items()
                if name != "ours"
            )
            print(f"{task:<17} batch {rows:>4}: {rates}   {ratios}   load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
