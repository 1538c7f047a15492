"""Imputation by the field: the missing cells of a row from the model's law given its known cells.

    START      for each row some chains of the fit; their known columns are set to the row's values one after another, each chain weighted
               by the probability of the value that it is given (likelihood weighting, a sequential importance sampler);
    RESAMPLE   one chain a row, by weight;
    SWEEP      Gibbs moves of the unknown columns, the known ones clamped.

After the start the law is right up to the finite number of chains; the sweeps leave the conditional law unchanged and take out what is
left. A known column that is drawn from an unknown one weighs its codes.

Source:
    Fung & Chang 1990 (likelihood weighting); Geman & Geman 1984 (Gibbs moves with clamped sites).

Symbols: R rows, d active columns, D codes of a column, M starting chains a row.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.maxent.dependency import Dependency
from synth_pipeline.generate.maxent.field import Field
from synth_pipeline.generate.maxent.known_dependent import draw_missing_dependents, parent_evidence
from synth_pipeline.generate.protocol import UNKNOWN
from synth_pipeline.generate.stratified import draw_rows
from synth_pipeline.table.encoded import Codes, Domain
from synth_pipeline.table.profile import Floats

_STARTS = 32
_SWEEPS = 16
_CHUNK_ROWS = 4096
_LOWEST_LOG = -60.0


class FieldImputer:
    """Fills rows by a fitted field.

    Attributes:
        field: factors, and the chains of the fit.
        active: domain indices of the field's columns.
        dependencies: columns drawn from active ones.
        domain: all encoded columns.
    """

    def __init__(self, field: Field, active: Sequence[int], dependencies: Sequence[Dependency], domain: Domain) -> None:
        self.active, self.dependencies, self.domain = tuple(active), tuple(dependencies), domain
        self.offsets = np.array(field.domain.offsets[:-1])
        self.pool: Codes = (field.states.cpu().numpy() - self.offsets).astype(np.int32)
        weights = np.maximum(field.weights.cpu().numpy(), _LOWEST_LOG)
        self.blocks = [np.ascontiguousarray(weights[:, part]) for part in field.slices]
        self.biases = [np.maximum(field.bias.cpu().numpy()[part], _LOWEST_LOG) for part in field.slices]

    def impute(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """The rows with every unknown cell drawn; known ones unchanged.

        Args:
            codes: (rows, columns) of the whole domain; -1 is unknown.
            rng: randomness of the draws.
        """
        done = [
            self._filled(codes[start : start + _CHUNK_ROWS], rng) for start in range(0, max(len(codes), 1), _CHUNK_ROWS)
        ]
        return np.concatenate(done)

    def _filled(self, codes: Codes, rng: np.random.Generator) -> Codes:
        given = codes[:, list(self.active)]
        known = given != UNKNOWN
        evidence = np.concatenate([self._evidence(codes, position) for position in range(len(self.active))], axis=1)
        rows = self._start(given, known, evidence, rng)
        for _ in range(_SWEEPS):
            for position in rng.permutation(len(self.active)):
                open_rows = np.flatnonzero(~known[:, position])
                if len(open_rows):
                    law = self._law(rows[open_rows], int(position), evidence[open_rows])
                    rows[open_rows, position] = draw_rows(law, rng)
        result = codes.copy()
        result[:, list(self.active)] = rows
        draw_missing_dependents(self.dependencies, result, rng)
        return result

    def _start(self, given: Codes, known: npt.NDArray[np.bool_], evidence: Floats, rng: np.random.Generator) -> Codes:
        """A chain for each row, its known columns set to the row's values, drawn by importance."""
        count = len(given)
        rows = self.pool[rng.integers(len(self.pool), size=count * _STARTS)]
        log_weights = np.zeros(count * _STARTS)
        for position in rng.permutation(given.shape[1]):
            held = np.flatnonzero(np.repeat(known[:, position], _STARTS))
            told = np.flatnonzero(np.repeat(~known[:, position], _STARTS))
            if len(held):
                values = given[held // _STARTS, position]
                law = self._law(rows[held], int(position))
                log_weights[held] += np.log(np.maximum(law[np.arange(len(held)), values] / law.sum(axis=1), 1e-300))
                rows[held, position] = values
            part = self._part(int(position))
            if len(told) and (evidence[:, part] != 0).any():
                log_weights[told] += evidence[:, part][told // _STARTS, rows[told, position]]
        weights = log_weights.reshape(count, _STARTS)
        chosen = draw_rows(np.exp(weights - weights.max(axis=1, keepdims=True)), rng)
        return rows.reshape(count, _STARTS, -1)[np.arange(count), chosen]

    def _law(self, rows: Codes, position: int, evidence: Floats | None = None) -> Floats:
        """Unnormalised conditional law of a column given all others, (R, D)."""
        block = self.blocks[position]
        logits = np.tile(self.biases[position].astype(np.float64), (len(rows), 1))
        for other in range(rows.shape[1]):
            if other != position:
                logits += block[self.offsets[other] + rows[:, other]]
        if evidence is not None:
            logits += evidence[:, self._part(position)]
        return np.exp(logits - logits.max(axis=1, keepdims=True))

    def _evidence(self, codes: Codes, position: int) -> Floats:
        """Log-weight of each code of an active column from known columns that are drawn from it, (R, D); 0 where nothing is told."""
        weights = np.zeros((len(codes), len(self.biases[position])))
        found = parent_evidence(
            [item for item in self.dependencies if item.parent == self.active[position]], self.domain, codes
        )
        for rows, told in found.values():
            weights[rows] = np.log(told)
        return weights

    def _part(self, position: int) -> slice:
        start = int(self.offsets[position])
        return slice(start, start + len(self.biases[position]))
