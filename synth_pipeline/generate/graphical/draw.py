"""Rows drawn from a junction tree, clique by clique: exact ancestral sampling with randomised rounding.

Rows that agree on a separator share its conditional law; their draws are spread evenly over it (systematic sampling), so that each
clique's table is met to within one row a separator state, as Private-PGM's `synthetic_data(method="round")` does column by column.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.graphical.beliefs import Beliefs, Floats, marginal, multiply

Ints = npt.NDArray[np.int64]


def draw_rows(beliefs: Beliefs, rows: int, rng: np.random.Generator) -> Ints:
    """Rows of model codes (rows, columns) in random order.

    Args:
        beliefs: tables in which each clique has the messages of its children (`collect`); its parent's are not needed.
        rows: how many.
        rng: source of randomness.
    """
    tree = beliefs.tree
    codes = np.zeros((rows, len(tree.sizes)), dtype=np.int64)
    for table, clique, separator in zip(beliefs.cliques, tree.cliques, tree.separators, strict=True):
        new = tuple(column for column in clique if column not in separator)
        ordered = marginal(table, clique, (*separator, *new)).reshape(-1, tree.table_cells(new))
        given = np.zeros(rows, dtype=np.int64)
        for column in separator:
            given = given * tree.sizes[column] + codes[:, column]
        drawn = _spread_draws(ordered, given, rng)
        for column, found in zip(new, np.unravel_index(drawn, tree.shape(new)), strict=True):
            codes[:, column] = found
    return rng.permutation(codes)


def with_evidence(beliefs: Beliefs, evidence: Mapping[int, Floats]) -> tuple[Beliefs, float]:
    """Beliefs with a factor on some columns, collected; and the probability of the evidence.

    Only the tables on the way from those columns to their roots are copied.
    """
    tree = beliefs.tree
    found = Beliefs(tree, list(beliefs.cliques), list(beliefs.separators))
    touched: set[int] = set()
    for column, weights in evidence.items():
        home = tree.home((column,))
        if home is not None:
            _own(found, touched, home)
            multiply(found.cliques[home], tree.cliques[home], ((column,), weights))
    for index in range(len(tree.cliques) - 1, -1, -1):
        if index in touched and tree.parents[index] >= 0:
            _own(found, touched, tree.parents[index])
            found.absorb(tree.parents[index], index)
    roots = [index for index, parent in enumerate(tree.parents) if parent < 0 and index in touched]
    return found, float(np.prod([found.cliques[index].sum() for index in roots]))


def _own(beliefs: Beliefs, touched: set[int], index: int) -> None:
    if index not in touched:
        touched.add(index)
        beliefs.cliques[index] = beliefs.cliques[index].copy()


def _spread_draws(weights: Floats, given: Ints, rng: np.random.Generator) -> Ints:
    """For each row a column of `weights` drawn from the row of it that `given` names; draws of equal `given` are spread evenly."""
    rows, (states, width) = len(given), weights.shape
    order = rng.permutation(rows)
    order = order[np.argsort(given[order], kind="stable")]
    counts = np.bincount(given, minlength=states)
    rank = np.arange(rows) - np.repeat(np.cumsum(counts) - counts, counts)
    place = (rank + rng.random(states)[given[order]]) / counts[given[order]]
    ends = np.cumsum(weights, axis=1)
    ends /= np.maximum(ends[:, -1:], 1e-300)
    flat = (ends + np.arange(states)[:, None]).reshape(-1)
    found = np.searchsorted(flat, place + given[order], side="right") - given[order] * width
    drawn = np.empty(rows, dtype=np.int64)
    last = width - 1 - np.argmax(weights[:, ::-1] > 0, axis=1)
    drawn[order] = np.clip(found, 0, last[given[order]])
    return drawn
