"""The profile of one category column: declared or discovered, with neighbours of a long scale and rare categories sharing a code."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.profile import bins
from synth_pipeline.profile.shrinkage import shrunk
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoricalColumn,
    Category,
    CategoryColumn,
    OrdinalColumn,
    declared_categories,
)
from synth_pipeline.table.partition import Whole
from synth_pipeline.table.profile import CategoryProfile, Floats

_DISCOVERY_SHARE = 0.7
_RARE_SIGMAS = 3.0
_NEVER_MERGED = 12
_MOST_CODES = 256


@dataclass(frozen=True)
class CategoryQuestion:
    """What a category column is asked with.

    Attributes:
        name: column name.
        column: its declaration.
        cost: μ² that its profile may spend.
        delta: δ that its discovery may spend.
        rows: noisy row count.
    """

    name: str
    column: CategoryColumn
    cost: float
    delta: float
    rows: float


def profile_category(curator: Curator, question: CategoryQuestion) -> CategoryProfile:
    """Measure one category column.

    A declared list is counted once. Discovery takes 70 % of the cost, the count of what was found the rest. Categories are then
    put together in codes, from the noisy counts alone: neighbours of a long ordinal scale in bins of about equal mass, the rare ones of
    a list in one code. The decoder takes such a code apart in the proportion of the (shrunken) noisy counts.

    Privacy:
        Discrete Gaussians and stability-based discovery through the curator; their costs sum to `question.cost`.
    """
    column = question.column
    if isinstance(column, CategoricalColumn) and column.discover:
        return _discovered(curator, question)
    categories = declared_categories(column)
    noisy = curator.histogram(
        question.name,
        Whole(len(categories)),
        with_null=column.nullable,
        cost=question.cost,
        stage="profile",
        purpose=f"{question.name}: one-way",
    )
    return _grouped(question, categories, noisy, has_rest=False)


def _discovered(curator: Curator, question: CategoryQuestion) -> CategoryProfile:
    cost = _DISCOVERY_SHARE * question.cost
    keys = curator.discover(
        question.name, cost=cost, delta=question.delta, stage="profile", purpose=f"{question.name}: discovery"
    )
    noisy = curator.key_histogram(
        question.name,
        keys,
        with_null=question.column.nullable,
        cost=question.cost - cost,
        stage="profile",
        purpose=f"{question.name}: one-way",
    )
    return _grouped(question, keys, noisy, has_rest=True)


def _grouped(
    question: CategoryQuestion, categories: Sequence[Category | bool], noisy: Noisy, *, has_rest: bool
) -> CategoryProfile:
    counts, is_ordered = noisy.values[: len(categories)], isinstance(question.column, OrdinalColumn)
    find = _neighbours if is_ordered else _rare_together
    groups = find(counts, rows=question.rows, sigma=noisy.sigma)
    codes = int(groups.max()) + 1 if len(groups) else 0
    is_grouped = codes < len(categories)
    sizes = np.bincount(groups, minlength=codes) if codes else np.zeros(0)
    others = noisy.values[len(categories) :]
    return CategoryProfile(
        name=question.name,
        categories=tuple(categories),
        is_ordered=is_ordered,
        nullable=question.column.nullable,
        has_rest=has_rest,
        counts=np.append(np.bincount(groups, weights=counts, minlength=codes).astype(np.float64), others),
        sigma=noisy.sigma * np.sqrt(np.concatenate([sizes, np.ones(len(others))])),
        is_boolean=isinstance(question.column, BooleanColumn),
        groups=tuple(groups.tolist()) if is_grouped else (),
        masses=tuple(_masses(counts, groups, noisy.sigma).tolist()) if is_grouped else (),
    )


def _neighbours(counts: Floats, *, rows: float, sigma: float) -> npt.NDArray[np.int64]:
    """Bins of about equal mass over a long scale; as many as the noise allows, single categories where that is enough."""
    edges = bins.merge_cells(counts, rows=rows, sigma=sigma)
    return np.repeat(np.arange(len(edges) - 1), np.diff(edges))


def _rare_together(counts: Floats, *, rows: float, sigma: float) -> npt.NDArray[np.int64]:
    """One code for all categories below 3 σ (none of them could be told apart in any table of pairs), and at most 256 codes."""
    del rows
    order = np.argsort(-counts, kind="stable")
    is_rare = counts < _RARE_SIGMAS * sigma
    is_rare[order[_MOST_CODES - 1 :]] = True
    if len(counts) <= _NEVER_MERGED or is_rare.sum() < 2:
        return np.arange(len(counts))
    groups = np.cumsum(~is_rare) - 1
    groups[is_rare] = int((~is_rare).sum())
    return groups


def _masses(counts: Floats, groups: npt.NDArray[np.int64], sigma: float) -> Floats:
    masses = np.zeros(len(counts))
    for group in range(int(groups.max()) + 1):
        members = groups == group
        masses[members] = shrunk(counts[members], sigma)
    return masses
