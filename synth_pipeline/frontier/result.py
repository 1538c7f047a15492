"""What a frontier says: for each ε the scores of every repeat, and what is to be expected. Released facts, all of it."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

LEVEL = 0.95

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Figure:
    """A score that a frontier follows.

    Attributes:
        key: its name in files.
        label: its name for people.
        better: the direction in which it improves.
        hint: how to read it.
        floor: key of what fresh rows score, or of what training on the rows themselves gives; empty: none.
    """

    key: str
    label: str
    better: Better
    hint: str = ""
    floor: str = ""


_HELD_OUT = "lower is better; dashed: fresh rows, only as many as were held out"

FIGURES = (
    Figure("tvd_1way", "1-way TVD", "lower", _HELD_OUT, "tvd_1way_floor"),
    Figure("tvd_2way", "2-way TVD", "lower", _HELD_OUT, "tvd_2way_floor"),
    Figure("tvd_3way", "3-way TVD", "lower", _HELD_OUT, "tvd_3way_floor"),
    Figure("tvd_2way_ratio_to_floor", "2-way TVD / floor", "lower", "lower is better; 1 is as equally many fresh rows"),
    Figure("c2st_auc", "C2ST AUC", "lower", "lower is better, 0.5 is best; dashed: fresh rows", "c2st_auc_floor"),
    Figure("tstr", "TSTR", "higher", "higher is better; dashed: trained on the rows themselves", "trtr"),
    Figure("tstr_ratio", "TSTR / TRTR", "higher", "higher is better; 1 is as training on the rows themselves"),
)
"""What is shown, in this order; a figure that was not measured is left out."""


@dataclass(frozen=True)
class Expected:
    """The expectation of a score over walks, from a few of them.

    Attributes:
        value: mean over the repeats.
        low: lower end of the interval of the expectation, 95 %, see `expectations`.
        high: upper end.
        spread: standard deviation from one walk to another, pooled with that of the neighbouring ε.
        repeats: the score of each repeat.
    """

    value: float
    low: float
    high: float
    spread: float
    repeats: tuple[float, ...]

    def brief(self) -> str:
        """The expectation and half the width of its interval, with no more decimals than that width supports."""
        reach = (self.high - self.low) / 2
        digits = decimals_for(reach)
        return f"{self.value:.{digits}f} ± {reach:.{digits}f}"


def decimals_for(reach: float) -> int:
    """Decimals that say something beside an interval of that half width: two digits of it, from two to four.

    Example:
        >>> decimals_for(0.1458), decimals_for(0.0208), decimals_for(0.0028), decimals_for(0.0)
        (2, 3, 4, 4)
    """
    return min(max(1 - math.floor(math.log10(reach)), 2), 4) if reach > 0 else 4


def expectations(
    scores: Sequence[Sequence[float]], *, is_distance: bool, most: float = math.inf
) -> tuple[Expected, ...]:
    """The expectation at each ε of a rising grid, from a few repeats at each.

    Few repeats say little of a spread, but it changes slowly over ε: that of an ε is pooled with its neighbours', of distances as a
    share of their means, and the interval is Student's t with as many degrees of freedom as went into it.

    Args:
        scores: for each ε its repeats, two or more.
        is_distance: whether the score is a distance above zero, whose spread goes with its size.
        most: the largest value that the score can have.

    Example:
        >>> found = expectations([[0.2, 0.4], [0.1, 0.2]], is_distance=True)
        >>> [f"{one.value:.2f} {one.spread:.2f}" for one in found]
        ['0.30 0.14', '0.15 0.07']
    """
    from scipy.stats import t

    values = [np.asarray(row, dtype=np.float64) for row in scores]
    scales = [float(abs(row.mean())) if is_distance else 1.0 for row in values]
    squares = [float(row.var(ddof=1)) / max(scale, 1e-12) ** 2 for row, scale in zip(values, scales, strict=True)]
    freedoms = [len(row) - 1 for row in values]
    found: list[Expected] = []
    for at, (row, scale) in enumerate(zip(values, scales, strict=True)):
        near = range(max(at - 1, 0), min(at + 2, len(values)))
        freedom = sum(freedoms[place] for place in near)
        pooled = sum(freedoms[place] * squares[place] for place in near) / freedom
        spread = math.sqrt(pooled) * scale
        reach = float(t.ppf((1 + LEVEL) / 2, freedom)) * spread / math.sqrt(len(row))
        mean = float(row.mean())
        low = max(mean - reach, 0.0) if is_distance else mean - reach
        found.append(Expected(mean, low, min(mean + reach, most), spread, tuple(float(score) for score in row)))
    return tuple(found)


@dataclass(frozen=True)
class Point:
    """What is to be expected at one ε.

    Attributes:
        epsilon: ε of a whole walk.
        simulated_epsilon: ε of the walks on released rows that stand for it.
        scores: expectation by key of the figure.
    """

    epsilon: float
    simulated_epsilon: float
    scores: Mapping[str, Expected]


@dataclass(frozen=True)
class Frontier:
    """Expected scores over a grid of ε; released facts only.

    Attributes:
        dataset: name of the dataset.
        spec_digest: digest of its specification.
        generator: kind of engine.
        epsilon: ε of a walk as the specification has it.
        delta: δ of a walk.
        cap_epsilon: the specification's cap, which stands: nothing is granted by a simulation.
        rows: rows of the real table that the answer is about.
        simulated_rows: released rows that the walks were repeated on.
        origin: where those rows come from.
        target: column of the prediction task, or empty.
        metric: its metric, such as auc, or empty.
        repeats: walks for each ε.
        seed: of rows, learners and subsamples; the noise of every walk is fresh.
        points: one for each ε, from little to much.
    """

    dataset: str
    spec_digest: str
    generator: str
    epsilon: float
    delta: float
    cap_epsilon: float
    rows: int
    simulated_rows: int
    origin: str
    target: str
    metric: str
    repeats: int
    seed: int
    points: tuple[Point, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The figures that were measured at every ε, with the metric's name in their labels."""
        found = [figure for figure in FIGURES if all(figure.key in point.scores for point in self.points)]
        return tuple(replace(figure, label=self._labelled(figure.label)) for figure in found)

    def expected(self, key: str) -> tuple[Expected, ...]:
        """A figure's expectation at every ε."""
        return tuple(point.scores[key] for point in self.points)

    def to_dict(self) -> dict[str, Any]:
        """The frontier as plain data."""
        return {"version": 1, "zone": "released", "level": LEVEL, **asdict(self)}

    def to_csv(self) -> str:
        """One line for each ε and figure, floors included."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("epsilon", "score", "expected", "low", "high", "spread", "repeats"))
        for point in self.points:
            for key, found in point.scores.items():
                numbers = (f"{number:.6g}" for number in (found.value, found.low, found.high, found.spread))
                writer.writerow((f"{point.epsilon:g}", key, *numbers, len(found.repeats)))
        return text.getvalue()

    def _labelled(self, label: str) -> str:
        name = {"auc": "AUC", "r2": "R²"}.get(self.metric, self.metric)
        return label.replace("TSTR", f"TSTR {name}", 1) if name else label
