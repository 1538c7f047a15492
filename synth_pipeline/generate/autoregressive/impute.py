"""Imputation by the network: the missing cells of a row from its law given the known cells, by importance resampling.

    PROPOSE    for each row some completions: the missing columns drawn in main order, each given all known cells and what is drawn
               before it (the network was trained on random orders too, so it can answer that);
    WEIGH      by the main-order likelihood of the whole row over the proposal's;
    RESAMPLE   one completion a row; then again, with the chosen one among the next completions.

The repetition leaves the model's own conditional law unchanged and tends to it from the first choice, whose bias is that of a few
completions (iterated sampling importance resampling: Andrieu, Lee & Vihola 2018).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.autoregressive.model import ColumnModel, log_sum_exp, softmax
from synth_pipeline.generate.protocol import UNKNOWN
from synth_pipeline.generate.stratified import draw_rows
from synth_pipeline.table.encoded import Codes

_COMPLETIONS = 16
_ROUNDS = 5
_CHUNK_ROWS = 1024


def impute_rows(model: ColumnModel, order: Sequence[int], codes: Codes, rng: np.random.Generator) -> Codes:
    """The rows with every unknown cell drawn; known ones unchanged.

    Args:
        model: the network.
        order: the main order of its columns.
        codes: (rows, columns); -1 is unknown.
        rng: randomness of the draws.
    """
    parts = [
        _completed(model, order, codes[start : start + _CHUNK_ROWS], rng)
        for start in range(0, max(len(codes), 1), _CHUNK_ROWS)
    ]
    return np.concatenate(parts)


def _completed(model: ColumnModel, order: Sequence[int], given: Codes, rng: np.random.Generator) -> Codes:
    open_rows = np.flatnonzero((given == UNKNOWN).any(axis=1))
    result, started = given.copy(), given[open_rows]
    if len(open_rows) == 0:
        return result
    chosen, log_chosen = _propose(model, order, started, rng)
    for _ in range(_ROUNDS):
        codes, log_weights = _propose(model, order, np.repeat(started, _COMPLETIONS, axis=0), rng)
        pool = np.concatenate([chosen[:, None], codes.reshape(len(started), _COMPLETIONS, -1)], axis=1)
        logs = np.concatenate([log_chosen[:, None], log_weights.reshape(len(started), _COMPLETIONS)], axis=1)
        picked = draw_rows(np.exp(logs - logs.max(axis=1, keepdims=True)), rng)
        chosen, log_chosen = pool[np.arange(len(pool)), picked], logs[np.arange(len(pool)), picked]
    result[open_rows] = chosen
    return result


def _propose(
    model: ColumnModel, order: Sequence[int], given: Codes, rng: np.random.Generator
) -> tuple[Codes, npt.NDArray[np.float64]]:
    """A completion of each row, and its log importance weight."""
    codes = given.copy()
    seen, log_proposal = model.blank(len(codes)), np.zeros(len(codes))
    for column in order:
        _learn(model, seen, np.flatnonzero(codes[:, column] != UNKNOWN), codes, column)
    for column in order:
        rows = np.flatnonzero(codes[:, column] == UNKNOWN)
        if len(rows) == 0:
            continue
        logits = model.logits(column, seen[rows])
        codes[rows, column] = draw_rows(softmax(logits).astype(np.float64), rng)
        log_proposal[rows] += logits[np.arange(len(rows)), codes[rows, column]] - log_sum_exp(logits)
        _learn(model, seen, rows, codes, column)
    return codes, model.log_likelihood(codes, order) - log_proposal


def _learn(model: ColumnModel, seen: np.ndarray, rows: np.ndarray, codes: Codes, column: int) -> None:
    """Write the features of a column into the given rows, in place."""
    if len(rows):
        features = seen[rows]
        model.learn(features, column, codes[rows, column])
        seen[rows] = features
