"""A decoder of latent vectors as a law: what is kept of a trained vae, and of a generator without conditions."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from synth_pipeline.generate.neural.heads import Heads, perceptron
from synth_pipeline.generate.neural.space import CodeSpace, Floats32


def latent_decoder(space: CodeSpace, *, latent: int, hidden: int) -> nn.Sequential:
    """Latent vectors to effects; starts at zero, that is, at independent columns with the released one-ways.

    Args:
        space: the code space.
        latent: dimensions of the latent vector.
        hidden: width of the hidden layer; 0 for none.
    """
    return perceptron((latent, *((hidden,) if hidden else ()), space.width), zero_last=True)


class LatentLaw:
    """Latent vectors from a standard normal, decoded.

    Args:
        decoder: trained decoder.
        space: the code space.
        latent: dimensions of the latent vector.
    """

    def __init__(self, decoder: nn.Module, space: CodeSpace, latent: int) -> None:
        self.decoder, self.heads, self.latent = decoder.eval(), Heads(space), latent

    def hidden(self, rows: int, rng: np.random.Generator) -> npt.NDArray[Any]:
        """Latent vectors (rows, latent)."""
        return rng.standard_normal((rows, self.latent), dtype=np.float32)

    @torch.no_grad()
    def logits(self, hidden: npt.NDArray[Any]) -> Floats32:
        """Logits of all codes (rows, codes)."""
        return self.heads.logits(self.decoder(torch.as_tensor(hidden))).numpy()

    def weights(self) -> dict[str, Floats32]:
        """Trained parameters of the decoder by name."""
        return {name: value.numpy() for name, value in self.decoder.state_dict().items()}


def latent_law(space: CodeSpace, weights: dict[str, Floats32], *, latent: int, hidden: int) -> LatentLaw:
    """The law of a decoder's trained parameters."""
    decoder = latent_decoder(space, latent=latent, hidden=hidden)
    decoder.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    return LatentLaw(decoder, space, latent)
