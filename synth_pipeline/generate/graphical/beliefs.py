"""Beliefs: the marginal of every clique of a junction tree, kept consistent by passing messages.

Hugin propagation: each clique C and separator S holds a table; the joint law is ∏ φ_C / ∏ φ_S at all times. Passing a message from B to C
over S sets φ_C ← φ_C · φ_S* / φ_S and φ_S ← φ_S*, where φ_S* is B's marginal on S. After messages to the root and back every table is
the marginal of the joint law. Tables are linear, not logarithms: a message is one pass of additions and one of products.

Source:
    Jensen, Lauritzen and Olesen 1990 ("Bayesian updating in causal probabilistic networks by local computations").
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.graphical.junction import Columns, JunctionTree

Floats = npt.NDArray[np.float64]
Factor = tuple[Columns, Floats]


@dataclass(frozen=True, eq=False)
class Beliefs:
    """Tables of a junction tree; their contents change in place.

    Attributes:
        tree: the tree.
        cliques: one table a clique, axes in the order of its columns.
        separators: one table a clique, over the columns that it shares with its parent (a number for a root).
    """

    tree: JunctionTree
    cliques: list[Floats]
    separators: list[Floats]

    def absorb(self, target: int, source: int) -> None:
        """Pass a message between a clique and its parent, in either direction."""
        child = target if self.tree.parents[target] == source else source
        separator = self.tree.separators[child]
        message = marginal(self.cliques[source], self.tree.cliques[source], separator)
        ratio = np.divide(message, self.separators[child], out=np.zeros_like(message), where=self.separators[child] > 0)
        multiply(self.cliques[target], self.tree.cliques[target], (separator, ratio))
        self.separators[child] = message

    def collect(self) -> None:
        """Pass messages from the leaves to the roots."""
        for index in range(len(self.tree.cliques) - 1, -1, -1):
            if self.tree.parents[index] >= 0:
                self.absorb(self.tree.parents[index], index)

    def distribute(self) -> None:
        """Pass messages from the roots to the leaves."""
        for index, parent in enumerate(self.tree.parents):
            if parent >= 0:
                self.absorb(index, parent)

    def table(self, columns: Columns) -> Floats:
        """Marginal of some columns that share a clique; axes in the given order.

        Raises:
            ValueError: if no clique has them all.
        """
        home = self.tree.home(columns)
        if home is None:
            raise ValueError(f"columns {columns} share no clique of the junction tree")
        return marginal(self.cliques[home], self.tree.cliques[home], columns)


def start_beliefs(tree: JunctionTree, factors: Iterable[Factor]) -> Beliefs:
    """The calibrated beliefs of p(x) ∝ exp Σ factors.

    Args:
        tree: a junction tree in which the columns of each factor share a clique.
        factors: columns and log-factor of each, axes in the order of the columns.

    Raises:
        ValueError: if some factor fits no clique.
    """
    logs = [np.zeros(tree.shape(clique)) for clique in tree.cliques]
    for columns, log_factor in factors:
        home = tree.home(columns)
        if home is None:
            raise ValueError(f"columns {columns} share no clique of the junction tree")
        logs[home] += spread(tree.cliques[home], (columns, log_factor))
    tables = [np.exp(values - values.max(), out=values) for values in logs]
    beliefs = Beliefs(tree, tables, [np.ones(tree.shape(separator)) for separator in tree.separators])
    for index in range(len(tables) - 1, -1, -1):
        tables[index] /= tables[index].sum()
        if tree.parents[index] >= 0:
            beliefs.absorb(tree.parents[index], index)
    beliefs.distribute()
    return beliefs


def marginal(table: Floats, clique: Columns, columns: Columns) -> Floats:
    """Sum of a clique's table over all other columns; axes in the order of `columns`."""
    summed = table.sum(axis=tuple(axis for axis, column in enumerate(clique) if column not in columns))
    kept = [column for column in clique if column in columns]
    return np.asarray(summed).transpose([kept.index(column) for column in columns])


def multiply(table: Floats, clique: Columns, factor: Factor) -> None:
    """Multiply a clique's table by a factor over some of its columns, in place."""
    table *= spread(clique, factor)


def spread(clique: Columns, factor: Factor) -> Floats:
    """A factor with one axis for each column of a clique, of length 1 where the factor does not have the column."""
    columns, values = factor
    ordered = values.transpose([columns.index(column) for column in clique if column in columns])
    lengths = iter(ordered.shape)
    return ordered.reshape([next(lengths) if column in columns else 1 for column in clique])


def independent_beliefs(shares: list[Floats]) -> Beliefs:
    """Beliefs of columns that know nothing of one another."""
    sizes = tuple(len(share) for share in shares)
    cliques = tuple((column,) for column in range(len(sizes)))
    tree = JunctionTree(sizes, cliques, (-1,) * len(sizes), ((),) * len(sizes))
    return Beliefs(tree, [share.copy() for share in shares], [np.ones(()) for _ in shares])
