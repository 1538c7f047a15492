"""MST: a maximum spanning tree of measured pairs.

    COMPRESS   merge the codes whose released one-way count is lost in noise (§4.2);
    SELECT     a spanning tree of column pairs, edge by edge as Kruskal would, each by the exponential mechanism on how far the
               product of the one-ways is from the pair's table (Algorithm 2, "MST selection");
    MEASURE    each pair of the tree with Gaussian noise;
    GENERATE   fit a graphical model to the one-ways and the pairs (Private-PGM), draw rows from it.

| here | paper | is |
|---|---|---|
| `merge_below` | 3 | codes below so many σ are merged |
| `selection_share` | ½ of what follows the one-ways | share of the cost for SELECT |
| cost | 2ρ | squared Gaussian-DP parameter μ² |

Deviations. The one-ways are the profile's, at its share of the cost (12–35 %, by the noisy row count) instead of a third; the rest goes
half to SELECT and half to MEASURE, as in the paper. Costs are Gaussian DP, not zCDP: at ε = 1, δ = 10⁻⁵ that leaves 18 % more for
the same (ε, δ); a choice of bounded range ε is paid at the Gaussian that covers it, μ² ≈ 0.39 ε², where zCDP would say ε²/4. The score
is in whole expected rows, so that its sensitivity is exactly one row.

Source:
    McKenna, Miklau and Sheldon 2021 ("Winning the NIST contest: a scalable and general approach to differentially private synthetic
    data", arXiv 2108.04978).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.generate.engine_registry import EnginePlan, discovery_events
from synth_pipeline.generate.graphical.beliefs import Floats
from synth_pipeline.generate.graphical.compress import Compression, compress, one_ways
from synth_pipeline.generate.graphical.estimate import Effort, Measurement, estimate
from synth_pipeline.generate.graphical.junction import Edge, build_tree
from synth_pipeline.generate.graphical.measure import expected_rows, measure_pair
from synth_pipeline.generate.graphical.model import GraphicalModel, load_model, rounded
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.answer import ExpectedTable
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator, EncodedView
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger.contract import ChargeLine
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import Profile

PROFILE_SHARE: float | None = None
_TYPICAL_PROFILE = 0.16


@dataclass(frozen=True)
class MstConfig:
    """Constants of the mechanism.

    Attributes:
        merge_below: codes whose noisy count is below so many σ share one code of the model.
        selection_share: share of what the profile leaves that selects the tree.
        ridge: weight of the entropy in the estimation (see `graphical.estimate`).
        sweeps: most sweeps of the estimation.
    """

    merge_below: float = 3.0
    selection_share: float = 0.5
    ridge: float = 0.5
    sweeps: int = 100

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)


def make_config(spec: Spec) -> MstConfig:  # noqa: ARG001  every engine is given the specification
    """The mechanism config for a specification; the same for every one."""
    return MstConfig()


def plan(spec: Spec, budget: Budget) -> EnginePlan:
    """One pool, and how it is spread at 16 % for the profile; the total is exact whatever that share becomes."""
    config, columns = make_config(spec), len(spec.modelled)
    rest = 1 - _TYPICAL_PROFILE
    lines = (
        ChargeLine(
            "profile",
            f"row count and one-way statistics of {columns} columns (12–35 % of the pool, by the noisy row count)",
            "discrete Gaussian",
            _TYPICAL_PROFILE * budget.epsilon,
        ),
        ChargeLine(
            "generator",
            f"choice of a spanning tree of {columns} columns",
            "exponential mechanism",
            rest * config.selection_share * budget.epsilon,
        ),
        ChargeLine(
            "generator",
            "tables of the tree's pairs",
            "discrete Gaussian",
            rest * (1 - config.selection_share) * budget.epsilon,
        ),
    )
    pool = GaussianPoolEvent(stage="walk", purpose="profile and generator", mu_squared=budget.cost)
    return EnginePlan((pool, *discovery_events(spec, budget)), lines)


def fit(
    curator: Curator,
    profile: Profile,
    config: MstConfig,
    *,
    budget: Budget,  # noqa: ARG001  every engine is given it; this one spends what the curator has left
    runtime: RuntimeConfig,
) -> GraphicalModel:
    """COMPRESS, SELECT, MEASURE, GENERATE with what the profile leaves of the budget.

    Args:
        curator: holder of the private rows; its earlier answers (the profile's) count.
        profile: the released profile.
        config: constants of the mechanism.
        budget: the walk's budget, the curator's own.
        runtime: progress.

    Privacy:
        One exponential-mechanism choice and one discrete-Gaussian table for each edge of the tree, all through the curator; the
        estimate is post-processing.
    """
    view = curator.encoded(Encoder(profile))
    compression = compress(profile, config.merge_below)
    measured = one_ways(profile, compression)
    runtime.report("mst: selection of the tree", 0.1)
    left = view.left_cost
    tree_edges = select(view, compression, profile, cost=config.selection_share * left)
    runtime.report("mst: tables of pairs", 0.5)
    for edge in tree_edges:
        cost = (1 - config.selection_share) * left / len(tree_edges)
        measured.append(measure_pair(view, compression, edge, cost=min(cost, view.left_cost)))
    runtime.report("mst: estimation", 0.6)
    return _generated(view, compression, profile, measured, config)


def select(view: EncodedView, compression: Compression, profile: Profile, *, cost: float) -> tuple[Edge, ...]:
    """A spanning tree, each edge chosen among those that join two of its parts by the exponential mechanism on L1 errors.

    Privacy:
        One choice an edge, of equal cost; each score has sensitivity one row.
    """
    shares = [compression.merged(index, profile.shares(index)) for index in range(len(profile.columns))]
    tables = {edge: _product(compression, profile, edge, shares) for edge in combinations(range(len(shares)), 2)}
    part = list(range(len(shares)))
    tree: list[Edge] = []
    while len(tree) < len(shares) - 1:
        joining = [(first, second) for first, second in tables if part[first] != part[second]]
        names = view.domain.names
        chosen = view.choose_by_error(
            [tables[edge] for edge in joining],
            cost=min(cost / (len(shares) - 1), view.left_cost),
            purpose=f"edge {len(tree) + 1} of the tree over {len(names)} columns",
        )
        first, second = joining[chosen]
        tree.append((first, second))
        part = [part[first] if label == part[second] else label for label in part]
    return tuple(tree)


def _product(compression: Compression, profile: Profile, edge: Edge, shares: Sequence[Floats]) -> ExpectedTable:
    """What a pair's table would be if its columns were independent."""
    first, second = edge
    joint = np.outer(shares[first], shares[second])
    return ExpectedTable(compression.pair(first, second), expected_rows(joint, profile.rows))


def _generated(
    view: EncodedView, compression: Compression, profile: Profile, measured: list[Measurement], config: MstConfig
) -> GraphicalModel:
    edges = [item.columns for item in measured if len(item.columns) == 2]
    tree = build_tree([(first, second) for first, second in edges], compression.sizes)
    effort = Effort(sweeps=config.sweeps, ridge=config.ridge)
    fitted = estimate(tree, measured, rows=max(profile.rows, 1.0), theta={}, effort=effort)
    names = view.domain.names
    facts = {
        "tree": [[names[first], names[second]] for first, second in edges],
        "cells": tree.cells,
        "residual": round(fitted.residual, 3),
        "last_change": round(fitted.change, 4),
        "is_converged": fitted.change <= effort.tolerance,
    }
    return GraphicalModel("mst", view.domain, rounded(fitted.beliefs), compression, config, view.events, facts)


def load(folder: Path) -> GraphicalModel:
    """The generator that `GraphicalModel.save` wrote.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    return load_model(folder, kind="mst", read_config=lambda content: MstConfig(**content))
