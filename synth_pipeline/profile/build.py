"""The profile stage as a whole: row count, then every column, paid from one share of the walk's budget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from synth_pipeline.privacy.curator import Curator
from synth_pipeline.profile.numeric import NumericQuestion, profile_numeric
from synth_pipeline.profile.share import ROW_COUNT_SHARE, column_weight, profile_share
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoricalColumn,
    CategoryColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    ModelledColumn,
    OrdinalColumn,
    declared_categories,
)
from synth_pipeline.table.partition import Whole
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, Profile


@dataclass(frozen=True)
class _Discovery:
    """What one discovered column may use."""

    cost: float
    delta: float


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
        columns: declared columns, in table order.
        share: share of the walk's cost μ² to spend; None decides it from the noisy row count (12 % to 35 %).
        progress: called with a message and the share of the work done.

    Privacy:
        Row count: 0.2 % of μ². Columns: the rest of the share, in proportion to `column_weight`. All through the curator.
    """
    total = curator.budget.cost
    before = curator.spent_cost
    counted = curator.count_rows(cost=ROW_COUNT_SHARE * total, stage="profile", purpose="row count")
    rows = max(float(counted.values[0]), 1.0)
    share = profile_share(columns, rows=rows, cost=total) if share is None else share
    unit = (share - ROW_COUNT_SHARE) * total / sum(column_weight(column) for column in columns.values())
    discovered = sum(isinstance(column, CategoricalColumn) and column.discover for column in columns.values())
    profiles: list[ColumnProfile] = []
    for done, (name, column) in enumerate(columns.items()):
        if progress is not None:
            progress(f"profile: {name}", done / len(columns))
        cost = unit * column_weight(column)
        if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
            profiles.append(profile_numeric(curator, NumericQuestion(name, column, cost, rows)))
        else:
            delta = curator.budget.discovery_delta / max(discovered, 1)
            profiles.append(_profile_category(curator, name, column, _Discovery(cost, delta)))
    mean, sigma = _row_estimate(rows, counted.sigma, profiles)
    cost = curator.spent_cost - before
    return Profile(mean, sigma, tuple(profiles), cost, curator.budget.discovery_delta if discovered else 0.0)


def _profile_category(curator: Curator, name: str, column: CategoryColumn, allowed: _Discovery) -> CategoryProfile:
    if isinstance(column, CategoricalColumn) and column.discover:
        return _profile_discovered(curator, name, column, allowed)
    categories = declared_categories(column)
    noisy = curator.histogram(
        name,
        Whole(len(categories)),
        with_null=column.nullable,
        cost=allowed.cost,
        stage="profile",
        purpose=f"{name}: one-way",
    )
    return CategoryProfile(
        name=name,
        categories=categories,
        is_ordered=isinstance(column, OrdinalColumn),
        nullable=column.nullable,
        has_rest=False,
        counts=noisy.values,
        sigma=np.full(len(noisy.values), noisy.sigma),
        is_boolean=isinstance(column, BooleanColumn),
    )


def _profile_discovered(curator: Curator, name: str, column: CategoricalColumn, allowed: _Discovery) -> CategoryProfile:
    """Half of the cost finds the categories, half counts them."""
    keys = curator.discover(
        name, cost=allowed.cost / 2, delta=allowed.delta, stage="profile", purpose=f"{name}: discovery"
    )
    noisy = curator.key_histogram(
        name, keys, with_null=column.nullable, cost=allowed.cost / 2, stage="profile", purpose=f"{name}: one-way"
    )
    return CategoryProfile(
        name=name,
        categories=tuple(keys),
        is_ordered=False,
        nullable=column.nullable,
        has_rest=True,
        counts=noisy.values,
        sigma=np.full(len(noisy.values), noisy.sigma),
    )


def _row_estimate(rows: float, sigma: float, columns: list[ColumnProfile]) -> tuple[float, float]:
    """Inverse-variance mean of every released total, and its standard deviation."""
    totals = np.array([rows] + [float(column.counts.sum()) for column in columns])
    variances = np.array([sigma**2] + [float((column.sigma**2).sum()) for column in columns])
    weights = 1 / variances
    return float((totals * weights).sum() / weights.sum()), float(1 / np.sqrt(weights.sum()))
