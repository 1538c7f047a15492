"""AIM: an adaptive and iterative mechanism, which measures the pair that its model gets most wrong, round after round.

    SELECT     among the pairs whose junction tree still fits, the one of largest error beyond what its noise would be, by the
               exponential mechanism on  q_c = w_c (‖x_c − x̂_c‖₁ − √(2/π)·σ·n_c)   (line 7 of Algorithm 4);
    MEASURE    its table with Gaussian noise σ;
    FIT        the graphical model to everything measured, from where the last fit stood (Private-PGM);
    ANNEAL     if the table moved by less than its noise, √(2/π)·σ·n_c, halve σ and double ε (Algorithm 3).

| here | paper | is |
|---|---|---|
| `rounds_per_column` | 16 | planned rounds T over columns d; sets the first σ and ε |
| `measure_share` | α = 0.9 | share of a round's cost for its table |
| `most_cells` | MAX-SIZE (80 MB = 10⁷ cells) | size of the junction tree once all is spent; earlier in proportion to what is spent |
| `target_weight` | w_c | how often the workload counts a pair |
| `penalty` | √(2/π)·σ·n_c | expected L1 error of a fresh noisy table |
| cost | 2ρ | squared Gaussian-DP parameter μ² |

Deviations. The workload is all pairs (the public implementations' default), those with a declared target counted twice, so that a pair's
weight w_c is 1 or 2; single columns stay out of the candidates, as the profile has measured them, at its own share of the cost (12–35 %).
Codes lost in the one-ways' noise share a code, as in MST. Costs are Gaussian DP, not zCDP: at ε = 1, δ = 10⁻⁵ that leaves 18 % more for
the same (ε, δ); a choice of bounded range ε is paid at the Gaussian that covers it, μ² ≈ 0.39 ε², where zCDP would say ε²/4. Expected
rows are whole numbers, so that a distance's sensitivity is exactly one row.
Whether a tree fits is judged by an upper bound that needs no new triangulation (`junction.extensions`).

Source:
    McKenna, Mullins, Sheldon and Miklau 2022 ("AIM: an adaptive and iterative mechanism for differentially private synthetic data",
    PVLDB 15, arXiv 2201.12677).
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.generate.engine_registry import EnginePlan, discovery_events
from synth_pipeline.generate.graphical.beliefs import Floats, independent_beliefs
from synth_pipeline.generate.graphical.compress import compress, one_ways
from synth_pipeline.generate.graphical.estimate import Effort, Estimate, Measurement, estimate
from synth_pipeline.generate.graphical.junction import Columns, Edge, Extension, extended, extensions
from synth_pipeline.generate.graphical.measure import expected_rows, measure_pair
from synth_pipeline.generate.graphical.model import GraphicalModel, load_model, rounded
from synth_pipeline.generate.graphical.pairs import pair_marginals
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.answer import ExpectedTable
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger.contract import ChargeLine
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import Profile

PROFILE_SHARE: float | None = None
_TYPICAL_PROFILE = 0.16


@dataclass(frozen=True)
class AimConfig:
    """Constants of the mechanism.

    Attributes:
        target: public target column, whose pairs the workload counts `target_weight` times; None: all pairs alike.
        target_weight: whole number.
        rounds_per_column: planned rounds over columns.
        measure_share: share of a round's cost for its table; the rest chooses the pair.
        most_cells: cells of the junction tree once the whole budget is spent.
        merge_below: codes whose noisy one-way count is below so many σ share one code of the model.
        ridge: weight of the entropy in the estimation (see `graphical.estimate`).
        sweeps: sweeps of the estimation after each round but the last.
        final_sweeps: most sweeps after the last.
    """

    target: str | None = None
    target_weight: int = 2
    rounds_per_column: int = 16
    measure_share: float = 0.9
    most_cells: int = 1_000_000
    merge_below: float = 3.0
    ridge: float = 0.5
    sweeps: int = 3
    final_sweeps: int = 60

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)


def make_config(spec: Spec) -> AimConfig:
    """The mechanism config for a specification."""
    return AimConfig(target=spec.benchmark.target if spec.benchmark else None)


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
            "choice of a pair, round by round",
            "exponential mechanism",
            rest * (1 - config.measure_share) * budget.epsilon,
        ),
        ChargeLine(
            "generator",
            "tables of the chosen pairs",
            "discrete Gaussian",
            rest * config.measure_share * budget.epsilon,
        ),
    )
    pool = GaussianPoolEvent(stage="walk", purpose="profile and generator", mu_squared=budget.cost)
    return EnginePlan((pool, *discovery_events(spec, budget)), lines)


def fit(
    curator: Curator, profile: Profile, config: AimConfig, *, budget: Budget, runtime: RuntimeConfig
) -> GraphicalModel:
    """Rounds of SELECT, MEASURE, FIT, ANNEAL until the budget is spent.

    Args:
        curator: holder of the private rows; its earlier answers (the profile's) count.
        profile: the released profile.
        config: constants of the mechanism.
        budget: the walk's budget, the curator's own.
        runtime: progress.

    Privacy:
        One exponential-mechanism choice and one discrete-Gaussian table a round, all through the curator, their sizes chosen from
        what was released; Gaussian DP composes them exactly. The rest is post-processing.
    """
    mechanism = _Aim(curator, profile, config, budget)
    left = mechanism.view.left_cost
    cost = left / (config.rounds_per_column * len(profile.columns))
    number = 0
    while mechanism.view.left_cost > 0 and len(profile.columns) > 1:
        number += 1
        is_last = mechanism.view.left_cost < 2 * cost
        runtime.report(f"aim: round {number}", 1 - mechanism.view.left_cost / left)
        cost = mechanism.view.left_cost if is_last else cost
        edge, extension = mechanism.select(cost)
        if mechanism.measure_and_fit(edge, extension, cost):
            cost *= 4
        if is_last:
            break
    return mechanism.finish(number)


class _Aim:
    """Holds what one run passes from round to round."""

    def __init__(self, curator: Curator, profile: Profile, config: AimConfig, budget: Budget) -> None:
        self.view = curator.encoded(Encoder(profile))
        self.profile, self.config, self.budget = profile, config, budget
        self.rows = max(profile.rows, 1.0)
        names = self.view.domain.names
        self.target = names.index(config.target) if config.target in names else None
        self.compression = compress(profile, config.merge_below)
        self.measured: dict[Columns, Measurement] = {item.columns: item for item in one_ways(profile, self.compression)}
        shares = [self.compression.merged(index, profile.shares(index)) for index in range(len(profile.columns))]
        beliefs = independent_beliefs(shares)
        self.fitted: Estimate = estimate(
            beliefs.tree, list(self.measured.values()), rows=self.rows, theta={}, effort=Effort(20, ridge=config.ridge)
        )

    def select(self, cost: float) -> tuple[Edge, Extension | None]:
        """The chosen pair, and how the tree must grow for it (None: not at all). Where nothing fits, the cheapest pair is all there is."""
        self.joints = pair_marginals(self.fitted.beliefs)
        tree, growth = self.fitted.beliefs.tree, extensions(self.fitted.beliefs.tree)
        spent = (self.budget.cost - self.view.left_cost + cost) / self.budget.cost
        room = self.config.most_cells * spent - tree.cells
        fitting = [edge for edge in self.joints if edge not in growth or growth[edge].cells <= room]
        open_pairs = fitting or [min(growth, key=lambda edge: growth[edge].cells)]
        sigma = 1 / math.sqrt(self.config.measure_share * cost)
        chosen = self.view.choose_by_error(
            [self._expected(edge, sigma) for edge in open_pairs],
            cost=(1 - self.config.measure_share) * cost,
            purpose=f"choice among {len(open_pairs)} pairs",
        )
        edge = open_pairs[chosen]
        return edge, growth.get(edge)

    def measure_and_fit(self, edge: Edge, extension: Extension | None, cost: float) -> bool:
        """Measure a pair and refit; whether its table moved by less than its noise."""
        share = min(self.config.measure_share * cost, self.view.left_cost)
        found = measure_pair(self.view, self.compression, edge, cost=share)
        self.measured[edge] = self.measured[edge].merged(found) if edge in self.measured else found
        tree = self.fitted.beliefs.tree
        if extension is not None:
            edges = [(item[0], item[1]) for item in self.measured if len(item) == 2]
            tree = extended(tree, edges, extension)
        self._fit(tree, self.config.sweeps)
        moved = np.abs(self.fitted.beliefs.table(edge) - self.joints[edge]).sum() * self.rows
        return bool(moved <= _noise_error(float(found.sigma.flat[0]), found.values.size))

    def finish(self, rounds: int) -> GraphicalModel:
        """The last, longer fit, and the generator."""
        self._fit(self.fitted.beliefs.tree, self.config.final_sweeps)
        tree = self.fitted.beliefs.tree
        facts = {
            "rounds": rounds,
            "pairs": sum(len(columns) == 2 for columns in self.measured),
            "cells": tree.cells,
            "largest_clique": max(len(clique) for clique in tree.cliques),
            "residual": round(self.fitted.residual, 3),
            "last_change": round(self.fitted.change, 4),
            "is_converged": self.fitted.change <= Effort().tolerance,
        }
        beliefs = rounded(self.fitted.beliefs)
        return GraphicalModel("aim", self.view.domain, beliefs, self.compression, self.config, self.view.events, facts)

    def _fit(self, tree: Any, sweeps: int) -> None:
        effort = Effort(sweeps=sweeps, ridge=self.config.ridge)
        measured, theta = list(self.measured.values()), self.fitted.theta
        self.fitted = estimate(tree, measured, rows=self.rows, theta=theta, effort=effort)

    def _expected(self, edge: Edge, sigma: float) -> ExpectedTable:
        joint: Floats = self.joints[edge]
        return ExpectedTable(
            self.compression.pair(*edge),
            expected_rows(joint, self.rows),
            penalty=round(_noise_error(sigma, joint.size)),
            weight=self.config.target_weight if self.target in edge else 1,
        )


def _noise_error(sigma: float, cells: int) -> float:
    """Expected L1 error of a noisy table, √(2/π)·σ·n."""
    return math.sqrt(2 / math.pi) * sigma * cells


def load(folder: Path) -> GraphicalModel:
    """The generator that `GraphicalModel.save` wrote.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    return load_model(folder, kind="aim", read_config=lambda content: AimConfig(**content))
