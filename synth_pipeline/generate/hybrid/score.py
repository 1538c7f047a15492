"""Scores of the target: MEASURE one noisy sum of clipped scores, MATCH the correction whose expected sum it is.

A row (x, y) has the score

    s(x, y) = (C_y − E_p[C | x]) ⊗ φ(x),        clipped to norm c,

the gradient of log p(y | x) under the released conditional p, with φ the centred features of the other columns and a constant. Its sum
over the rows says how p is wrong in every direction at once. Where a table of (column, target) counts pays for a whole row in one cell
of every table, a row that p already explains has a small score: clipping at c far below the largest norm takes most of the noise away.

Clipping moves the sum even where p is right. So the correction W is not a gradient step: it is the one under which rows of the released
field, with y drawn from p_W, would have that sum,

    min_W  |g − n E_x Σ_y p_W(y | x) clip(s(x, y))|² / 2z² + λ |W|² / 2,

z the noise, λ a prior precision. One exact discrete-Gaussian answer, no iteration over private rows, any number of rows a person.

Source:
    Moment matching in place of maximum likelihood: Gouriéroux, Monfort & Renault 1993 (indirect inference). Clipped scores as bounded
    influence: Hampel 1974; under differential privacy: Abadi et al. 2016, of which this is one full-batch step.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from synth_pipeline.generate.autoregressive.features import Features
from synth_pipeline.generate.hybrid.conditional import TargetModel, softmax
from synth_pipeline.table.encoded import Codes, Domain

Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]

_MOST_SURPRISES = 1 << 23
_FEWEST_ROWS = 1024


@dataclass(frozen=True, eq=False)
class TargetScore:
    """Scores of rows under a released conditional model; each row's depends on that row alone.

    Attributes:
        domain: the encoded columns.
        model: the conditional model p.
        features: features of every column of the domain.
        centre: mean features of the model's rows, all columns side by side.
        clip_norm: c.
    """

    domain: Domain
    model: TargetModel
    features: Features
    centre: Floats
    clip_norm: float

    @property
    def others(self) -> tuple[int, ...]:
        """Active columns but the target."""
        return tuple(column for column in self.model.active if column != self.model.target)

    @property
    def target_features(self) -> Floats:
        """C (target codes, its features)."""
        return self._block(self.model.target)

    def predictors(self, codes: Codes) -> Floats:
        """φ of rows, a constant last (rows, features + 1)."""
        parts = [self._block(column)[codes[:, column]] - self.centre[self._part(column)] for column in self.others]
        return np.concatenate([*parts, np.ones((len(codes), 1), dtype=np.float32)], axis=1)

    def __call__(self, codes: Codes) -> Floats:
        """Scores of rows, divided by c (rows, target features × (features + 1)); not clipped yet."""
        surprise = self._surprises(codes)[np.arange(len(codes)), codes[:, self.model.target]]
        outer = surprise[:, :, None] * self.predictors(codes)[:, None, :]
        return outer.reshape(len(codes), outer.shape[1] * outer.shape[2]) / np.float32(self.clip_norm)

    def clipped_surprises(self, codes: Codes, predictors: Floats) -> Floats:
        """C_y − E_p[C | x] for every code y, over c, times the factor by which the score would be clipped (rows, codes, features)."""
        surprises = self._surprises(codes) / self.clip_norm
        norms = np.linalg.norm(surprises, axis=2) * np.linalg.norm(predictors, axis=1)[:, None]
        return surprises / np.maximum(norms, 1.0)[:, :, None]

    def effects(self, weights: Floats) -> tuple[Floats, Floats]:
        """What weights W (target features, features + 1) add to the model's block and bias."""
        answers = weights.T @ self.target_features.T
        block, bias, start = np.zeros_like(self.model.block), answers[-1].copy(), 0
        for column in self.others:
            width = self.features.widths[column]
            part = answers[start : start + width]
            place = self.model.offsets[self.model.active.index(column)]
            table = self._block(column)
            block[place : place + len(table)] = table @ part
            bias -= self.centre[self._part(column)] @ part
            start += width
        return block, bias

    def _surprises(self, codes: Codes) -> Floats:
        # Not `@`: a matrix library rounds a row by its place among the others, and a score must hang on its own row to the last bit.
        expected: Floats = np.einsum("rc,cf->rf", self.model.probabilities(codes), self.target_features, optimize=False)
        return self.target_features[None] - expected[:, None]

    def _part(self, column: int) -> slice:
        return self.features.part(column)

    def _block(self, column: int) -> Floats:
        return self.features.block(self.domain, column)


def match_scores(
    score: TargetScore,
    codes: Codes,
    answer: tuple[npt.NDArray[np.float64], float],
    *,
    rows: float,
    prior: float,
    steps: int,
) -> Floats:
    """Weights W whose expected sum of clipped scores is the released one.

    Args:
        score: the scores that were summed.
        codes: released rows that stand for the private ones.
        answer: the noisy sum, and the standard deviation of its noise, in clips.
        rows: noisy number of private rows.
        prior: λ.
        steps: L-BFGS iterations.

    Shapes:
        → (target features, features + 1).
    """
    codes = codes[: max(_MOST_SURPRISES // score.target_features.size, _FEWEST_ROWS)]
    predictors = score.predictors(codes).astype(np.float64)
    surprises = score.clipped_surprises(codes, predictors.astype(np.float32)).astype(np.float64)
    start, answers = score.model.logits(codes).astype(np.float64), score.target_features.astype(np.float64)
    shape = (answers.shape[1], predictors.shape[1])
    goal = answer[0].reshape(shape) / answer[1]
    # In units of the prior's standard deviation and of the noise's, so that one step length suits all.
    unit, scale = prior**-0.5, rows / len(codes) / answer[1]

    def loss(flat: Wide) -> tuple[float, Wide]:
        """Half the squared misses, and their gradient."""
        chances = softmax(start + unit * (predictors @ flat.reshape(shape).T) @ answers.T)
        miss = scale * np.einsum("rd,rdf->rf", chances, surprises, optimize=True).T @ predictors - goal
        by_code = scale * np.einsum("rdf,rf->rd", surprises, predictors @ miss.T, optimize=True)
        by_logit = chances * (by_code - (chances * by_code).sum(axis=1, keepdims=True))
        gradient = unit * (by_logit @ answers).T @ predictors
        return float((miss**2).sum() + (flat**2).sum()) / 2, gradient.reshape(-1) + flat

    found = minimize(loss, np.zeros(goal.size), jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxcor": 20})
    return (unit * found.x).reshape(shape).astype(np.float32)
