"""The canary bank: weights that only planted people move, clipped and noised together with an engine's own by the engine's own training.

    loss of a row of canary c:   G · Σ_b (θ_bc − [its value])          (b = 1 … B banks, each a layer; G far above the clip)
    clipped gradient of c:       clip/√B at θ_bc, 0 elsewhere
    score coordinate:            x_tc = Σ_b noisy_t[θ_bc] / (√B · clip) = [c in batch t] + N(0, σ²)

Each canary has coordinates of its own, so one training holds as many independent runs of the one-person mechanism as it has canaries. The
norm is spread over several layers and, where people may have several rows, over several rows, so that clipping by layer or by row shows.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import torch  # noqa: TID253  loaded by an audit that runs
from torch import Tensor, nn  # noqa: TID253

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.config import DPSGDConfig
from synth_pipeline.generate.dpsgd.watch import RowLoss
from synth_pipeline.privacy.events import SubsampledGaussianEvent

BANKS = 4
"""Layers over which a canary's gradient is spread."""

_GAIN = 1e6
"""How many clips long a canary's gradient is before it is clipped."""


class BankedModel(nn.Module):
    """An engine's model with the canary banks beside it; only what is clipped and noised, never what an engine keeps.

    Args:
        model: the engine's.
        canaries: how many there are.
    """

    def __init__(self, model: nn.Module, canaries: int) -> None:
        super().__init__()
        self.model = model
        device = next(model.parameters()).device
        # Number 0 is everybody else; as a padding number it has no gradient.
        self.banks = nn.ModuleList(nn.Embedding(canaries + 1, 1, padding_idx=0, device=device) for _ in range(BANKS))
        for bank in self.banks:
            nn.init.zeros_(bank.weight)  # pyright: ignore[reportArgumentType]  a ModuleList forgets what it holds

    def forward(self, numbers: Tensor) -> Tensor:
        """What the banks add to the loss of rows with these numbers (batch,)."""
        return torch.stack([bank(numbers)[:, 0] for bank in self.banks]).sum(dim=0)


class CanaryWatch:
    """Watches one training with planted canaries.

    Attributes:
        config: of the watched training.
        event: what was charged for it.
        coordinates: for each step, the score coordinates of all canaries, in clips (canaries,).
        present: for each step, how many rows of everybody else, and of each canary, were in the batch (1 + canaries,).
        transcript: for each step, the noisy sums of the engine's own weights.
    """

    def __init__(self, canaries: int) -> None:
        self.canaries = canaries
        self.config: DPSGDConfig | None = None
        self.event: SubsampledGaussianEvent | None = None
        self.coordinates: list[npt.NDArray[np.float32]] = []
        self.present: list[npt.NDArray[np.int64]] = []
        self.transcript: list[dict[str, npt.NDArray[np.float32]]] = []
        self._seen = np.zeros(canaries + 1, dtype=np.int64)

    def join(
        self, model: nn.Module, per_row_loss: RowLoss, *, config: DPSGDConfig, event: SubsampledGaussianEvent
    ) -> tuple[nn.Module, RowLoss]:
        """The model with the banks, and the rows' losses with the canaries'."""
        if self.config is not None:
            raise PrivacyError("canary audit: one watch sees one training; bring a new one")
        self.config, self.event = config, event
        banked = BankedModel(model, self.canaries)
        return banked, partial(self._losses, banked, per_row_loss)

    def released(self, noisy: Mapping[str, Tensor]) -> None:
        """Keep what a step released."""
        total, own = np.zeros(self.canaries + 1), dict[str, npt.NDArray[np.float32]]()
        for name, value in noisy.items():
            if name.startswith("banks."):
                total += value[:, 0].double().cpu().numpy()
            else:
                own[name] = value.float().cpu().numpy().copy()
        self.coordinates.append((total[1:] / (BANKS**0.5 * self.clip_norm)).astype(np.float32))
        self.transcript.append(own)
        self.present.append(self._seen.copy())
        self._seen[:] = 0

    @property
    def clip_norm(self) -> float:
        """The clip of the watched training."""
        if self.config is None:
            raise PrivacyError("canary audit: no training was watched; does the engine train by DP-SGD?")
        return self.config.clip_norm

    def _losses(self, banked: BankedModel, per_row_loss: RowLoss, model: nn.Module, codes: Tensor) -> Tensor:
        """A canary's loss is its bank's alone: the engine's is computed for it and then left out, so its gradient is exactly known."""
        numbers = (-codes[:, 0]).clamp(min=0)
        own = per_row_loss(model, torch.cat([codes[:, :1].clamp(min=0), codes[:, 1:]], dim=1))
        if torch.is_grad_enabled():
            self._seen += np.bincount(numbers.cpu().numpy(), minlength=self.canaries + 1)
        planted = banked(numbers)
        # Of value 0: whatever reads losses reads those of the engine's own rows.
        return torch.where(numbers > 0, 0.0, own) + (_GAIN * self.clip_norm) * (planted - planted.detach()).to(
            own.dtype
        )


class ReplayWatch:
    """Watches a training on no rows at all, and lets it step by another training's noisy sums.

    Attributes:
        blanks: for each step, what the banks released, in clips; nobody is in them, so noise alone (B · (canaries + 1),).

    Args:
        transcript: noisy sums of the other training, step by step.
        canaries: size of the banks.
    """

    def __init__(self, transcript: list[dict[str, npt.NDArray[np.float32]]], canaries: int) -> None:
        self._transcript, self._canaries = transcript, canaries
        self._clip_norm = 0.0
        self.blanks: list[npt.NDArray[np.float32]] = []

    def join(
        self, model: nn.Module, per_row_loss: RowLoss, *, config: DPSGDConfig, event: SubsampledGaussianEvent
    ) -> tuple[nn.Module, RowLoss]:
        """A bank as in the other training, so that weights have the same names; nobody is in it."""
        self._clip_norm = config.clip_norm
        return BankedModel(model, self._canaries), per_row_loss

    def released(self, noisy: Mapping[str, Tensor]) -> None:
        """Keep the noise, and put the other training's sums in its place."""
        step = len(self.blanks)
        if step >= len(self._transcript):
            raise PrivacyError("canary audit: the replayed training takes more steps than the watched one did")
        banks = torch.cat([value.flatten() for name, value in noisy.items() if name.startswith("banks.")])
        self.blanks.append((banks.double().cpu().numpy() / self._clip_norm).astype(np.float32))
        for name, value in self._transcript[step].items():
            noisy[name].copy_(torch.as_tensor(value))
