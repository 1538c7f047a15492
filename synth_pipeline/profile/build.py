"""The profile stage as a whole: row count, then every column, paid from one share of the walk's budget."""

from collections.abc import Callable, Mapping

import numpy as np

from synth_pipeline.privacy.curator import Curator
from synth_pipeline.profile.category import CategoryQuestion, profile_category
from synth_pipeline.profile.moment import PARTS_SHARE, has_calendar, profile_parts
from synth_pipeline.profile.null_block import SHARE as NULL_BLOCK_SHARE
from synth_pipeline.profile.null_block import find_null_blocks
from synth_pipeline.profile.numeric import NumericQuestion, profile_numeric
from synth_pipeline.profile.person import profile_people
from synth_pipeline.profile.share import ROW_COUNT_SHARE, column_weight, profile_share
from synth_pipeline.profile.signal import noise_number, signal_warnings
from synth_pipeline.table.column import (
    CategoricalColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    ModelledColumn,
)
from synth_pipeline.table.person import PERSON_ROWS
from synth_pipeline.table.profile import ColumnProfile, Profile


def build_profile(
    curator: Curator,
    columns: Mapping[str, ModelledColumn],
    *,
    share: float | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Profile:
    """Measure the row count and every column.

    Args:
        curator: holder of the training rows.
        columns: declared columns, in table order; `PERSON_ROWS` last, where people may have several rows.
        share: share of the walk's cost μ² to spend; None decides it from the noisy row count (12 % to 35 %).
        progress: called with a message and the share of the work done.

    Privacy:
        Row count: 0.2 % of μ². How rows fall to people, where they may have several: at most 3 % of μ². Where two or more columns are
        nullable, 5 % of the share for null blocks (unspent where no null counts agree). Columns: the rest of the share, in proportion to
        `column_weight`. All through the curator.
    """
    total = curator.budget.cost
    before = curator.spent_cost
    counted = curator.count_rows(cost=ROW_COUNT_SHARE * total, stage="profile", purpose="row count")
    rows = max(float(counted.values[0]), 1.0)
    share = profile_share(columns, rows=rows, cost=total) if share is None else share
    nullable = sum(column.nullable for column in columns.values())
    null_cost = NULL_BLOCK_SHARE * (share - ROW_COUNT_SHARE) * total if nullable > 1 else 0.0
    before_people = curator.spent_cost
    people = profile_people(curator, columns, people=rows) if PERSON_ROWS in columns else None
    people_cost = curator.spent_cost - before_people
    unit = ((share - ROW_COUNT_SHARE) * total - null_cost - people_cost) / sum(
        column_weight(column) for column in columns.values()
    )
    discovered = sum(isinstance(column, CategoricalColumn) and column.discover for column in columns.values())
    profiles: list[ColumnProfile] = []
    parts: list[ColumnProfile] = []
    for done, (name, column) in enumerate(columns.items()):
        if progress is not None:
            progress(f"profile: {name}", done / len(columns))
        cost = unit * column_weight(column)
        if isinstance(column, DatetimeColumn) and has_calendar(column):
            bins = profile_numeric(curator, NumericQuestion(name, column, (1 - PARTS_SHARE) * cost, rows))
            parts += profile_parts(curator, bins, cost=PARTS_SHARE * cost, taken=list(columns))
            profiles.append(bins)
        elif isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
            profiles.append(profile_numeric(curator, NumericQuestion(name, column, cost, rows)))
        else:
            delta = curator.budget.delta_of_each(discovered)
            profiles.append(profile_category(curator, CategoryQuestion(name, column, cost, delta, rows)))
    blocks = find_null_blocks(curator, profiles, rows=rows, cost=null_cost) if null_cost > 0 else ()
    profiles += parts
    mean, sigma = _row_estimate(rows, counted.sigma, profiles)
    cost = curator.spent_cost - before
    found_delta = curator.budget.discovery_delta if discovered else 0.0
    warnings = signal_warnings(columns, rows=mean, cost=total, epsilon=curator.budget.epsilon)
    noise = noise_number(columns, rows=mean, cost=total)
    return Profile(mean, sigma, tuple(profiles), cost, found_delta, warnings, blocks, noise, people)


def _row_estimate(rows: float, sigma: float, columns: list[ColumnProfile]) -> tuple[float, float]:
    """Inverse-variance mean of every released total, and its standard deviation."""
    totals = np.array([rows] + [float(column.counts.sum()) for column in columns])
    variances = np.array([sigma**2] + [float((column.sigma**2).sum()) for column in columns])
    weights = 1 / variances
    return float((totals * weights).sum() / weights.sum()), float(1 / np.sqrt(weights.sum()))
