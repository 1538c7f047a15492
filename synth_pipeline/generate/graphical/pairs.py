"""Exact marginals of every pair of columns of a graphical model, those that share no clique included."""

from dataclasses import dataclass, field

import numpy as np

from synth_pipeline.generate.graphical.beliefs import Beliefs, Floats, marginal
from synth_pipeline.generate.graphical.junction import Columns, Edge

_LEAST = 1e-300


def pair_marginals(beliefs: Beliefs) -> dict[Edge, Floats]:
    """p(i, j) for every i < j, codes of i × codes of j.

    A pair with no clique of its own is found by carrying p(i, S) along the tree: p(i, S') = Σ_S p(i, S) p(S' | S).
    """
    return _Carrier(beliefs).run()


@dataclass(frozen=True, eq=False)
class _Carrier:
    """Carries one column's law along the tree; keeps each clique's conditional tables, which do not depend on the column carried."""

    beliefs: Beliefs
    kept: dict[tuple[int, Columns, Columns], Floats] = field(default_factory=dict)

    def run(self) -> dict[Edge, Floats]:
        tree, found = self.beliefs.tree, dict[Edge, Floats]()
        links = [tree.neighbours(index) for index in range(len(tree.cliques))]
        singles = [self.beliefs.table((column,)) for column in range(len(tree.sizes))]
        for column in range(len(tree.sizes)):
            for other, table in self._from(column, links):
                if column < other:
                    found[column, other] = table
            for other in range(column + 1, len(tree.sizes)):
                if (column, other) not in found:
                    found[column, other] = np.outer(singles[column], singles[other])
        return found

    def _from(self, column: int, links: list[list[tuple[int, Columns]]]) -> "list[tuple[int, Floats]]":
        """(other, p(column, other)) for every other column of its tree."""
        tree, found = self.beliefs.tree, list[tuple[int, Floats]]()
        holding = [index for index, clique in enumerate(tree.cliques) if column in clique]
        waiting: list[tuple[int, int, Columns, Floats]] = []
        seen = {column}
        for here in holding:
            for other in set(tree.cliques[here]) - seen:
                seen.add(other)
                found.append((other, self._inside(here, (column, other))))
            waiting += [
                (index, here, separator, self._inside(here, (column, *separator)))
                for index, separator in links[here]
                if index not in holding
            ]
        while waiting:
            index, previous, separator, carried = waiting.pop()
            news = [other for other in tree.cliques[index] if other not in separator]
            found += [(other, self._onward(index, carried, separator, (other,))) for other in news]
            waiting += [
                (following, index, leaving, self._onward(index, carried, separator, leaving))
                for following, leaving in links[index]
                if following != previous
            ]
        return found

    def _inside(self, index: int, columns: Columns) -> Floats:
        return marginal(self.beliefs.cliques[index], self.beliefs.tree.cliques[index], columns)

    def _onward(self, index: int, carried: Floats, separator: Columns, target: Columns) -> Floats:
        """p(column, target) from p(column, separator), both inside the clique; columns of both stay, the rest is summed out."""
        shape = self.beliefs.tree.shape
        both = tuple(other for other in separator if other in target)
        gone = tuple(other for other in separator if other not in target)
        new = tuple(other for other in target if other not in separator)
        conditional = self._conditional(index, (*both, *gone), new).reshape(
            _cells(shape(both)), _cells(shape(gone)), -1
        )
        moved = carried.transpose([0, *(1 + separator.index(other) for other in (*both, *gone))])
        stacked = moved.reshape(len(carried), *conditional.shape[:2]).transpose(1, 0, 2)
        joint = (stacked @ conditional).transpose(1, 0, 2).reshape(len(carried), *shape(both), *shape(new))
        return joint.transpose([0, *(1 + (*both, *new).index(other) for other in target)])

    def _conditional(self, index: int, given: Columns, new: Columns) -> Floats:
        """p(new | given) as a matrix, codes of given × codes of new."""
        key = (index, given, new)
        if key not in self.kept:
            joint = self._inside(index, (*given, *new)).reshape(_cells(self.beliefs.tree.shape(given)), -1)
            self.kept[key] = joint / np.maximum(joint.sum(1, keepdims=True), _LEAST)
        return self.kept[key]


def _cells(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
