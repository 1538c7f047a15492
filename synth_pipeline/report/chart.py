"""Charts as plain values; templates draw them with HTML and CSS alone, so that they fit a phone, print, and need no script.

A bar is the reference (released or real), a marker lies on top of it (synthetic, holdout).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Series: TypeAlias = Literal["reference", "synthetic", "holdout", "baseline"]

MOST_CATEGORIES = 20
MOST_BINS = 40
MOST_NUMBERED_COLUMNS = 14
_LEAST_SEEN = 0.0005  # less is written as 0.0 %


@dataclass(frozen=True)
class Marker:
    """A value of another table at the place of a bar."""

    series: Series
    value: float


@dataclass(frozen=True)
class Bar:
    """The share of one category or bin.

    Attributes:
        label: the category, or the bin's range.
        value: share in the reference.
        noise: half the width of its 95 % interval; 0 where it is exact.
        markers: shares in other tables.
        is_rest: whether it is the sum of what is not shown by itself; it may be longer than the axis.
    """

    label: str
    value: float
    noise: float = 0.0
    markers: tuple[Marker, ...] = ()
    is_rest: bool = False

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return max(self.value - self.noise, 0.0)

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return min(self.value + self.noise, 1.0)

    @property
    def title(self) -> str:
        """The numbers of the bar, for a tool tip and for readers of the page's text."""
        others = "".join(f", {marker.series} {marker.value:.2%}" for marker in self.markers)
        interval = f" ± {self.noise:.2%}" if self.noise else ""
        return f"{self.label}: {self.value:.2%}{interval}{others}"


@dataclass(frozen=True)
class ColumnChart:
    """The distribution of one column.

    Attributes:
        name: the column.
        bars: categories (drawn downwards) or bins (drawn side by side), then null where there is one.
        is_binned: whether the bars are bins.
        caption: what else to say about the column.
        distance: total variation distance of the synthetic table to the reference.
    """

    name: str
    bars: tuple[Bar, ...]
    is_binned: bool
    caption: str
    distance: float

    @property
    def top(self) -> float:
        """Largest value drawn in full; what the rest adds up to is cut where it is larger."""
        whole = [bar for bar in self.bars if not bar.is_rest] or self.bars
        drawn = [bar.high for bar in whole] + [marker.value for bar in whole for marker in bar.markers]
        return max(max(drawn, default=0.0), 1e-9)


@dataclass(frozen=True)
class Score:
    """A score with its interval, drawn on a common axis."""

    label: str
    series: Series
    value: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class ScoreChart:
    """Scores on one axis.

    Attributes:
        title: what they measure.
        reading: which values are good.
        start: left end of the axis.
        stop: right end of the axis.
        scores: from top to bottom.
    """

    title: str
    reading: str
    start: float
    stop: float
    scores: tuple[Score, ...]

    def place(self, value: float) -> float:
        """Per cent of the axis at which a value lies."""
        return 100 * min(max((value - self.start) / (self.stop - self.start), 0.0), 1.0)


@dataclass(frozen=True, eq=False)
class HeatMap:
    """A square matrix of pairs of columns.

    Attributes:
        title: what it shows.
        names: the columns.
        values: matrix of values.
        limit: value of the full colour; negative values take the other hue.
    """

    title: str
    names: tuple[str, ...]
    values: Floats
    limit: float

    def strength(self, row: int, column: int) -> float:
        """Opacity of the colour of a cell; never so strong that its number cannot be read."""
        return 0.7 * float(min(abs(self.values[row, column]) / self.limit, 1.0))


@dataclass(frozen=True)
class Amount:
    """One bar of an amount, with its label above or beside it.

    Attributes:
        label: what it is.
        value: its length.
        text: the number as it is shown.
        is_total: whether it is what the others come to.
        is_limit: whether it is what they may come to.
    """

    label: str
    value: float
    text: str
    is_total: bool = False
    is_limit: bool = False


@dataclass(frozen=True)
class AmountChart:
    """Amounts on one axis from 0."""

    bars: tuple[Amount, ...]

    def place(self, value: float) -> float:
        """Per cent of the axis at which a value lies."""
        top = max((bar.value for bar in self.bars), default=0.0)
        return 100 * min(max(value, 0.0) / max(top, 1e-9), 1.0)


@dataclass(frozen=True)
class TrustCell:
    """One marginal of a trust map as it is drawn.

    Attributes:
        value: expected error; None where nothing bounds it, which is hatched.
        state: how the marginal is known.
        title: the same in words.
    """

    value: float | None
    state: str
    title: str


@dataclass(frozen=True)
class TrustChart:
    """Expected errors of columns (diagonal) and pairs, as a matrix.

    Attributes:
        names: the columns.
        cells: one line of cells for each column.
        top: value of the full colour.
    """

    names: tuple[str, ...]
    cells: tuple[tuple[TrustCell, ...], ...]
    top: float

    @property
    def is_wide(self) -> bool:
        """Whether there are too many columns for numbers in the cells."""
        return len(self.names) > MOST_NUMBERED_COLUMNS

    @property
    def has_covered(self) -> bool:
        """Whether some pair is known from a larger table."""
        return any(cell.state == "covered" for line in self.cells for cell in line)

    def strength(self, value: float) -> float:
        """Opacity of the colour of a value; never so strong that its number cannot be read."""
        return 0.05 + 0.65 * min(max(value, 0.0) / self.top, 1.0)


def fewer_categories(bars: Sequence[Bar], *, most: int = MOST_CATEGORIES) -> tuple[Bar, ...]:
    """The largest categories in their order, and the others added up as one bar: also those that would be drawn as 0.0 %."""
    if len(bars) <= most:
        return tuple(bars)
    largest = np.argsort([-bar.value for bar in bars], kind="stable")[: most - 1].tolist()
    kept = {index for index in largest if _is_seen(bars[index])} or set(largest)
    others = [bar for index, bar in enumerate(bars) if index not in kept]
    return (
        *(bars[index] for index in sorted(kept)),
        replace(_added(others), label=f"{len(others)} others", is_rest=True),
    )


def fewer_bins(bars: Sequence[Bar], *, most: int = MOST_BINS) -> tuple[Bar, ...]:
    """Neighbouring bins added up until there are few enough; labels keep the outer ends."""
    if len(bars) <= most:
        return tuple(bars)
    groups = np.array_split(np.arange(len(bars)), most)
    return tuple(_joined([bars[index] for index in group.tolist()]) for group in groups)


def shortened(text: str, most: int = 20) -> str:
    """A text in at most so many letters, with both of its ends, for names often differ in their last letters.

    Example:
        >>> shortened("a_rather_long_column_name_59", 20)
        'a_rather_l…n_name_59'
    """
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


def _is_seen(bar: Bar) -> bool:
    """Whether a bar or one of its marks is long enough to be told from nothing."""
    return max(bar.value, *(marker.value for marker in bar.markers), 0.0) >= _LEAST_SEEN


def _joined(bars: Sequence[Bar]) -> Bar:
    ends = bars[0].label.split(" – ")[0], bars[-1].label.split(" – ")[-1]
    return replace(_added(bars), label=ends[0] if ends[0] == ends[1] else " – ".join(ends))


def _added(bars: Sequence[Bar]) -> Bar:
    """Shares added up; independent noise adds in squares."""
    markers = tuple(
        Marker(first.series, sum(bar.markers[index].value for bar in bars))
        for index, first in enumerate(bars[0].markers)
    )
    noise = float(np.sqrt(sum(bar.noise**2 for bar in bars)))
    return Bar(bars[0].label, sum(bar.value for bar in bars), noise, markers)
