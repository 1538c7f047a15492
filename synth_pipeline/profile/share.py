"""How much of the budget the profile may spend, from public facts and the noisy row count alone.

The signal-to-noise number x is the relative noise of a cell that holds 1/32 of the rows when the columns share 16 % of the budget.
Small tables (large x) spend more on single columns and less on pairs, because their pairs are noise.
"""

import math
from collections.abc import Mapping

import numpy as np

from synth_pipeline.profile.moment import has_calendar
from synth_pipeline.table.column import CategoricalColumn, DatetimeColumn, FloatColumn, IntegerColumn, ModelledColumn
from synth_pipeline.table.grid import native_grid

ROW_COUNT_SHARE = 0.002
NARROW_CELLS = 128
NOMINAL_SHARE = 0.16
SMALLEST_SHARE, LARGEST_SHARE = 0.12, 0.35


def column_weight(column: ModelledColumn) -> float:
    """Weight of a column in the profile's budget: 2 where bins must be found, 6 where names must be, else 1; 1 more for calendar parts.

    A name that is not found is lost to every table, so the noise of a discovery costs more than that of any other column.
    """
    if isinstance(column, DatetimeColumn) and has_calendar(column):
        return 3.0
    if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
        return 2.0 if native_grid(column).cells > NARROW_CELLS else 1.0
    return 6.0 if isinstance(column, CategoricalColumn) and column.discover else 1.0


def profile_share(columns: Mapping[str, ModelledColumn], *, rows: float, cost: float) -> float:
    """Share of the walk's cost μ² that the profile spends, between 12 % and 35 %.

    Args:
        columns: declared columns.
        rows: noisy row count.
        cost: μ² of the whole walk.
    """
    weight = sum(column_weight(column) for column in columns.values())
    noise = 32 / (max(rows, 1.0) * math.sqrt(NOMINAL_SHARE * cost / weight))
    return float(np.clip(NOMINAL_SHARE * (noise / 0.05) ** 0.35, SMALLEST_SHARE, LARGEST_SHARE))
