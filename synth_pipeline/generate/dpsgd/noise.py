"""The noise of a step: Gaussian, of the charged scale, and released on a lattice.

A sum of floating-point numbers shows in its last bits what was added: neighbouring tables reach different numbers (Mironov 2012; for
Gaussians Jin, McMurtry, Rubinstein and Ohrimenko 2022). So only the lattice point next to sum + noise is released, in multiples of a power
of two that hangs on the scale alone. For exact noise that is post-processing: it costs nothing and adds a variance of scale²/49,000 at
most. What is left of the noise's inexactness is how much a point's probability is off: see docs/proofs/dp_sgd.md.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from synth_pipeline.generate.dpsgd.config import StepNoise
from synth_pipeline.generate.dpsgd.rules import Sums
from synth_pipeline.privacy.secure_stream import lattice_spacing


def noisy_sums(sums: Sums, trained: Sequence[Tensor], *, scale: float, noise: StepNoise) -> list[Tensor]:
    """A released gradient for each trained weight, also for those without a sum.

    The noise is drawn on the host in double precision, all weights at once, and copied to the weights' device.

    Args:
        sums: clipped sums; zero for a weight that has none.
        trained: the weights.
        scale: standard deviation of the noise, noise multiplier × clip.
        noise: standard Gaussians.
    """
    drawn = torch.from_numpy(noise(sum(weight.numel() for weight in trained)))
    released: list[Tensor] = []
    for weight, part in zip(trained, drawn.split([weight.numel() for weight in trained]), strict=True):
        total = sums[weight].detach() if weight in sums else torch.zeros_like(weight)
        released.append(on_lattice(total, part.view(weight.shape).to(weight.device), scale))
    return released


def on_lattice(total: Tensor, noise: Tensor, scale: float) -> Tensor:
    """The lattice point next to total + scale·noise, in the total's precision.

    The total is split into its own lattice point and an exact rest first, so a large total costs no digits of the noise. All is in units
    of the spacing, a power of two: no factor of it rounds.

    Args:
        total: a sum.
        noise: standard Gaussians, double precision.
        scale: standard deviation of the noise.
    """
    spacing = lattice_spacing(scale)
    rest = total.detach().double() * (1 / spacing)
    point = rest.round()
    moved = rest.sub_(point).add_(noise, alpha=scale / spacing).round_()
    return point.add_(moved).mul_(spacing).to(total.dtype)
