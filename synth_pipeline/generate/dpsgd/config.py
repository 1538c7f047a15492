"""What fixes a DP-SGD run: the constants of its mechanism, and, apart from them, how it is carried out."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.secure_stream import secure_words, standard_gaussians

GradMode = Literal["bookkeeping", "ghost", "hooks"]
OptimizerName = Literal["sgd", "adam"]
Schedule = Literal["linear", "cosine", "constant"]


@dataclass(frozen=True, kw_only=True)
class DPSGDConfig:
    """Constants of the mechanism; public, and fixed before any row is read.

    Attributes:
        sample_rate: chance of each person, independently, to be in a step's batch with all rows.
        steps: DP-SGD steps, fixed.
        clip_norm: largest L2 norm of one person's gradient.
        learning_rate: first step length. SGD: in standard deviations of the noise, after division by 1 / (1 − momentum), so that it
            means the same at every clip, noise and momentum. Adam: Adam's own.
        optimizer: "sgd" (heavy ball) or "adam".
        schedule: how the step length falls to 0 over the run, or "constant".
        momentum: heavy-ball momentum, or Adam's β₁.
        second_momentum: Adam's β₂.
        averaging: decay of the moving average of the weights, which is what is kept; 0 keeps the last weights.
    """

    sample_rate: float
    steps: int
    clip_norm: float
    learning_rate: float
    optimizer: OptimizerName = "sgd"
    schedule: Schedule = "linear"
    momentum: float = 0.9
    second_momentum: float = 0.999
    averaging: float = 0.98

    def __post_init__(self) -> None:
        """Refuse constants for which the guarantee or the training would mean nothing."""
        for name in ("clip_norm", "learning_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise PrivacyError(f"DP-SGD: {name} is {getattr(self, name)!r}; it must be a finite number above 0")
        if not 0 < self.sample_rate <= 1:
            raise PrivacyError(f"DP-SGD: sample_rate is {self.sample_rate!r}; it must be in (0, 1]")
        if self.steps < 1:
            raise PrivacyError(f"DP-SGD: steps is {self.steps!r}; it must be at least 1")
        for name in ("momentum", "second_momentum", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                raise PrivacyError(f"DP-SGD: {name} is {getattr(self, name)!r}; it must be in [0, 1)")
        for name, allowed in (("optimizer", OptimizerName), ("schedule", Schedule)):
            if getattr(self, name) not in get_args(allowed):
                raise PrivacyError(
                    f"DP-SGD: {name} is {getattr(self, name)!r}; it must be one of {', '.join(get_args(allowed))}"
                )

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "DPSGDConfig":
        """The config that `to_json` wrote."""
        return cls(**content)


StepNoise = Callable[[int], npt.NDArray[np.float64]]
"""How many → as many independent standard Gaussians."""


def secure_gaussians(size: int) -> npt.NDArray[np.float64]:
    """Standard Gaussians of a cryptographic stream under a fresh key of the operating system."""
    return standard_gaussians(secure_words(size))


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a run is carried out; nothing here changes the mechanism.

    Attributes:
        device: torch device.
        grad_mode: how gradients are clipped: "bookkeeping" (ours, one backward pass), or Opacus' "ghost" (two; one row a person only) or
            "hooks" (every row's gradient is formed). All three give the same clipped sum.
        piece_rows: a larger batch is clipped piece by piece and its clipped gradients are added up; the sum is the same. About 1000 is
            fastest for small multilayer perceptrons, 256 for transformers.
        noise: what the noise of a step is made of: the curator's source (`EncodedView.step_noise`), or the operating system's.
    """

    device: str = "cpu"
    grad_mode: GradMode = "bookkeeping"
    piece_rows: int = 1024
    noise: StepNoise = secure_gaussians

    def __post_init__(self) -> None:
        """Refuse a mode that does not exist."""
        if self.grad_mode not in get_args(GradMode):
            raise PrivacyError(
                f"DP-SGD: grad_mode is {self.grad_mode!r}; it must be one of {', '.join(get_args(GradMode))}"
            )
        if self.piece_rows < 1:
            raise PrivacyError(f"DP-SGD: piece_rows is {self.piece_rows!r}; it must be at least 1")
