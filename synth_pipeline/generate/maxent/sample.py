"""SAMPLE: rows are chains, started from the pool that the fit left and herded to the model's marginals.

One sweep herds: it moves every column of every row, and pushes the logits, batch by batch, towards the pair shares that the rows still
miss. Few rows are not herded, since each would be pushed away from where it is; neither are rows under a condition, whose marginals are
others.

Conditional rows start from the rows of the pool that satisfy the condition. Where too few do, they are found by tempered particles: a
condition is a boolean array over regions of the columns it names (see `encode.condition`); the chains are extended by the region that
each named column lies in, and the condition enters as a factor exp(−β·distance), with distance the number of columns whose region would
have to change. β rises from 0 to infinity, at each step as far as half of the particles survive; they are resampled by the change of that
factor and moved by Gibbs sweeps that leave the tempered law unchanged. At the end every row satisfies the condition and follows the
model's conditional law.

Source:
    Del Moral, Doucet & Jasra 2006 and 2012 (sequential Monte Carlo samplers, adaptive temperatures); Welling 2009 (herding), here in
    mini-batches: a full batch oscillates.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth_pipeline.errors import ConstraintError
from synth_pipeline.generate.maxent.evidence import Evidence
from synth_pipeline.generate.maxent.field import Field, systematic, uniform
from synth_pipeline.generate.maxent.kernel import Column, Floats, Ints, Push, herd, move, move_where

_BURN_IN_SWEEPS = 10
_MOST_BATCHES = 60
_FEWEST_HERDED = 1000
_FEWEST_IN_BATCH = 16
_HERDING_FORCE = 4.0
_LEAST_POOL = 16_384
_MOST_PARTICLES = 16_384
_FEWEST_PARTICLES = 4096
_FEWEST_HITS, _PLENTY_HITS = 32, 1024
_MOST_COPIES = 16
_CLAMPED_SWEEPS = 4
_TEMPERED_SWEEPS = 2
_SURVIVORS = 0.5
_LARGEST_STEP = 2.0
_COLDEST = 30.0


@dataclass
class Sampler:
    """Draws rows from a fitted field.

    The chains it draws from go on from call to call, so that a large request may be asked for in parts.

    Attributes:
        field: the fitted factors, with the chains of the fit.
        joint: the model's pair marginals (S, S), the goal of herding.
        rng: randomness of column orders and of the choice of chains.
        generator: randomness of draws.
    """

    field: Field
    joint: Tensor
    rng: np.random.Generator
    generator: torch.Generator
    columns: tuple[Column, ...] = dataclasses.field(init=False)
    pool: Ints = dataclasses.field(init=False)
    used: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        near = self.field.neighbours()
        self.columns = tuple(self.field.column(index, near[index]) for index in range(len(self.field.domain)))
        self.goal = self.joint.cpu().numpy().astype(np.float32, copy=False)
        self.offsets = np.array(self.field.domain.offsets[:-1], np.int32)
        self.is_pooled = self.field.chains >= _LEAST_POOL
        self.pool = self.field.rows[self.rng.permutation(self.field.chains)]

    def rows(self, count: int) -> Tensor:
        """States (count, d) of unconditional rows."""
        if not self.is_pooled:
            self._widen(min(max(count, 1), _LEAST_POOL))
        parts = [self.pool[:0]]
        for start in range(0, count, len(self.pool)):
            places = (self.used + np.arange(min(count - start, len(self.pool)))) % len(self.pool)
            self.used += len(places)
            states = self.pool[places]
            self._finish(states)
            self.pool[places] = states
            parts.append(states)
        return torch.from_numpy(np.concatenate(parts))

    def rows_where(self, count: int, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """States (count, d) and regions (count, axes) of rows that satisfy a condition.

        Raises:
            ConstraintError: if no particle reached it.
        """
        if not self.is_pooled:
            self._widen(_LEAST_POOL)
        regions = evidence.start(self.pool - self.offsets, self._points(len(self.pool), len(evidence.columns)))
        hits = np.flatnonzero(evidence.distances(regions) == 0)
        is_common = len(hits) >= max(_FEWEST_HITS, min(_PLENTY_HITS, 2 * count), count / _MOST_COPIES)
        if is_common:
            sweeps = 1 if count <= len(hits) else _CLAMPED_SWEEPS
            states, regions = self.pool[hits], regions[hits]
        else:
            sweeps = _BURN_IN_SWEEPS
            states, regions = self._temper(regions, evidence, min(max(count, _FEWEST_PARTICLES), _MOST_PARTICLES))
        chosen = self.rng.permutation(np.resize(self.rng.permutation(len(states)), count))
        states, regions = states[chosen], regions[chosen]
        for _ in range(sweeps):
            self._sweep(states, (evidence, regions))
        return torch.from_numpy(states), torch.from_numpy(regions)

    def _points(self, *shape: int) -> Floats:
        return uniform(math.prod(shape), self.generator).numpy().reshape(shape)

    def _widen(self, count: int) -> None:
        """Make a pool of the few chains of a fit that left none."""
        self.pool = np.resize(self.pool, (count, self.pool.shape[1]))
        for _ in range(_BURN_IN_SWEEPS):
            self._sweep(self.pool)
        self.is_pooled = True

    def _sweep(self, states: Ints, held: "tuple[Evidence, Ints] | None" = None, strength: float = math.inf) -> None:
        """One Gibbs sweep in place, of the law or of the tempered conditional law; moves the regions as well."""
        for index in self.rng.permutation(len(self.columns)):
            column, points = self.columns[index], self._points(len(states))
            if held is None or index not in held[0].columns:
                move(states, column, points)
            else:
                move_where(states, column, points, held[1], held[0].clamp(index, strength))

    def _temper(self, regions: Ints, evidence: Evidence, particles: int) -> tuple[Ints, Ints]:
        """Particles of the conditional law and their regions, from the whole pool by rising strengths of the condition."""
        states, strength = self.pool, 0.0
        while True:
            distance = evidence.distances(regions)
            after = _next_strength(distance, strength)
            met = np.where(distance > 0, -np.inf, 0.0)
            log_weights = met if math.isinf(after) else -(after - strength) * distance
            chosen = systematic(torch.from_numpy(log_weights), particles, self.generator).numpy()
            states, regions, strength = states[chosen], regions[chosen], after
            if math.isinf(strength):
                return states, regions
            for _ in range(_TEMPERED_SWEEPS):
                self._sweep(states, (evidence, regions), strength)

    def _finish(self, states: Ints) -> None:
        """The last sweep of unconditional rows, in place: herded where they are many enough."""
        if len(states) < _FEWEST_HERDED:
            self._sweep(states)
            return
        others = np.arange(len(self.columns), dtype=np.int32)
        push = Push(_HERDING_FORCE, 1 / math.sqrt(len(others)), min(_MOST_BATCHES, len(states) // _FEWEST_IN_BATCH))
        for index in self.rng.permutation(others):
            column = self.columns[index]._replace(near=others[others != index])
            goal = np.ascontiguousarray(self.goal[:, self.field.slices[index]])
            order = self.rng.permutation(len(states)).astype(np.int32)
            herd(states, column, goal, order, self._points(len(states)), push)


def _next_strength(distance: Floats, strength: float) -> float:
    """The next strength: infinite where enough particles already satisfy the condition, else as far as enough of them survive.

    Raises:
        ConstraintError: if the coldest strength is passed without a particle that satisfies it.
    """
    met = float((distance == 0).mean())
    if met >= _SURVIVORS or (strength >= _COLDEST and met > 0):
        return math.inf
    if strength >= _COLDEST:
        raise ConstraintError(
            "condition: no sampled row reached it, so it is too rare under the released model; widen it or ask for fewer columns"
        )
    low, high = 0.0, _LARGEST_STEP
    if _survivors(distance, high) >= _SURVIVORS:
        return strength + high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _survivors(distance, middle) >= _SURVIVORS else (low, middle)
    return strength + max(low, 0.05)


def _survivors(distance: Floats, step: float) -> float:
    """Effective share of particles left after a rise of the strength."""
    weights = np.exp(-step * (distance - distance.min()).astype(np.float64))
    return float(weights.sum() ** 2 / (weights**2).sum() / len(weights))
