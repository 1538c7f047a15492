"""Junction trees: which cliques a graphical model needs so that its marginals can be computed exactly.

Source:
    Koller and Friedman 2009, chapters 9 and 10: elimination by fewest fill edges, then a maximum spanning tree over separators.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

Columns = tuple[int, ...]
Edge = tuple[int, int]


@dataclass(frozen=True)
class JunctionTree:
    """Cliques of columns joined to trees; a column's cliques are connected.

    Attributes:
        sizes: number of codes of each column of the model.
        cliques: columns of each clique, by increasing size (see `in_order`); parents come before their children.
        parents: index of each clique's parent; −1 for the root of each tree.
        separators: the columns that each clique shares with its parent.
    """

    sizes: Columns
    cliques: tuple[Columns, ...]
    parents: tuple[int, ...]
    separators: tuple[Columns, ...]

    @property
    def cells(self) -> int:
        """Cells of all clique tables together: the size of the model."""
        return sum(self.table_cells(clique) for clique in self.cliques)

    @property
    def edges(self) -> set[Edge]:
        """Every two columns that share a clique."""
        return {(min(pair), max(pair)) for clique in self.cliques for pair in combinations(clique, 2)}

    def table_cells(self, columns: Iterable[int]) -> int:
        """Cells of a table over some columns."""
        return math.prod(self.sizes[column] for column in columns)

    def shape(self, columns: Iterable[int]) -> tuple[int, ...]:
        """Shape of a table over some columns."""
        return tuple(self.sizes[column] for column in columns)

    def home(self, columns: Iterable[int]) -> int | None:
        """Index of the smallest clique that has all of some columns; None if none has."""
        wanted = set(columns)
        able = [index for index, clique in enumerate(self.cliques) if wanted <= set(clique)]
        return min(able, key=lambda index: self.table_cells(self.cliques[index]), default=None)

    def neighbours(self, index: int) -> list[tuple[int, Columns]]:
        """The cliques joined to one, each with the separator between them."""
        found = [(child, self.separators[child]) for child, parent in enumerate(self.parents) if parent == index]
        return found + ([(self.parents[index], self.separators[index])] if self.parents[index] >= 0 else [])


@dataclass(frozen=True)
class Extension:
    """What it takes to bring two columns into one clique.

    Attributes:
        cells: at most so many cells more.
        fill: edges that keep the graph chordal, the pair's own among them.
    """

    cells: int
    fill: frozenset[Edge]


def in_order(columns: Iterable[int], sizes: Sequence[int]) -> Columns:
    """Columns by increasing size: the order of a table's axes, with the longest last because array loops run along it."""
    return tuple(sorted(columns, key=lambda column: (sizes[column], column)))


def build_tree(edges: Iterable[Edge], sizes: Sequence[int]) -> JunctionTree:
    """A junction tree whose cliques cover some edges.

    Example:
        >>> build_tree([(0, 1), (1, 2)], (2, 3, 4)).cliques
        ((0, 1), (1, 2))
    """
    cliques = [in_order(clique, sizes) for clique in _maximal(_eliminated(edges, sizes))]
    links = sorted(
        ((-len(set(cliques[a]) & set(cliques[b])), a, b) for a, b in combinations(range(len(cliques)), 2)),
    )
    group = list(range(len(cliques)))
    joined: dict[int, list[int]] = {index: [] for index in group}
    for shared, first, second in links:
        if shared < 0 and group[first] != group[second]:
            old, new = group[second], group[first]
            group = [new if label == old else label for label in group]
            joined[first].append(second)
            joined[second].append(first)
    order, parents = _rooted(joined)
    place = {clique: position for position, clique in enumerate(order)}
    return JunctionTree(
        tuple(sizes),
        tuple(cliques[index] for index in order),
        tuple(-1 if parent < 0 else place[parent] for parent in parents),
        tuple(
            () if parent < 0 else tuple(column for column in cliques[index] if column in cliques[parent])
            for index, parent in zip(order, parents, strict=True)
        ),
    )


def extensions(tree: JunctionTree) -> dict[Edge, Extension]:
    """For every two columns that share no clique, the cheaper way to carry one along the tree to the other.

    Column i goes from its cliques along separators S₁ … S_k to the first clique that has j; new cliques {i} ∪ S_t ∪ S_{t+1} and
    {i} ∪ S_k ∪ {j} suffice. An upper bound of what a fresh triangulation needs, found without making one for each pair.
    """
    best: dict[Edge, Extension] = {}
    together = tree.edges
    links = [tree.neighbours(index) for index in range(len(tree.cliques))]
    for column in range(len(tree.sizes)):
        for other, found in _carried(tree, links, column):
            edge = (min(column, other), max(column, other))
            if edge not in best or found.cells < best[edge].cells:
                best[edge] = found
        for other in range(column + 1, len(tree.sizes)):
            apart = Extension(tree.table_cells((column, other)), frozenset({(column, other)}))
            if (column, other) not in best and (column, other) not in together:
                best[column, other] = apart
    return best


def extended(tree: JunctionTree, edges: Iterable[Edge], extension: Extension) -> JunctionTree:
    """The smaller of two trees with one more edge: one made afresh from the model's edges, and the old one with the extension.

    Args:
        tree: the tree so far.
        edges: the edges that the model needs, the new one included.
        extension: of the new edge.
    """
    afresh = build_tree(edges, tree.sizes)
    grown = build_tree(tree.edges | extension.fill, tree.sizes)
    return min(afresh, grown, key=lambda candidate: candidate.cells)


def _carried(
    tree: JunctionTree, links: list[list[tuple[int, Columns]]], column: int
) -> Iterator[tuple[int, Extension]]:
    """(other column, what it takes to carry `column` to it) for every other column of its tree that shares no clique with it."""
    holding = {index for index, clique in enumerate(tree.cliques) if column in clique}
    size = tree.sizes[column]
    waiting = [
        (index, here, separator, 0, frozenset[int]())
        for here in holding
        for index, separator in links[here]
        if index not in holding
    ]
    while waiting:
        index, previous, separator, cells, passed = waiting.pop()
        passed |= set(separator)
        for other in set(tree.cliques[index]) - set(separator):
            fill = frozenset((min(column, end), max(column, end)) for end in passed | {other})
            yield other, Extension(cells + size * tree.table_cells(separator) * tree.sizes[other], fill)
        for following, leaving in links[index]:
            if following != previous:
                step = size * tree.table_cells(set(separator) | set(leaving))
                waiting.append((following, index, leaving, cells + step, passed))


def _eliminated(edges: Iterable[Edge], sizes: Sequence[int]) -> list[frozenset[int]]:
    """The cliques that appear when columns are eliminated, each time the one with fewest fill edges, then of the smallest table."""
    near: dict[int, set[int]] = {column: set() for column in range(len(sizes))}
    for first, second in edges:
        near[first].add(second)
        near[second].add(first)
    keys = {column: _elimination_key(column, near, sizes) for column in near}
    found: list[frozenset[int]] = []
    while near:
        column = min(keys, key=lambda index: (keys[index], index))
        around = near.pop(column)
        del keys[column]
        found.append(frozenset(around | {column}))
        changed = set(around)
        for neighbour in around:
            near[neighbour] |= around
            near[neighbour] -= {column, neighbour}
            changed |= near[neighbour]
        keys |= {index: _elimination_key(index, near, sizes) for index in changed}
    return found


def _elimination_key(column: int, near: dict[int, set[int]], sizes: Sequence[int]) -> tuple[int, float]:
    around = near[column]
    present = sum(len(near[neighbour] & around) for neighbour in around)
    missing = (len(around) * (len(around) - 1) - present) // 2
    return missing, sum(math.log(sizes[index]) for index in (*around, column))


def _maximal(cliques: list[frozenset[int]]) -> list[frozenset[int]]:
    """Those that lie in no other, in the order found; an eliminated column is in no later clique, so only earlier ones can hold it."""
    kept: list[frozenset[int]] = []
    for clique in cliques:
        if not any(clique <= other for other in kept):
            kept.append(clique)
    return kept


def _rooted(joined: dict[int, list[int]]) -> tuple[list[int], list[int]]:
    """Depth-first order of a forest from its first nodes, and the parent of each node in that order (−1 for roots)."""
    order: list[int] = []
    parents: list[int] = []
    seen: set[int] = set()
    for root in joined:
        waiting = [] if root in seen else [(root, -1)]
        while waiting:
            node, parent = waiting.pop()
            seen.add(node)
            order.append(node)
            parents.append(parent)
            waiting += [(other, node) for other in joined[node] if other != parent]
    return order, parents
