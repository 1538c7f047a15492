"""A conditional GAN on codes: a generator given a latent vector and a condition, and a critic of rows and conditions.

Xu, Skoularidou, Cuesta-Infante and Veeramachaneni 2019 (CTGAN, "Modeling tabular data using conditional GAN", arXiv 1907.00503);
DP on the critic alone as in Xie et al. 2018 (DPGAN, arXiv 1802.06739).

| theirs | ours |
|---|---|
| z ~ N(0, 1) | `latent` numbers |
| cond, mask vector of a discrete column and value | a column, uniform, and a code of it: `Conditions.draw` |
| PMF of values by log-frequency of the training rows | the released one-ways; no row is asked |
| training-by-sampling: real rows drawn to match cond | none: a real row's condition is its own code at a column drawn for it |
| Ĉ(r̂, cond), critic | `Critic` |

Deviations. (a) Training-by-sampling picks private rows by value, which no Poisson accountant covers. Here the rows of a batch are the
curator's, and each is shown with a condition that it fulfils; since the column is uniform and the generator's code follows the released
one-way, real and generated pairs (row, condition) have the same law when the rows have. (b) The critic is a quadratic form in the
features (symmetric couplings: it weighs every pair of codes) plus a perceptron if `critic_hidden` is not 0. (c) Logistic loss instead of
WGAN-GP, whose penalty takes a second derivative at private rows. (d) No PacGAN: rows of a pack share one gradient. (e) No batch
normalisation in the critic.
"""

import numpy as np
import torch
from torch import Tensor, nn

from synth_pipeline.generate.gan.config import GanConfig
from synth_pipeline.generate.neural.couplings import SymmetricCouplings
from synth_pipeline.generate.neural.heads import Heads, perceptron
from synth_pipeline.generate.neural.space import CodeSpace, Floats32


class RowGenerator(nn.Module):
    """Latent vector and condition to effects; starts at independent columns with the released one-ways.

    Args:
        space: the code space.
        latent: dimensions of the latent vector.
        hidden: width of the hidden layer.
    """

    def __init__(self, space: CodeSpace, *, latent: int, hidden: int) -> None:
        super().__init__()
        self.latent = latent
        self.layers = perceptron((latent + space.width, hidden, space.width), zero_last=True)

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        """(batch, latent), features of the condition (batch, F) → effects (batch, F)."""
        return self.layers(torch.cat([latent, condition], dim=-1))


class Conditions:
    """Conditions as features: those of one code of one column, zero elsewhere.

    Args:
        space: the code space.
        heads: its torch side.
    """

    def __init__(self, space: CodeSpace, heads: Heads) -> None:
        self.heads, self.columns = heads, len(space.domain)
        of_feature = torch.tensor(space.features.columns, device=heads.table.device)
        self.masks = nn.functional.one_hot(of_feature, self.columns).T.float()

    def of_rows(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """A column drawn for each row, and the features of the row's own code there."""
        column = torch.randint(self.columns, (len(codes),), device=codes.device)
        return column, self.heads.inputs(codes) * self.masks[column]

    def draw(self, rows: int, noise: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Columns, and codes of all columns by the released one-ways, of which the one at the column counts."""
        column = torch.randint(self.columns, (rows,), generator=noise)
        return column.to(self.masks.device), self.heads.draw_shares((rows,), noise).to(self.masks.device)

    def features(self, column: Tensor, codes: Tensor) -> Tensor:
        """Features of conditions that `draw` drew (rows, F)."""
        return self.heads.inputs(codes) * self.masks[column]


class Critic(nn.Module):
    """Score of a row and a condition: a quadratic form of the row's features, plus a perceptron.

    Args:
        space: the code space.
        hidden: width of the perceptron; 0 for none.
    """

    def __init__(self, space: CodeSpace, hidden: int) -> None:
        super().__init__()
        self.couplings = SymmetricCouplings(space.features.widths)
        self.hidden = perceptron((2 * space.width, hidden, 1), zero_last=True) if hidden else None

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Features (batch, F) of rows and of their conditions → score (batch,)."""
        # Rows of unit length: the gradient of the quadratic form is bounded, so that the clip seldom acts.
        unit = nn.functional.normalize(features, dim=-1)
        score = (self.couplings(unit) * unit).sum(dim=-1)
        if self.hidden is not None:
            score = score + self.hidden(torch.cat([unit, condition], dim=-1)).squeeze(-1)
        return score


class CriticLoss:
    """Logistic loss of the critic: of real rows, and of generated ones with their conditions.

    Args:
        heads: inputs over codes.
        conditions: draws conditions.
    """

    def __init__(self, heads: Heads, conditions: Conditions) -> None:
        self.heads, self.conditions = heads, conditions

    def real(self, model: nn.Module, codes: Tensor) -> Tensor:
        """Loss of each real row (batch,); the column of its condition is public randomness, its code the row's own."""
        _, condition = self.conditions.of_rows(codes)
        return nn.functional.softplus(-model(self.heads.inputs(codes), condition))

    def generated(self, model: nn.Module, features: Tensor, condition: Tensor) -> Tensor:
        """Loss of each generated row (batch,)."""
        return nn.functional.softplus(model(features, condition))


class GanLaw:
    """The generator as a law: latent vectors from the prior, conditions from the released one-ways.

    Args:
        model: trained generator.
        space: the code space.
    """

    def __init__(self, model: RowGenerator, space: CodeSpace) -> None:
        self.model, self.heads = model.eval(), Heads(space)
        self.conditions = Conditions(space, self.heads)

    @torch.no_grad()
    def hidden(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Latent vectors and features of conditions (rows, latent + F)."""
        noise = torch.Generator().manual_seed(int(rng.integers(2**63)))
        latent = torch.randn((rows, self.model.latent), generator=noise)
        return torch.cat([latent, self.conditions.features(*self.conditions.draw(rows, noise))], dim=1).numpy()

    @torch.no_grad()
    def logits(self, hidden: np.ndarray) -> Floats32:
        """Logits of all codes (rows, codes)."""
        latent, condition = torch.as_tensor(hidden).split(
            [self.model.latent, hidden.shape[1] - self.model.latent], dim=1
        )
        return self.heads.logits(self.model(latent, condition)).numpy()

    def weights(self) -> dict[str, Floats32]:
        """Trained parameters of the generator by name."""
        return {name: value.numpy() for name, value in self.model.state_dict().items()}


def make_generator(space: CodeSpace, config: GanConfig) -> RowGenerator:
    """The generator network of a config."""
    return RowGenerator(space, latent=config.latent, hidden=config.generator_hidden)
