"""What a frontier says in words: what twice and half the budget buys, where the target is lost, and from where on little is gained.

More budget cannot make a walk worse, so means are first made monotone in ε (isotonic regression by pooling adjacent violators; Barlow et
al. 1972); between two ε of the grid they are read off a straight line in log ε.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synth_pipeline.frontier.result import Figure, Frontier, decimals_for

WHY_FREE = (
    "Every walk here read the released synthetic table in the place of the private one, so all of it is post-processing of a release: no "
    "private row was read, the ledger is as it was, nothing is charged, and this may be shown to whoever may see the release "
    "(post-processing: Dwork & Roth 2014, proposition 2.1)."
)
NOT_GRANTED = "An ε of this grid is granted to nobody by it: the specification's ε and cap stand."
TRUST = (
    "How far to trust it: a released table has lost structure that its own ε could not buy, so it is easier to copy than the truth. On "
    "four public tables (docs/frontier.md) distances and the two-sample test ranked every pair of ε rightly, but distances between pairs "
    "of columns came out about a tenth too good and the two-sample AUC 0.08 too good; a classifier's AUC was 0.03 off in either "
    "direction, its change from today's ε 0.02. The intervals hold the noise of walks only."
)
_KEPT_SHARE = 0.95
_LITTLE = 1.1
_PREDICTION = "tstr"


@dataclass(frozen=True)
class Reading:
    """A figure read off the frontier at any ε of its range.

    Attributes:
        value: monotone expectation.
        reach: half the width of its 95 % interval.
    """

    value: float
    reach: float

    def text(self) -> str:
        """The expectation and its interval for people."""
        digits = decimals_for(self.reach)
        return f"{self.value:.{digits}f} [{self.value - self.reach:.{digits}f}, {self.value + self.reach:.{digits}f}]"


def monotone(frontier: Frontier, figure: Figure) -> tuple[float, ...]:
    """Means of a figure at every ε, made monotone in the direction in which more budget moves it."""
    values = [expected.value for expected in frontier.expected(figure.key)]
    sign = 1.0 if figure.better == "higher" else -1.0
    return tuple(sign * value for value in _pooled([sign * value for value in values]))


def reading(frontier: Frontier, figure: Figure, epsilon: float) -> Reading | None:
    """A figure at an ε of the frontier's range; None beyond it."""
    grid = [point.epsilon for point in frontier.points]
    if not grid[0] <= epsilon <= grid[-1]:
        return None
    reaches = [(expected.high - expected.low) / 2 for expected in frontier.expected(figure.key)]
    at, logs = math.log(epsilon), np.log(grid)
    return Reading(float(np.interp(at, logs, monotone(frontier, figure))), float(np.interp(at, logs, reaches)))


def sentences(frontier: Frontier) -> tuple[str, ...]:
    """What to read off the frontier, one sentence each; the same words for the same figures."""
    return (*_doubling(frontier), *_target_lost(frontier), *_saturation(frontier))


def _doubling(frontier: Frontier) -> Iterator[str]:
    followed = [figure for figure in frontier.figures if figure.key in ("tvd_2way", _PREDICTION)]
    for factor, word in ((2.0, "Doubling"), (0.5, "Halving")):
        here, there = frontier.epsilon, factor * frontier.epsilon
        for figure in followed:
            before, after = reading(frontier, figure, here), reading(frontier, figure, there)
            if before is None or after is None:
                continue
            name = _name(frontier, figure)
            if before.value == after.value:
                yield f"{word} ε from {here:g} to {there:g} is expected to leave {name} at {before.text()}."
            else:
                yield f"{word} ε from {here:g} to {there:g} is expected to bring {name} from {before.text()} to {after.text()}."


def _target_lost(frontier: Frontier) -> Iterator[str]:
    figure = next((figure for figure in frontier.figures if figure.key == _PREDICTION), None)
    here = None if figure is None else reading(frontier, figure, frontier.epsilon)
    if figure is None or here is None or here.value <= 0:
        return
    least, means = _KEPT_SHARE * here.value, monotone(frontier, figure)
    name = _name(frontier, figure)
    words = f"{least:.3f}, {_KEPT_SHARE:.0%} of what ε = {frontier.epsilon:g} gives"
    if means[0] >= least:
        yield f"{name} stays above {words}, down to ε = {frontier.points[0].epsilon:g}, the least that was tried."
    else:
        yield f"Below ε = {_crossing(frontier, means, least):.2g} {name} falls under {words}."


def _saturation(frontier: Frontier) -> Iterator[str]:
    figure = next((figure for figure in frontier.figures if figure.key == "tvd_2way_ratio_to_floor"), None)
    if figure is None:
        return
    means, most = monotone(frontier, figure), frontier.points[-1].epsilon
    enough = [point.epsilon for point, mean in zip(frontier.points, means, strict=True) if mean <= _LITTLE * means[-1]]
    far = "as far off as equally many fresh rows"
    if len(enough) > 1:
        there = means[-len(enough)]
        pairs = f"pairs of columns are {there:.2f} times {far} there, {means[-1]:.2f} times at {most:g}"
        yield f"From ε = {enough[0]:g} on little is gained: {pairs}."
    else:
        yield f"Pairs of columns gain up to ε = {most:g}, the most that was tried: they are {means[-1]:.2f} times {far} there."


def _crossing(frontier: Frontier, means: tuple[float, ...], least: float) -> float:
    """The ε at which rising means pass a value."""
    logs = np.log([point.epsilon for point in frontier.points])
    above = next(index for index, mean in enumerate(means) if mean >= least)
    low, high = means[above - 1], means[above]
    share = (least - low) / (high - low)
    return math.exp(float(logs[above - 1] + share * (logs[above] - logs[above - 1])))


def _name(frontier: Frontier, figure: Figure) -> str:
    return f"{figure.label} of {frontier.target}" if figure.key == _PREDICTION and frontier.target else figure.label


def _pooled(values: list[float]) -> list[float]:
    """The closest non-decreasing values.

    Example:
        >>> _pooled([1.0, 3.0, 2.0, 4.0])
        [1.0, 2.5, 2.5, 4.0]
    """
    pools: list[list[float]] = []
    for value in values:
        pools.append([value])
        while len(pools) > 1 and sum(pools[-2]) / len(pools[-2]) > sum(pools[-1]) / len(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    return [sum(pool) / len(pool) for pool in pools for _ in pool]
