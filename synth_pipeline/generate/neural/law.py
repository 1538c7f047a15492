"""Laws whose columns are independent given a hidden state: what each engine's network amounts to once it is trained.

    hidden ~ Q,    x_j | hidden ~ softmax(logits_j(hidden) + bias_j)  independently over columns j

The hidden state is a latent vector (vae, gan, pate_gan), or the row one step before the last (diffusion). `bias` is calibrated for free
so that the law has the released one-ways. Because the columns are independent given the hidden state, the chance of a condition given it
is a product of masses, and rows under a condition are drawn by the same weighting of chains as in the graphical engines
(`generate.likelihood_weighting`): draw hidden states, weigh each by the chance of the condition, resample, complete.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from synth_pipeline.encode.condition import Condition
from synth_pipeline.generate.autoregressive.conditional import Particles
from synth_pipeline.generate.autoregressive.model import draw_codes, softmax
from synth_pipeline.generate.likelihood_weighting import Weighting
from synth_pipeline.generate.neural.space import CodeSpace, Floats32
from synth_pipeline.table.encoded import Codes

State = npt.NDArray[Any]

_CALIBRATION_ROWS = 16_384
_CALIBRATION_STEPS = 100


class HiddenLaw(Protocol):
    """A trained network as a law over rows."""

    def hidden(self, rows: int, rng: np.random.Generator) -> State:
        """Independent hidden states (rows, H)."""
        ...

    def logits(self, hidden: State) -> Floats32:
        """Logits of all codes side by side, each column's own (rows, codes)."""
        ...

    def weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """Trained parameters by name."""
        ...


def calibrate(law: HiddenLaw, space: CodeSpace, rng: np.random.Generator) -> Floats32:
    """Biases for which the law has the released one-way shares.

    Noise in the weights moves the mean of every column; the released shares are more exact, and using them is free. Each column's bias
    moves by log(share / mean probability) until they agree; columns do not touch one another, since they are independent given the
    hidden state.
    """
    logits = law.logits(law.hidden(_CALIBRATION_ROWS, rng))
    bias = np.zeros(space.codes, dtype=np.float32)
    for part, share in zip(space.domain.slices(), space.by_column, strict=True):
        target = np.log(np.maximum(share, 1e-12)).astype(np.float32)
        shift = np.zeros(len(share), dtype=np.float32)
        for _ in range(_CALIBRATION_STEPS):
            mean = softmax(logits[:, part] + shift).mean(axis=0, dtype=np.float64)
            move = np.clip(target - np.log(np.maximum(mean, 1e-12)), -1.0, 1.0).astype(np.float32)
            shift += move
            if np.abs(move).max() < 1e-3:
                break
        bias[part] = shift
    return bias


def draw_rows(law: HiddenLaw, space: CodeSpace, bias: Floats32, rows: int, rng: np.random.Generator) -> Codes:
    """Rows of the law (rows, columns)."""
    logits = law.logits(law.hidden(rows, rng)) + bias
    columns = [draw_codes(softmax(logits[:, part]), rng) if rows else np.empty(0) for part in space.domain.slices()]
    return np.stack(columns, axis=1).astype(np.int32)


def draw_conditional(
    law: HiddenLaw, space: CodeSpace, bias: Floats32, where: Condition, *, rows: int, rng: np.random.Generator
) -> Particles:
    """Rows of the law's conditional law, every one satisfying the condition.

    Raises:
        ConstraintError: if nothing can satisfy it, or it is too rare under the law.
    """
    named = tuple(sub.column for sub in where.subdomains)
    others = tuple(column for column in range(len(space.domain)) if column not in named)
    chain = _HiddenChain(law, space, bias, rng)
    _, particles = Weighting(chain, where, named, others, widest=space.codes).draw(rows, rng)
    return particles


@dataclass(eq=False)
class _HiddenChain:
    """The law as a chain: all columns hang on the hidden state alone, whatever has been drawn.

    Attributes:
        law: the law.
        space: its code space.
        bias: its calibrated biases.
        rng: draws hidden states.
    """

    law: HiddenLaw
    space: CodeSpace
    bias: Floats32
    rng: np.random.Generator
    _seen: State | None = None
    _logits: Floats32 | None = None

    def blank(self, rows: int) -> State:
        return self.law.hidden(rows, self.rng)

    def probabilities(self, column: int, state: State) -> npt.NDArray[np.float64]:
        if self._logits is None or self._seen is not state:
            self._seen, self._logits = state, self.law.logits(state) + self.bias
        return softmax(self._logits[:, self.space.domain.slices()[column]]).astype(np.float64)

    def learn(self, state: State, column: int, codes: npt.NDArray[np.integer[Any]], rng: np.random.Generator) -> None:
        """Nothing: the other columns hang on the hidden state alone."""

    def draw(self, state: State, column: int, rng: np.random.Generator) -> npt.NDArray[np.integer[Any]]:
        return draw_codes(self.probabilities(column, state).astype(np.float32), rng)
