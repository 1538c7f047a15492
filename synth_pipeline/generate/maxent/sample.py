"""SAMPLE: rows are chains. Unconditional rows are herded to the model's marginals; conditional ones are found by tempered particles.

A condition is a boolean array over regions of the columns it names (see `encode.condition`). The chains are extended by the region that
each named column lies in, and the condition enters as a factor exp(−β·distance), with distance the number of columns whose region would
have to change. β rises from 0 to infinity; at each step the particles are resampled by the change of that factor and moved by Gibbs
sweeps that leave the tempered law unchanged. At the end every row satisfies the condition and follows the model's conditional law.

Source:
    Del Moral, Doucet & Jasra 2006 (sequential Monte Carlo samplers); Welling 2009 (herding), here in mini-batches.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from synth_pipeline.errors import ConstraintError
from synth_pipeline.generate.maxent.evidence import Evidence
from synth_pipeline.generate.maxent.field import Field, draw

_BURN_IN_SWEEPS = 10
_HERDING_SWEEPS = 2
_BATCHES = 20
_HERDING_FORCE = 4.0
_TEMPERATURES = (0.0, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0, math.inf)
_FEWEST_PARTICLES = 4096
_MILD = 0.8


@dataclass
class Sampler:
    """Draws rows from a fitted field.

    Attributes:
        field: the fitted factors, with the chains of the fit.
        joint: the model's pair marginals (S, S), the goal of herding.
        rng: randomness of column orders and batches.
        generator: randomness of draws.
    """

    field: Field
    joint: Tensor
    rng: np.random.Generator
    generator: torch.Generator

    def rows(self, count: int) -> Tensor:
        """States (count, d) of unconditional rows."""
        field = self._spread(count)
        for _ in range(_BURN_IN_SWEEPS):
            self._sweep(field)
        self._herd(field)
        return field.states

    def rows_where(self, count: int, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """States (count, d) and regions (count, axes) of rows that satisfy a condition.

        Raises:
            ConstraintError: if no particle reached it.
        """
        field = self._spread(max(count, _FEWEST_PARTICLES))
        for _ in range(_BURN_IN_SWEEPS):
            self._sweep(field)
        regions = evidence.start(field, self.generator)
        is_mild = float((evidence.distances(regions) == 0).float().mean()) > _MILD
        for before, after in pairwise(_TEMPERATURES):
            regions = self._reweigh(field, regions, evidence, before, after)
            for _ in range(2 if math.isfinite(after) else _BURN_IN_SWEEPS):
                self._sweep_where(field, regions, evidence, after)
        if is_mild:
            self._herd(field, (evidence, regions))
        chosen = torch.as_tensor(self.rng.permutation(field.chains)[:count], device=field.bias.device)
        return field.states[chosen], regions[chosen]

    def _spread(self, count: int) -> Field:
        """A copy of the field with `count` chains, each of the fit's taken about equally often, in random order."""
        copies = np.resize(self.rng.permutation(self.field.chains), count)
        states = self.field.states[torch.as_tensor(self.rng.permutation(copies), device=self.field.bias.device)]
        return Field(self.field.domain, self.field.weights, self.field.bias, states.clone())

    def _sweep(self, field: Field) -> None:
        for column in self.rng.permutation(len(field.domain)):
            _, codes = draw(field.logits(column), self.generator)
            field.states[:, column] = codes + field.offsets[column]

    def _herd(self, field: Field, held: "tuple[Evidence, Tensor] | None" = None) -> None:
        """Sweeps whose logits are pushed, batch by batch, towards the marginals that the rows still miss.

        Args:
            field: the rows.
            held: a condition that holds for them, and their regions, which stay inside it.
        """
        hot = field.one_hot()
        empirical = hot.T @ hot / field.chains
        for _ in range(_HERDING_SWEEPS):
            for column in self.rng.permutation(len(field.domain)):
                order = torch.as_tensor(self.rng.permutation(field.chains), device=field.bias.device)
                for batch in order.chunk(_BATCHES):
                    force, own = self._force(field, empirical, int(column))
                    states = field.states[batch]
                    logits = field.logits(column, states) + embedding_bag(states, force, mode="sum") + own
                    codes = self._draw_held(logits, int(column), batch, held)
                    _count_move(field, empirical, int(column), (states, codes))
                    field.states[batch, column] = codes + field.offsets[column]

    def _force(self, field: Field, empirical: Tensor, column: int) -> tuple[Tensor, Tensor]:
        """Push on a column's logits from each other code (S, D_j), and from its own one-way (D_j)."""
        part = field.slices[column]
        goal, now = self.joint[:, part], empirical[:, part]
        force = (_HERDING_FORCE * (goal - now) / (torch.maximum(goal, now) + 2 / field.chains)).clamp_(-1, 1)
        own = torch.diag(force[part]).clone()
        force[part] = 0.0
        return force / math.sqrt(len(field.domain)), own

    def _draw_held(self, logits: Tensor, column: int, batch: Tensor, held: "tuple[Evidence, Tensor] | None") -> Tensor:
        """Codes drawn from the logits, inside the condition that is held."""
        if held is None or column not in held[0].columns:
            return draw(logits, self.generator)[1]
        evidence, regions = held
        parts = evidence.columns[column]
        penalty = evidence.penalties(regions[batch], parts, math.inf)
        _, chosen = draw(logits[:, parts.parent] + parts.log_share + penalty, self.generator)
        regions[batch[:, None], parts.axes] = parts.regions[chosen]
        return parts.parent[chosen]

    def _reweigh(self, field: Field, regions: Tensor, evidence: Evidence, before: float, after: float) -> Tensor:
        """Resample states and regions together by the change of the condition's factor."""
        distance = evidence.distances(regions)
        if math.isinf(after):
            weights = torch.where(distance > 0, -math.inf, before * distance)
            if not bool((distance == 0).any()):
                raise ConstraintError(
                    "condition: no sampled row reached it, so it is too rare under the released model; widen it or ask for fewer columns"
                )
        else:
            weights = -(after - before) * distance
        joined = Field(field.domain, field.weights, field.bias, torch.cat([field.states, regions], 1))
        joined.resample(weights, self.generator)
        field.states = joined.states[:, : len(field.domain)]
        return joined.states[:, len(field.domain) :]

    def _sweep_where(self, field: Field, regions: Tensor, evidence: Evidence, strength: float) -> None:
        """One Gibbs sweep of the tempered conditional law; moves the states and, in place, the regions."""
        for column in self.rng.permutation(len(field.domain)):
            logits = field.logits(column)
            if column not in evidence.columns:
                _, codes = draw(logits, self.generator)
            else:
                parts = evidence.columns[column]
                penalty = evidence.penalties(regions, parts, strength)
                _, chosen = draw(logits[:, parts.parent] + parts.log_share + penalty, self.generator)
                codes = parts.parent[chosen]
                regions[:, parts.axes] = parts.regions[chosen]
            field.states[:, column] = codes + field.offsets[column]


def _count_move(field: Field, empirical: Tensor, column: int, moved: tuple[Tensor, Tensor]) -> None:
    """Bring the empirical pair marginals (S, S) up to date with a batch's new codes of one column, in place."""
    (states, codes), part = moved, field.slices[column]
    width = part.stop - part.start
    places = states * width
    added = torch.bincount((places + codes[:, None]).reshape(-1), minlength=field.width * width)
    taken = torch.bincount(
        (places + (states[:, column : column + 1] - part.start)).reshape(-1), minlength=field.width * width
    )
    empirical[:, part] += (added - taken).reshape(field.width, width) / field.chains
    empirical[part, :] = empirical[:, part].T.clone()
    other = field.slices[0 if column else len(field.domain) - 1]
    empirical[part, part] = torch.diag(empirical[other, part].sum(0))
