"""How fast is secure noise? Draws a second of our stream beside torch's generators, and what it costs a DP-SGD step and an engine's fit.

    OMP_NUM_THREADS=1 python benchmarks/secure_noise.py [--draws 20000 1000000] [--rounds 9] [--fit]

The sources take turns in one process and ratios are medians over rounds of paired times, so that a loaded machine hurts all alike. CPU
time of one thread. `--fit` trains an autoregressive network on a table of random codes twice a round: with the secure stream, and with
Gaussians of a numpy generator in its place.
"""

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
import torch

from synth_pipeline.generate.dpsgd.config import DPSGDConfig, Execution, StepNoise, secure_gaussians
from synth_pipeline.generate.dpsgd.loop import DPTrainer
from synth_pipeline.privacy.events import SubsampledGaussianEvent
from synth_pipeline.privacy.noise import SecureNoise, _opendp_gaussian  # pyright: ignore[reportPrivateUsage]  to compare with
from synth_pipeline.privacy.secure_stream import chosen, secure_words

ROWS, WIDTH, STEPS = 1000, 128, 20


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def paired(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each, a round after the other."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(cpu_seconds(work))
    return times


def draws(size: int, rounds: int) -> None:
    """Print draws a second of every source."""
    exact, opendp = SecureNoise(), _opendp_gaussian(100.0)
    works: dict[str, Callable[[], object]] = {
        "torch.randn float32": lambda: torch.randn(size),
        "torch.randn float64": lambda: torch.randn(size, dtype=torch.float64),
        "numpy standard_normal": lambda: np.random.default_rng(0).standard_normal(size),
        "secure Gaussians (AES-256, inversion)": lambda: secure_gaussians(size),
        "secure words": lambda: secure_words(size),
        "exact discrete Gaussians (ours)": lambda: exact.discrete_gaussian(size, 100.0),
        "Poisson sample of secure words": lambda: chosen(secure_words(size), 0.05),
    }
    if size <= 50_000:
        works["exact discrete Gaussians (opendp)"] = lambda: opendp(np.zeros(size, dtype=np.int64))
    times = paired(works, rounds)
    base = np.array(times["torch.randn float32"])
    print(f"\n{size:,} draws at once")
    for name, seconds in times.items():
        rate, ratio = size / np.median(seconds) / 1e6, np.median(np.array(seconds) / base)
        print(f"  {name:40s} {rate:9.2f} M/s   {ratio:8.2f} times the time of torch.randn")


def fit_seconds(noise: StepNoise) -> Callable[[], object]:
    """A DP-SGD run of a perceptron of 66 thousand weights on batches of 1,000 rows."""
    config = DPSGDConfig(sample_rate=0.1, steps=STEPS, clip_norm=0.1, learning_rate=0.01)
    event = SubsampledGaussianEvent(purpose="speed", noise_multiplier=1.0, sample_rate=0.1, steps=STEPS)
    codes = np.random.default_rng(0).integers(0, 16, (ROWS, WIDTH)).astype(np.int32)

    def loss(model: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
        values = rows.float() / 16
        return ((model(values) - values) ** 2).sum(dim=1)

    def run() -> None:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(WIDTH, 256), torch.nn.ReLU(), torch.nn.Linear(256, WIDTH))
        trainer = DPTrainer(model, loss, config=config, event=event, execution=Execution(noise=noise))
        for _ in range(STEPS):
            trainer.step(codes)

    return run


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, nargs="+", default=[20_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"load {os.getloadavg()[0]:.1f}, one thread")
    for size in options.draws:
        draws(size, options.rounds)
    if options.fit:
        fast = np.random.default_rng(0)
        times = paired(
            {
                "secure": fit_seconds(secure_gaussians),
                "numpy": fit_seconds(fast.standard_normal),
                "none": fit_seconds(np.zeros),
            },
            options.rounds,
        )
        print(f"\n{STEPS} DP-SGD steps, 66 thousand weights, {ROWS} rows each")
        for name, seconds in times.items():
            ratio = np.median(np.array(seconds) / np.array(times["none"]))
            print(
                f"  noise: {name:8s} {np.median(seconds) * 1000 / STEPS:7.2f} ms a step, {ratio:5.2f} times that without noise"
            )


if __name__ == "__main__":
    main()
