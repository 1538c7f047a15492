"""A variational autoencoder on codes: ENCODE a row to a Gaussian, DRAW a latent vector, DECODE it to one distribution a column.

Kingma and Welling 2014 (Auto-encoding variational Bayes, arXiv 1312.6114); for tables Xu et al. 2019 (TVAE, in "Modeling
tabular data using conditional GAN", arXiv 1907.00503).

| theirs | ours |
|---|---|
| q_φ(z | x) = N(μ, σ²) | `Vae.encoder` |
| p_θ(x | z) | `Vae.decoder` through `Heads.logits` |
| β (Higgins et al. 2017) | `kl_weight` |
| L, latent draws a row | `multiplicity`, inside the row's gradient |

Deviations. (a) Numeric columns come as codes of released bins, so that every head is a softmax; TVAE's mixtures would be fitted to private
values. (b) Heads start at the released one-ways. (c) Both halves are trained by DP-SGD: the encoder is thrown away, but it has seen rows,
and the decoder learns through it. (d) No batch normalisation: it mixes rows.
"""

import torch
from torch import Tensor, nn

from synth_pipeline.generate.neural.heads import Heads, perceptron
from synth_pipeline.generate.neural.latent import latent_decoder
from synth_pipeline.generate.neural.space import CodeSpace
from synth_pipeline.generate.vae.config import VaeConfig

_LARGEST_LOG_SCALE = 4.0
_FIRST_LOG_SCALE = -1.0


class Vae(nn.Module):
    """Both halves.

    Args:
        space: the code space.
        config: sizes.
    """

    def __init__(self, space: CodeSpace, config: VaeConfig) -> None:
        super().__init__()
        hidden = (config.encoder_hidden,) if config.encoder_hidden else ()
        self.latent = config.latent
        self.encoder = perceptron((space.width, *hidden, 2 * config.latent), zero_last=False)
        self.decoder = latent_decoder(space, latent=config.latent, hidden=config.decoder_hidden)
        last = self.encoder[-1]
        if isinstance(last, nn.Linear):
            nn.init.normal_(last.weight[: config.latent], std=(len(space.domain) ** -0.5))
            nn.init.zeros_(last.weight[config.latent :])
            nn.init.zeros_(last.bias)

    def forward(self, features: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """Effects for `draws` latent vectors of each row, and the divergence of its posterior from the prior.

        Shapes:
            (batch, F) → (batch, draws, F), (batch,).
        """
        mean, log_scale = self.encoder(features).split(self.latent, dim=-1)
        log_scale = (log_scale + _FIRST_LOG_SCALE).clamp(-_LARGEST_LOG_SCALE, _LARGEST_LOG_SCALE)
        divergence = 0.5 * (mean**2 + (2 * log_scale).exp() - 1 - 2 * log_scale).sum(dim=-1)
        noise = torch.randn((len(features), draws, self.latent), device=features.device)
        effects = self.decoder(mean[:, None] + log_scale.exp()[:, None] * noise)
        return effects, divergence


class VaeLoss:
    """Negative evidence bound of each row, divided by the number of columns.

    Args:
        heads: inputs and outputs over codes.
        weights: weight of each column's reconstruction.
        config: weight of the divergence, latent draws.
    """

    def __init__(self, heads: Heads, weights: Tensor, config: VaeConfig) -> None:
        self.heads, self.weights, self.draws = heads, weights, config.multiplicity
        self.kl_weight = config.kl_weight / len(weights)

    def __call__(self, model: nn.Module, codes: Tensor) -> Tensor:
        """Loss of each row (batch,); the latent noise is public and the row's own."""
        effects, divergence = model(self.heads.inputs(codes), self.draws)
        rows = codes[:, None].expand(-1, self.draws, -1)
        error = self.heads.loss(self.heads.logits(effects), rows, self.weights).mean(dim=1)
        return error + self.kl_weight * divergence
