"""Pictures of released facts as PNG: for Dagster's event log, MLflow's artifacts, and whatever cannot show HTML.

Belongs here: how released values look as a picture. Does not: the pages (they draw with HTML), or anything about real rows.

matplotlib is loaded when the first picture is drawn. Figures are made without pyplot, so that none stays open and no window system is asked
for; the same facts make the same bytes. Pictures are kept small (a palette of few colours), because metadata lives in an event log.

Privacy: each function reads released facts only, so that what it returns may be wrapped in `Released`.
"""

import base64
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from synth_pipeline.drift.report import DriftReport
from synth_pipeline.release.facts import BudgetPart
from synth_pipeline.release.trust_map import TrustMap
from synth_pipeline.report.chart import Bar, fewer_bins, fewer_categories, shortened
from synth_pipeline.report.release_page import released_bars
from synth_pipeline.table.profile import NumericProfile, Profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BYTES = 60_000
"""Size that a picture stays under."""

MOST_PANELS = 24
"""Columns that a picture of marginals shows; the others are in the report."""

_MOST_TICKS = 40
_MOST_TESTS = 40
_DOTS_AN_INCH = 80
_COLOURS = 48
_LONGEST_NAME = 22
_BAR, _NOISE, _TOTAL, _INK, _FAINT = "#b9c4d3", "#4a5768", "#c2410c", "#1b2430", "#e6e9ee"


def budget_figure(parts: Sequence[BudgetPart], *, composed_epsilon: float, budget_epsilon: float) -> bytes:
    """The split of the budget: ε that each part would cost alone, what they compose to, and the budget.

    Args:
        parts: of `ReleaseFacts.budget_parts`, or `release.facts.budget_parts`.
        composed_epsilon: ε that is proven of all of them.
        budget_epsilon: ε that the walk may spend.
    """
    labels = [f"{part.stage}: {part.mechanism} ({part.answers:,})" for part in parts] + ["together (composed)"]
    values = [part.epsilon for part in parts] + [composed_epsilon]
    figure = _figure(8.0, 0.9 + 0.34 * len(labels))
    axes = figure.add_subplot()
    places = np.arange(len(labels))
    axes.barh(places, values, color=[*[_BAR] * len(parts), _TOTAL], height=0.62)
    for place, value in zip(places, values, strict=True):
        axes.annotate(f"{value:.3g}", (value, place), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.axvline(budget_epsilon, color=_NOISE, linewidth=1, linestyle="--")
    axes.set_yticks(places, labels, fontsize=9)
    axes.set_xlim(0, 1.12 * max([*values, budget_epsilon]))
    axes.set_xlabel(f"ε each part would cost alone; dashed: the budget, ε = {budget_epsilon:g}", fontsize=9)
    axes.invert_yaxis()
    _plain(axes)
    return png_bytes(figure)


def marginals_figure(profile: Profile) -> bytes:
    """Released shares of the first columns, with 95 % intervals of their noise; one small panel a column."""
    listed = {column.name for column in profile.table_columns}
    shown = [index for index, column in enumerate(profile.columns) if column.name in listed]
    panels = shown[:MOST_PANELS]
    across = min(4, max(len(panels), 1))
    down = -(-len(panels) // across)
    figure = _figure(2.45 * across, 0.35 + 1.45 * down)
    for place, index in enumerate(panels):
        axes = figure.add_subplot(down, across, place + 1)
        _marginal(axes, profile, index)
    more = f"; {len(shown) - len(panels)} more columns are in the report" if len(shown) > len(panels) else ""
    figure.suptitle(f"released shares, with 95 % intervals of their noise{more}", fontsize=9, color=_INK)
    return png_bytes(figure)


def trust_figure(trust: TrustMap) -> bytes:
    """The trust map: expected error of columns (diagonal) and pairs; hatched where nothing was measured."""
    names = trust.names
    values = np.full((len(names), len(names)), np.nan)
    place = {name: index for index, name in enumerate(names)}
    for item in trust.marginals:
        if len(item.columns) <= 2 and item.expected is not None:
            ends = [place[name] for name in item.columns]
            first, last = min(ends), max(ends)
            values[first, last] = values[last, first] = item.expected
    side = min(2.6 + 0.26 * len(names), 9.0)
    figure = _figure(side + 1.2, side)
    axes = figure.add_subplot()
    axes.set_facecolor(_FAINT)
    axes.fill_between(
        [-0.5, len(names) - 0.5], -0.5, len(names) - 0.5, hatch="////", facecolor=_FAINT, edgecolor="white"
    )
    image = axes.imshow(np.ma.masked_invalid(values), cmap="Oranges", vmin=0.0, zorder=2)
    if len(names) <= _MOST_TICKS:
        size = 8 if len(names) <= 24 else 5
        axes.set_xticks(range(len(names)), [_short(name) for name in names], rotation=90, fontsize=size)
        axes.set_yticks(range(len(names)), [_short(name) for name in names], fontsize=size)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    bar = figure.colorbar(image, ax=axes, shrink=0.7)
    bar.ax.tick_params(labelsize=8)
    axes.set_title("expected total variation distance; hatched: from the model alone", fontsize=9, color=_INK)
    return png_bytes(figure)


def drift_figure(report: DriftReport) -> bytes | None:
    """p-values of a drift report, smallest first, beside its level; None where nothing was tested."""
    tests = sorted(_tests(report), key=lambda test: test[1])[:_MOST_TESTS]
    if not tests:
        return None
    figure = _figure(7.0, 0.9 + 0.24 * len(tests))
    axes = figure.add_subplot()
    places = np.arange(len(tests))
    values = np.array([max(adjusted, 1e-12) for _, adjusted, _ in tests])
    axes.hlines(places, values, 1.0, color=_BAR, linewidth=1)
    axes.scatter(values, places, color=[_TOTAL if drifted else _NOISE for *_, drifted in tests], s=26, zorder=3)
    axes.axvline(report.alpha, color=_NOISE, linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_yticks(places, [_short(name, most=40) for name, *_ in tests], fontsize=8)
    axes.set_xlabel(f"p-value after Holm's correction; dashed: α = {report.alpha:g}; orange: drifted", fontsize=9)
    axes.invert_yaxis()
    _plain(axes)
    return png_bytes(figure)


def png_bytes(figure: "Figure") -> bytes:
    """A figure as PNG with a small palette; the same figure makes the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = (
        Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    )
    written = BytesIO()
    picture.save(written, format="PNG", optimize=True)
    return written.getvalue()


def data_uri(png: bytes) -> str:
    """A picture as an address that holds it, for pages and Markdown."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DOTS_AN_INCH, layout="constrained", facecolor="white")


def _marginal(axes: "Axes", profile: Profile, index: int) -> None:
    column = profile.columns[index]
    bars, known = released_bars(profile, index)
    own, null = (bars[:-1], bars[-1:]) if known.has_null else (bars, ())
    is_binned = isinstance(column, NumericProfile)
    kept: Sequence[Bar] = (*(fewer_bins(own, most=24) if is_binned else fewer_categories(own, most=12)), *null)
    places, values = np.arange(len(kept)), np.array([bar.value for bar in kept])
    spread = np.array([[bar.value - bar.low for bar in kept], [bar.high - bar.value for bar in kept]])
    style: dict[str, Any] = {"ecolor": _NOISE, "elinewidth": 1, "capsize": 0}
    axes.bar(
        places,
        values,
        color=[*[_BAR] * (len(kept) - len(null)), *[_FAINT] * len(null)],
        yerr=spread,
        error_kw=style,
        width=0.85,
    )
    axes.set_title(_short(column.name), fontsize=8, color=_INK)
    axes.set_xticks([])
    ends = (kept[0].label.split(" – ")[0], "null" if null else kept[-1].label.split(" – ")[-1])
    axes.set_xlabel(f"{_short(ends[0], most=12)} … {_short(ends[1], most=12)}", fontsize=7)
    axes.tick_params(axis="y", labelsize=6)
    whole = [bar.high for bar in kept if not bar.is_rest] or [bar.high for bar in kept]
    axes.set_ylim(0, 1.08 * max([*whole, 1e-9]))
    _plain(axes)


def _tests(report: DriftReport) -> Iterator[tuple[str, float, bool]]:
    """(name, adjusted p-value, whether it drifted) of every test of a report."""
    for column in report.columns:
        yield column.name, column.adjusted_p, column.is_drifted
    for pair in report.pairs:
        yield f"{pair.first} × {pair.second}", pair.adjusted_p, pair.is_drifted


def _plain(axes: "Axes") -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_NOISE)


def _short(name: str, *, most: int = _LONGEST_NAME) -> str:
    """A name in few letters; what matplotlib would read as a formula is escaped."""
    return shortened(name, most).replace("$", r"\$")
