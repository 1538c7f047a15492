"""The page of a frontier: expected scores over ε as plots and as a table, in one file that needs nothing else.

Belongs here: how it looks. Does not: how it is measured (frontier), which hands its figures over as plain values.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synth_pipeline.report.page import render
from synth_pipeline.report.score_words import score_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = (4.4, 3.1)
# What matplotlib draws in these colours is shown in the page's own, which follow the reader's light or dark setting.
_INK, _MUTED, _LINE, _CURVE, _FLOOR = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _LINE: "--line", _CURVE: "--synthetic", _FLOOR: "--holdout"}


@dataclass(frozen=True)
class Curve:
    """One score over ε.

    Attributes:
        title: name of the score.
        hint: which way is better, and what the dashed line is.
        epsilons: the grid.
        means: expectation at each ε.
        lows: lower ends of its 95 % interval.
        highs: upper ends.
        walks: score of each walk, by ε.
        floors: what equally many fresh rows score at each ε, or what the rows themselves give; None: nothing to compare with.
        marked: ε of the specification.
    """

    title: str
    hint: str
    epsilons: tuple[float, ...]
    means: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    walks: tuple[tuple[float, ...], ...]
    floors: tuple[float, ...] | None
    marked: float


@dataclass(frozen=True)
class FrontierTable:
    """Scores with intervals, a row for each ε, as text."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def frontier_html(
    facts: Mapping[str, Any],
    *,
    curves: Sequence[Curve],
    sentences: Sequence[str],
    table: FrontierTable,
    notes: Sequence[str],
) -> str:
    """The page as one HTML file.

    Args:
        facts: `dataset`, `generator`, `epsilon`, `delta`, `cap_epsilon`, `rows`, `simulated_rows`, `origin`, `repeats`.
        curves: one plot each.
        sentences: what to read off them.
        table: the figures.
        notes: why it may be shown, what it grants, and how far it is to be trusted.

    Privacy:
        All of it is released: whoever calls hands over post-processing of a release.
    """
    plots = [(curve.title, curve.hint, _svg(curve, number)) for number, curve in enumerate(curves)]
    named = score_words(" ".join(curve.title for curve in curves))
    return render(
        "frontier.html.j2",
        facts=facts,
        plots=plots,
        sentences=sentences,
        table=table,
        notes=notes,
        score_words=named,
    )


def _svg(curve: Curve, number: int) -> str:
    """An SVG element of the page's colours and fonts."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": f"frontier-{number}",
        "font.size": 9,
        "axes.edgecolor": _LINE,
        "axes.labelcolor": _MUTED,
        "xtick.color": _MUTED,
        "ytick.color": _MUTED,
        "text.color": _INK,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=_INCHES, layout="constrained")
        _draw(figure.subplots(), curve)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        drawing = drawing.replace(colour, f"var({variable})")
    drawing = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px system-ui, sans-serif", drawing)
    label = f'role="img" aria-label="{curve.title} over ε" '
    return re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', rf'<svg {label}viewBox="\1" class="plot">', drawing, count=1)


def _draw(axes: "Axes", curve: Curve) -> None:
    axes.fill_between(curve.epsilons, curve.lows, curve.highs, color=_CURVE, alpha=0.18, linewidth=0)
    axes.plot(curve.epsilons, curve.means, color=_CURVE, linewidth=1.6)
    for epsilon, scores in zip(curve.epsilons, curve.walks, strict=True):
        axes.plot([epsilon] * len(scores), scores, "o", color=_CURVE, markersize=2.6)
    if curve.floors is not None:
        axes.plot(curve.epsilons, curve.floors, color=_FLOOR, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_xscale("log")
    axes.set_xticks(curve.epsilons, [f"{epsilon:g}" for epsilon in curve.epsilons])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("ε of a walk")
    axes.grid(axis="y", color=_LINE, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if curve.epsilons[0] <= curve.marked <= curve.epsilons[-1]:
        axes.axvline(curve.marked, color=_MUTED, linewidth=0.8, linestyle=":")
