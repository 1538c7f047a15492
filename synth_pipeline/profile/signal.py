"""Whether ε can carry a table: the signal-to-noise number, and what to do where it is too large.

x is the relative noise of a cell that holds 1/32 of the rows when all columns share 16 % of the budget: x = 32 / (n·√(.16 μ²/W)), with
n the noisy row count and W the sum of the columns' weights. Measured at ε = 1: .03 for 39,000 rows of 15 columns (2-way distance 1.1 ×
its floor), .08 for 24,000 of 24, and .34 and .45 for 4,000 rows of 17 and 24 (1.6 and 1.9 × the floor, predictions scatter by ±.03).
"""

import math
from collections.abc import Mapping

from synth_pipeline.profile.share import NOMINAL_SHARE, column_weight
from synth_pipeline.table.column import ModelledColumn
from synth_pipeline.table.person import PERSON_ROWS

WEAK = 0.2
VERY_WEAK = 0.6


def noise_number(columns: Mapping[str, ModelledColumn], *, rows: float, cost: float) -> float:
    """The signal-to-noise number x of a table; smaller is better.

    Args:
        columns: declared columns.
        rows: noisy row count.
        cost: μ² of the whole walk.
    """
    weight = sum(column_weight(column) for column in columns.values())
    return 32 / (max(rows, 1.0) * math.sqrt(NOMINAL_SHARE * cost / weight))


def rows_wanted(columns: Mapping[str, ModelledColumn], *, cost: float) -> int:
    """Rows from which on a walk of this cost carries these columns without a warning; two significant digits.

    Example:
        >>> from synth_pipeline.table.column import BooleanColumn
        >>> rows_wanted({"a": BooleanColumn(), "b": BooleanColumn()}, cost=0.05)
        2600
    """
    exact = noise_number(columns, rows=1.0, cost=cost) / WEAK
    step = 10.0 ** max(math.floor(math.log10(exact)) - 1, 0)
    return int(math.ceil(exact / step - 1e-9) * step)


def signal_warnings(
    columns: Mapping[str, ModelledColumn], *, rows: float, cost: float, epsilon: float
) -> tuple[str, ...]:
    """A sentence that says that ε is too small for this many rows and columns, and what would do; empty where it is not.

    Privacy:
        Reads the noisy row count and public facts only.
    """
    noise = noise_number(columns, rows=rows, cost=cost)
    if noise <= WEAK:
        return ()
    factor = noise / WEAK
    degree = "far too few" if noise > VERY_WEAK else "few"
    fewer = max(int(len(columns) / factor**2), 1)
    whom = "people" if PERSON_ROWS in columns else "rows"
    finding = f"about {max(round(rows), 0):,} {whom} are {degree} for {len(columns)} columns at ε = {epsilon:g}"
    meaning = f"a cell with 1/32 of the rows carries {noise:.0%} noise (above {WEAK:.0%} pairs of columns and predictions suffer)"
    more = f"give ε of about {epsilon * factor:.2g}, or about {rows_wanted(columns, cost=cost):,} {whom}"
    less = f"leave out columns (about {fewer} would do) or declare coarser categories and bounds"
    return (f"{finding}: {meaning}; {more}, or {less}",)
