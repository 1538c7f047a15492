"""The graphs of a lineage page: where boxes, lines and arcs lie. Plain arithmetic; the template draws them.

Units are those of an SVG 360 wide, so that its letters are readable on a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 360
_LINE, _BOX, _GAP = 26, 20, 20
_TOP = 24
_SOURCE_X, _SOURCE_WIDTH = 66, 104
_TABLE_X = 252
_MODEL_X, _MODEL_WIDTH = 198, 26
_LONGEST_NAME = 16
_DEEPEST_ARC = 60
_THINNEST, _WIDEST = 0.8, 5.0


@dataclass(frozen=True)
class Node:
    """A box with a name.

    Attributes:
        x: left end.
        y: upper end.
        width: in units of the SVG.
        height: likewise.
        label: the name, cut where it is too long.
        title: the whole of it.
        mark: class of its colour.
    """

    x: float
    y: float
    width: float
    height: float
    label: str
    title: str
    mark: str

    @property
    def middle(self) -> float:
        """Height of its middle."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Line:
    """A line from one box to another.

    Attributes:
        path: its SVG path.
        width: how thick it is.
        title: what it says.
        mark: class of its colour.
    """

    path: str
    width: float
    title: str
    mark: str


@dataclass(frozen=True)
class Graph:
    """A graph, laid out.

    Attributes:
        height: in units of the SVG.
        nodes: its boxes.
        lines: its lines, drawn below them.
    """

    height: float
    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]


def chain_graph(hops: Sequence[Mapping[str, str]]) -> Graph:
    """The chain from snapshot to bundle, downwards, each link in the colour of what was found.

    Args:
        hops: the links; one that does not go on from the one before stands beside the page's list alone.
    """
    names = [hops[0]["source"]]
    links: list[Mapping[str, str]] = []
    for hop in hops:
        if hop["source"] == names[-1]:
            names.append(hop["target"])
            links.append(hop)
    step = _BOX + _GAP + 8
    nodes = tuple(
        Node(30, 4 + place * step, WIDTH - 60, _BOX + 6, _short(name, 44), name, "") for place, name in enumerate(names)
    )
    lines = tuple(
        Line(
            f"M {WIDTH / 2:g} {nodes[place].y + nodes[place].height:g} V {nodes[place + 1].y - 6:g}",
            2.2,
            f"{hop['source']} → {hop['target']}: {hop['detail']}",
            hop["state"],
        )
        for place, hop in enumerate(links)
    )
    return Graph(nodes[-1].y + nodes[-1].height + 6, nodes, lines)


def column_graph(columns: Sequence[Mapping[str, Any]], generator: str) -> Graph:
    """Snapshot columns to the left, released ones to the right, the joint model between; arcs join columns that were measured together.

    Args:
        columns: the columns of a lineage.
        generator: kind of the model.
    """
    rows = {column["name"]: place for place, column in enumerate(columns)}
    height = _TOP + len(columns) * _LINE + 8
    read = [column for column in columns if column["source"] is not None]
    sources = {column["name"]: _node(column, rows, _SOURCE_X, "source") for column in read}
    tables = {column["name"]: _node(column, rows, _TABLE_X, column["right"]) for column in columns}
    model = Node(_MODEL_X, _TOP - 6, _MODEL_WIDTH, height - _TOP, f"{generator}: joint model", generator, "model")
    most = max((column["epsilon"] for column in read), default=0.0) or 1.0
    lines = [*_arcs(read, sources)]
    for column in read:
        source, table = sources[column["name"]], tables[column["name"]]
        thick = _THINNEST + (_WIDEST - _THINNEST) * column["epsilon"] / most
        told = f"{column['name']}: {len(column['own_charges']) + len(column['joint_charges'])} noisy questions, ε = {column['epsilon']:.3g}"
        lines.append(Line(_across(source.x + source.width, model.x, source.middle), thick, told, "asked"))
        lines.append(
            Line(_across(model.x + model.width, table.x - 5, table.middle), 1.2, column["description"], "drawn")
        )
    return Graph(height, (*sources.values(), model, *tables.values()), tuple(lines))


def _arcs(read: Sequence[Mapping[str, Any]], sources: Mapping[str, Node]) -> list[Line]:
    """An arc for each pair of which a noisy table was released."""
    order = list(sources)
    pairs = sorted(
        (order.index(column["name"]), order.index(other))
        for column in read
        for other in column["measured_with"]
        if other in sources and order.index(column["name"]) < order.index(other)
    )
    found: list[Line] = []
    for first, second in pairs:
        one, other = sources[order[first]], sources[order[second]]
        deep = _SOURCE_X - 4 - _DEEPEST_ARC * (second - first) / max(len(order) - 1, 1)
        path = f"M {one.x:g} {one.middle:g} C {deep:g} {one.middle:g} {deep:g} {other.middle:g} {other.x:g} {other.middle:g}"
        found.append(Line(path, 0.9, f"{order[first]} × {order[second]}: measured together", "together"))
    return found


def _node(column: Mapping[str, Any], rows: Mapping[str, int], x: float, mark: str) -> Node:
    name = column["name"]
    return Node(x, _TOP + rows[name] * _LINE, _SOURCE_WIDTH, _BOX, _short(name, _LONGEST_NAME), name, mark)


def _across(start: float, end: float, y: float) -> str:
    return f"M {start:g} {y:g} H {end:g}"


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
