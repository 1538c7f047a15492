"""Exact imputation: the missing cells of a row from the mixture's law given the row's known cells.

    P(k | known) ∝ w_k Π_known p_k(x_c);   then each missing column from p_k, independently inside the component.

A column that is drawn from another one (its parent) and is known weighs the codes of an unknown parent; where the parent is known it
tells nothing more.
"""

import numpy as np

from synth_pipeline.generate.maxent.known_dependent import draw_missing_dependents, parent_evidence
from synth_pipeline.generate.mixture.products import Products
from synth_pipeline.generate.protocol import UNKNOWN
from synth_pipeline.generate.stratified import Integers, draw_by_label, draw_rows
from synth_pipeline.table.encoded import Codes

_CHUNK_CELLS = 1 << 22
_LEAST = 1e-12


def impute_rows(model: Products, codes: Codes, rng: np.random.Generator) -> Codes:
    """The rows with every unknown cell drawn; known ones unchanged.

    A known code that the model gives no probability counts as one of `_LEAST` probability, so that every row has a completion.

    Args:
        model: the mixture.
        codes: (rows, columns) of the whole domain; -1 is unknown.
        rng: randomness of the draws.
    """
    step = max(_CHUNK_CELLS // model.components, 1)
    parts = [_Completion(model, codes[start : start + step]).draw(rng) for start in range(0, len(codes), step)]
    return np.concatenate(parts) if parts else codes.copy()


class _Completion:
    """The rows of one chunk on their way to being complete."""

    def __init__(self, model: Products, codes: Codes) -> None:
        self.model = model
        self.codes = codes.copy()
        self.known = codes != UNKNOWN
        self.evidence = parent_evidence(model.dependencies, model.domain, codes)

    def draw(self, rng: np.random.Generator) -> Codes:
        components = self._components(rng)
        for position, column in enumerate(self.model.active):
            self._draw_active(position, column, components, rng)
        draw_missing_dependents(self.model.dependencies, self.codes, rng)
        return self.codes

    def _components(self, rng: np.random.Generator) -> Integers:
        """A component of each row, from its law given what is known."""
        logs = np.tile(np.log(np.maximum(self.model.weights, _LEAST)), (len(self.codes), 1))
        for position, column in enumerate(self.model.active):
            table = self.model.column(position)
            rows = np.flatnonzero(self.known[:, column])
            logs[rows] += np.log(np.maximum(table, _LEAST)).T[self.codes[rows, column]]
            if column in self.evidence:
                rows, weights = self.evidence[column]
                logs[rows] += np.log(np.maximum(weights @ table.T, _LEAST))
        law = np.exp(logs - logs.max(axis=1, keepdims=True))
        return draw_rows(law, rng)

    def _draw_active(self, position: int, column: int, components: Integers, rng: np.random.Generator) -> None:
        """Draw an active column in the rows that lack it."""
        table = self.model.column(position)
        rows = np.flatnonzero(~self.known[:, column])
        if column in self.evidence:
            weighted, weights = self.evidence[column]
            law = table[components[weighted]] * weights + _LEAST * weights
            self.codes[weighted, column] = draw_rows(law, rng)
            rows = np.setdiff1d(rows, weighted)
        if len(rows):
            self.codes[rows, column] = draw_by_label(table, components[rows], rng)
