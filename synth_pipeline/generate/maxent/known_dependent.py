"""Given rows with missing cells, where some columns are drawn from others: what a known drawn column says about its unknown parent."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from synth_pipeline.generate.maxent.dependency import Dependency
from synth_pipeline.generate.protocol import UNKNOWN
from synth_pipeline.generate.stratified import Integers, draw_by_label
from synth_pipeline.table.encoded import Codes, Domain
from synth_pipeline.table.profile import Floats

ParentEvidence: TypeAlias = Mapping[int, tuple[Integers, Floats]]

_LEAST = 1e-12


def parent_evidence(dependencies: Sequence[Dependency], domain: Domain, codes: Codes) -> ParentEvidence:
    """For each parent column: the rows that lack it but know a column drawn from it, and the weight of each of its codes there.

    A known code that no parent's code gives counts as one of probability 1e-12 under all of them.

    Args:
        dependencies: the drawn columns.
        domain: all encoded columns.
        codes: (rows, columns); -1 is unknown.
    """
    found: dict[int, tuple[Integers, Floats]] = {}
    known = codes != UNKNOWN
    for parent in sorted({item.parent for item in dependencies}):
        children = [item for item in dependencies if item.parent == parent]
        told = known[:, [item.column for item in children]].any(axis=1)
        rows = np.flatnonzero(told & ~known[:, parent])
        weights = np.ones((len(rows), domain.sizes[parent]))
        for item in children:
            here = known[rows, item.column]
            likelihood = np.maximum(item.conditional, _LEAST).T
            weights[here] *= likelihood[codes[rows[here], item.column]]
        if len(rows):
            found[parent] = (rows, weights / weights.max(axis=1, keepdims=True))
    return found


def draw_missing_dependents(dependencies: Sequence[Dependency], codes: Codes, rng: np.random.Generator) -> None:
    """Draw the unknown drawn columns from their parents' codes, in place."""
    for item in dependencies:
        rows = np.flatnonzero(codes[:, item.column] == UNKNOWN)
        if len(rows):
            codes[rows, item.column] = draw_by_label(item.conditional, codes[rows, item.parent], rng)
