"""Compiled moves of Gibbs chains: one column of many rows at a time.

The conditional logits of a column are a sum of rows of its (S, D) block of weights, one a neighbouring column; the block is contiguous and
small enough for the fast caches. A code of probability zero (weight −∞) is never drawn; a row whose codes are all impossible stays.

The loops are compiled at first use (about a second each) and kept on disk, beside the module or in the user's cache folder.

Symbols: S one-hot width, M rows, d columns, D codes of the moved column, P parts of its codes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_SMALLEST_LOGIT = np.float32(-60.0)
_SQUARINGS = np.float32(1 / 256)
_FLAGS = {"reassoc", "contract", "nsz", "arcp"}  # not "nnan" or "ninf": weights of −∞ are meant


class Column(NamedTuple):
    """A column as its moves see it.

    Attributes:
        place: position in the domain.
        start: one-hot position of its first code.
        near: columns that share a factor with it.
        block: (S, D) weights of its codes.
        bias: (D,).
    """

    place: int
    start: int
    near: Ints
    block: Floats
    bias: Floats


class Clamp(NamedTuple):
    """A condition as the moves of one column see it; see `evidence`.

    Attributes:
        parent: code of each part of the column, (P,).
        log_share: log of the share of the code that the part is, (P,).
        axes: the condition's axes that hang on the column.
        regions: region of each part on those axes, (P, axes).
        strides: to index `distance`, one an axis of the condition.
        distance: of every combination of regions, flattened.
        strength: log-penalty of a unit of distance, perhaps infinite.
    """

    parent: Ints
    log_share: Floats
    axes: Ints
    regions: Ints
    strides: npt.NDArray[np.int64]
    distance: Floats
    strength: float


class Push(NamedTuple):
    """How rows are herded.

    Attributes:
        force: push at a relative gap of one, before it is clipped to ±1.
        scale: factor on the push of pairs; that of the column's own shares is 1.
        batches: how often the push is brought up to date in one pass over the rows.
    """

    force: float
    scale: float
    batches: int


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled at its first call; kept on disk where a folder can be written to."""
    try:
        return numba.njit(cache=True, fastmath=_FLAGS, error_model="numpy")(function)
    except RuntimeError:  # numba's word for: no folder to keep it in
        return numba.njit(fastmath=_FLAGS, error_model="numpy")(function)


@compiled
def _add_logits(row: Ints, column: Column, out: Floats) -> None:
    """Logits of the codes: bias, and one row of the block for each neighbouring column."""
    near, block, width = column.near, column.block, len(column.bias)
    for k in range(width):
        out[k] = column.bias[k]
    full = len(near) - len(near) % 4
    for i in range(0, full, 4):
        a, b = block[np.uintp(row[near[i]])], block[np.uintp(row[near[i + 1]])]
        c, d = block[np.uintp(row[near[i + 2]])], block[np.uintp(row[near[i + 3]])]
        for k in range(width):
            out[k] += (a[k] + b[k]) + (c[k] + d[k])
    for i in range(full, len(near)):
        a = block[np.uintp(row[near[i]])]
        for k in range(width):
            out[k] += a[k]


@compiled
def _exponentiate(out: Floats) -> np.float32:
    """Logits → odds, in place, the largest being 1; returns their sum, 0 where every logit is −∞.

    exp(x) = exp(x / 256)^256 by a fourth-order series and eight squarings: exact to 2e-5, and a loop of plain products.
    """
    width = len(out)
    top = out[0]
    for k in range(1, width):
        top = max(top, out[k])
    total = np.float32(0.0)
    if not top > -np.inf:
        return total
    one = np.float32(1.0)
    for k in range(width):
        x = out[k] - top
        y = max(x, _SMALLEST_LOGIT) * _SQUARINGS
        e = one + y * (one + y * (np.float32(0.5) + y * (np.float32(1 / 6) + y * np.float32(1 / 24))))
        e *= e
        e *= e
        e *= e
        e *= e
        e *= e
        e *= e
        e *= e
        e *= e
        e = e if x > _SMALLEST_LOGIT else np.float32(0.0)
        out[k] = e
        total += e
    return total


@compiled
def _drawn(odds: Floats, point: np.float32) -> int:
    """First index at which the running sum of the odds passes the point; never one of zero odds."""
    seen, passed = np.float32(0.0), 0
    for k in range(len(odds)):
        seen += odds[k]
        passed += seen <= point
    if passed < len(odds):
        return passed
    last = len(odds) - 1  # the sum was rounded below the point
    while odds[last] <= 0:
        last -= 1
    return last


@compiled
def move(states: Ints, column: Column, points: Floats) -> None:
    """Redraw one column of all rows (M, d) from its conditional law, in place, by uniform numbers (M,) in [0, 1)."""
    odds = np.empty(len(column.bias), np.float32)
    for r in range(len(states)):
        _add_logits(states[r], column, odds)
        total = _exponentiate(odds)
        if total > 0:
            states[r, column.place] = column.start + _drawn(odds, points[r] * total)


@compiled
def move_and_count(states: Ints, column: Column, points: Floats, joint: Floats) -> None:
    """As `move`, and add the conditional probabilities of every row to the column's pair table (S, D).

    The part of the table where the column meets itself gets the sum of the probabilities on its diagonal.
    """
    width = len(column.bias)
    odds = np.empty(width, np.float32)
    for r in range(len(states)):
        row = states[r]
        _add_logits(row, column, odds)
        total = _exponentiate(odds)
        if not total > 0:
            continue
        drawn = column.start + _drawn(odds, points[r] * total)
        for k in range(width):
            odds[k] /= total
            joint[column.start + k, k] += odds[k]
        for i in range(len(row)):
            if i != column.place:
                cells = joint[np.uintp(row[i])]
                for k in range(width):
                    cells[k] += odds[k]
        row[column.place] = drawn


@compiled
def move_where(states: Ints, column: Column, points: Floats, regions: Ints, clamp: Clamp) -> None:
    """As `move`, for a column that a condition names: redraws its code and its regions (M, axes) under the condition's factor."""
    logits = np.empty(len(column.bias), np.float32)
    odds = np.empty(len(clamp.parent), np.float32)
    places = np.zeros(len(clamp.parent), np.int64)
    for p in range(len(places)):
        for a in range(len(clamp.axes)):
            places[p] += clamp.regions[p, a] * clamp.strides[clamp.axes[a]]
    for r in range(len(states)):
        _add_logits(states[r], column, logits)
        rest = 0
        for axis in range(len(clamp.strides)):
            rest += regions[r, axis] * clamp.strides[axis]
        for axis in clamp.axes:
            rest -= regions[r, axis] * clamp.strides[axis]
        for p in range(len(odds)):
            distance = clamp.distance[rest + places[p]]
            penalty = np.float32(clamp.strength * distance) if distance > 0 else np.float32(0.0)
            odds[p] = logits[clamp.parent[p]] + clamp.log_share[p] - penalty
        total = _exponentiate(odds)
        if total > 0:
            p = _drawn(odds, points[r] * total)
            states[r, column.place] = column.start + clamp.parent[p]
            for a in range(len(clamp.axes)):
                regions[r, clamp.axes[a]] = clamp.regions[p, a]


@compiled
def herd(states: Ints, column: Column, goal: Floats, order: Ints, points: Floats, push: Push) -> None:
    """As `move`, in batches whose logits are pushed towards the pair shares (S, D) that the rows still miss.

    Args:
        states: (M, d) one-hot positions.
        column: the column to move; all others are near.
        goal: pair shares of the column to be reached.
        order: the rows in random order, (M,); a batch is a stretch of it.
        points: (M,) uniform numbers in [0, 1).
        push: how hard, and in how many batches.
    """
    counts = np.zeros(goal.shape, np.int32)
    for r in range(len(states)):
        code = states[r, column.place] - column.start
        for place in states[r]:
            counts[place, code] += 1
    block, bias = np.empty_like(column.block), np.empty_like(column.bias)
    pushed = Column(column.place, column.start, column.near, block, bias)
    odds = np.empty(len(bias), np.float32)
    for batch in range(push.batches):
        _push(column, goal, counts, push, pushed)
        for n in range(len(order) * batch // push.batches, len(order) * (batch + 1) // push.batches):
            row = states[order[n]]
            _add_logits(row, pushed, odds)
            total = _exponentiate(odds)
            if total > 0:
                new = column.start + _drawn(odds, points[n] * total)
                if new != row[column.place]:
                    _recount(row, column, new, counts)
                    row[column.place] = new


@compiled
def _recount(row: Ints, column: Column, new: int, counts: Ints) -> None:
    """Bring a column's pair counts (S, D) up to date with a row about to move to a new one-hot position."""
    before = row[column.place] - column.start
    after = new - column.start
    for i in range(len(row)):
        if i != column.place:
            counts[row[i], before] -= 1
            counts[row[i], after] += 1
    counts[row[column.place], before] -= 1
    counts[new, after] += 1


@compiled
def _push(column: Column, goal: Floats, counts: Ints, push: Push, pushed: Column) -> None:
    """Block and bias of a column pushed towards the shares that its rows still miss, into `pushed`."""
    rows = np.float32(0.0)
    for k in range(len(column.bias)):
        rows += np.float32(counts[column.start + k, k])
    slope, scale, one = np.float32(push.force), np.float32(push.scale), np.float32(1.0)
    floor = np.float32(2.0) / rows
    for s in range(len(column.block)):
        for k in range(len(column.bias)):
            now = np.float32(counts[s, k]) / rows
            gap = slope * (goal[s, k] - now) / (max(goal[s, k], now) + floor)
            gap = min(max(gap, -one), one)
            pushed.block[s, k] = column.block[s, k] + scale * gap
            if s == column.start + k:
                pushed.bias[k] = column.bias[k] + gap


@compiled
def energies(states: Ints, weights: Floats, bias: Floats) -> Floats:
    """Log-probability of each row up to a constant: its biases, and its pair factors counted once."""
    result = np.zeros(len(states), np.float32)
    for r in range(len(states)):
        row = states[r]
        total = np.float32(0.0)
        for i in range(len(row)):
            total += bias[row[i]]
            cells = weights[np.uintp(row[i])]
            for j in range(i):
                total += cells[row[j]]
        result[r] = total
    return result
