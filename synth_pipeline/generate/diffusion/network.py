"""Multinomial diffusion on codes: FORGET towards the released one-ways, LEARN to remember, WALK back.

Hoogeboom, Nielsen, Jaini, Forré and Welling 2021 (Argmax flows and multinomial diffusion, arXiv 2102.05379), its
multinomial half; trained as in Dockhorn, Cao, Vahdat and Kreis 2022 (Differentially private diffusion models, arXiv 2210.09929) with
noise multiplicity.

| theirs | ours |
|---|---|
| ᾱ_t, share of a row that is still itself at time t | `keep`, 1 − t for t in (0, 1] |
| 1/K, uniform noise over K classes | π_j, released one-way of column j |
| x̂_0 = μ(x_t, t) | logits of `Denoiser` |
| K, noise multiplicity | `multiplicity`, the places of a row in one gradient |

Deviations. (a) Columns are forgotten towards π_j, not towards uniform: the end of the chain then has the released one-ways exactly, and the
first sample is independent columns. (b) What a column's own noisy code says about it, log(1 + ᾱ/((1 − ᾱ)π_j(x_t))) at that code, is
Bayes' rule and is added to the logits, not learned. (c) The denoiser is linear in the features, scaled by √ᾱ, the couplings of two
columns the same in both directions (adult, ε = 1, one seed, 2-way on codes .040; all pairs free .048), plus a perceptron if `hidden` is
not 0 (32 beside free couplings: .055; none: .050). (d) Loss is the cross-entropy of x_0,
uniform in t; the variational weights are unbounded at t → 0 and would meet the clip.
"""

import numpy as np
import torch
from torch import Tensor, nn

from synth_pipeline.generate.diffusion.config import DiffusionConfig
from synth_pipeline.generate.neural.couplings import SymmetricCouplings
from synth_pipeline.generate.neural.heads import Heads, perceptron
from synth_pipeline.generate.neural.space import CodeSpace, Floats32

_MOST_KEPT = 1 - 1e-4


class Denoiser(nn.Module):
    """Effects on every column of a noisy row and its time.

    Args:
        space: the code space.
        config: width of the hidden layer.
    """

    def __init__(self, space: CodeSpace, config: DiffusionConfig) -> None:
        super().__init__()
        self.couplings = SymmetricCouplings(space.features.widths)
        widths = (space.width + 1, config.hidden, space.width)
        self.hidden = perceptron(widths, zero_last=True) if config.hidden else None

    def forward(self, features: Tensor, keep: Tensor) -> Tensor:
        """Features (..., F) and share kept (...) → effects (..., F)."""
        scaled = features * keep[..., None].sqrt()
        effects = self.couplings(scaled)
        if self.hidden is not None:
            effects = effects + self.hidden(torch.cat([scaled, keep[..., None]], dim=-1))
        return effects


class Remembering:
    """Forgetting rows and the logits of what they were; holds released constants only.

    Args:
        heads: inputs and outputs over codes.
    """

    def __init__(self, heads: Heads) -> None:
        self.heads = heads

    def forget(self, codes: Tensor, keep: Tensor, noise: torch.Generator | None) -> Tensor:
        """Each code kept with probability `keep`, else drawn from its column's one-way: (..., columns)."""
        drawn = self.heads.draw_shares(codes.shape[:-1], noise).to(codes.device)
        is_kept = torch.rand(codes.shape, generator=noise, device=codes.device) < keep[..., None]
        return torch.where(is_kept, codes, drawn)

    def logits(self, model: nn.Module, noisy: Tensor, keep: Tensor) -> Tensor:
        """Logits of x_0 given x_t and the share kept (..., codes)."""
        flat = self.heads.flat(noisy)
        known = keep.clamp(max=_MOST_KEPT)[..., None]
        own = torch.log1p(known / ((1 - known) * self.heads.log_shares[flat].exp()))
        logits = self.heads.logits(model(self.heads.inputs(noisy), keep))
        return logits.scatter_add(-1, flat, own)

    def step_back(self, noisy: Tensor, start: Tensor, keeps: tuple[Tensor, Tensor], noise: torch.Generator) -> Tensor:
        """x_{t−1} given x_t and x_0: their posterior, by Bayes' rule, with π in the place of uniform.

        Args:
            noisy: x_t (rows, columns).
            start: x_0 as drawn from the logits.
            keeps: shares kept at t − 1 and at t.
            noise: draws.
        """
        before, now = keeps
        since = now / before
        share = self.heads.log_shares[self.heads.flat(noisy)].exp()
        stayed = since * (before * (noisy == start) + (1 - before) * share)
        changed = (1 - since) * share
        drawn = self.heads.draw_shares(noisy.shape[:-1], noise)
        point = torch.rand(noisy.shape, generator=noise) * (stayed + changed)
        return torch.where(point < stayed, noisy, torch.where(point < stayed + changed * before, start, drawn))


class DiffusionLoss:
    """Cross-entropy of a row given noisy versions of it; times are stratified, so that every gradient sees early and late ones.

    Args:
        remembering: noising and logits.
        weights: weight of each column.
        multiplicity: noisy versions a row.
    """

    def __init__(self, remembering: Remembering, weights: Tensor, multiplicity: int) -> None:
        self.remembering, self.weights, self.multiplicity = remembering, weights, multiplicity

    def __call__(self, model: nn.Module, codes: Tensor) -> Tensor:
        """Loss of each row (batch,); the draws are public and the row's own."""
        batch, places = len(codes), self.multiplicity
        jitter = torch.rand((batch, places), device=codes.device)
        keep = 1 - (torch.arange(places, device=codes.device) + jitter) / places
        rows = codes[:, None].expand(-1, places, -1)
        noisy = self.remembering.forget(rows, keep, None)
        logits = self.remembering.logits(model, noisy, keep)
        return self.remembering.heads.loss(logits, rows, self.weights).mean(dim=1)


class DiffusionLaw:
    """The chain back from independent columns; its hidden state is the row one step before the last.

    Args:
        model: trained denoiser.
        space: the code space.
        times: steps of the chain.
    """

    def __init__(self, model: Denoiser, space: CodeSpace, times: int) -> None:
        self.model, self.times = model.eval(), times
        self.remembering = Remembering(Heads(space))

    @torch.no_grad()
    def hidden(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Rows at time 1/times (rows, columns)."""
        noise = torch.Generator().manual_seed(int(rng.integers(2**63)))
        keeps = torch.linspace(1, 0, self.times + 1)
        noisy = self.remembering.heads.draw_shares((rows,), noise)
        for step in range(self.times, 1, -1):
            logits = self.remembering.logits(self.model, noisy, keeps[step].expand(rows))
            start = self.remembering.heads.draw(logits, noise)
            noisy = self.remembering.step_back(noisy, start, (keeps[step - 1], keeps[step]), noise)
        return noisy.numpy()

    @torch.no_grad()
    def logits(self, hidden: np.ndarray) -> Floats32:
        """Logits of the rows themselves (rows, codes)."""
        keep = torch.full((len(hidden),), 1 - 1 / self.times)
        return self.remembering.logits(self.model, torch.as_tensor(hidden), keep).numpy()

    def weights(self) -> dict[str, Floats32]:
        """Trained parameters by name."""
        return {name: value.numpy() for name, value in self.model.state_dict().items()}
