"""A frontier as a page: what `report.frontier_page` draws, filled in."""

from synth_pipeline.frontier.result import Figure, Frontier
from synth_pipeline.frontier.summary import NOT_GRANTED, TRUST, WHY_FREE, sentences
from synth_pipeline.report.frontier_page import Curve, FrontierTable, frontier_html


def frontier_page(frontier: Frontier) -> str:
    """The page as one HTML file that needs nothing else; released facts only."""
    facts = {
        name: getattr(frontier, name)
        for name in (
            "dataset",
            "generator",
            "epsilon",
            "delta",
            "cap_epsilon",
            "rows",
            "simulated_rows",
            "origin",
            "repeats",
        )
    }
    return frontier_html(
        facts,
        curves=[_curve(frontier, figure) for figure in frontier.figures],
        sentences=sentences(frontier),
        table=_table(frontier),
        notes=(WHY_FREE, NOT_GRANTED, TRUST),
    )


def _curve(frontier: Frontier, figure: Figure) -> Curve:
    found = frontier.expected(figure.key)
    has_floor = bool(figure.floor) and all(figure.floor in point.scores for point in frontier.points)
    return Curve(
        title=figure.label,
        hint=figure.hint,
        epsilons=tuple(point.epsilon for point in frontier.points),
        means=tuple(expected.value for expected in found),
        lows=tuple(expected.low for expected in found),
        highs=tuple(expected.high for expected in found),
        walks=tuple(expected.repeats for expected in found),
        floors=tuple(expected.value for expected in frontier.expected(figure.floor)) if has_floor else None,
        marked=frontier.epsilon,
    )


def _table(frontier: Frontier) -> FrontierTable:
    figures = frontier.figures
    rows = (
        (f"{point.epsilon:g}", *(point.scores[figure.key].brief() for figure in figures)) for point in frontier.points
    )
    return FrontierTable(("ε", *(figure.label for figure in figures)), tuple(rows))
