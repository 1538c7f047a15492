"""The transcript: what an engine of pair tables asks of the private rows, whatever model it fits to the answers.

    SCREEN     functional dependencies, whose dependent columns are drawn afterwards;
    SELECT     in each round the tables that the engine's model gets most wrong, by noisy errors;
    MEASURE    those tables.

`maxent` and `mixture` share it: they differ in the model that is fitted between the rounds.
"""

from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from synth_pipeline.generate.maxent.config import RoundPlan, SelectionConfig, plan_rounds
from synth_pipeline.generate.maxent.dependency import Dependency, screen_dependencies
from synth_pipeline.generate.maxent.fit import Measurement, table_key
from synth_pipeline.generate.maxent.grouping import group_columns
from synth_pipeline.generate.maxent.reconcile import Margin, margins, reconciled
from synth_pipeline.generate.maxent.refresh import KEPT_SHARE, Earlier, doubted, kept_dependencies
from synth_pipeline.generate.maxent.select import PairJoints, Selector
from synth_pipeline.generate.measured import MeasuredPair, measured_pair
from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.privacy.curator import EncodedView
from synth_pipeline.table.encoded import Domain
from synth_pipeline.table.profile import Floats, Profile

_REFRESH_ROUNDS = 2


class TranscriptConfig(SelectionConfig, Protocol):
    """Constants of the questions: those of the selection, and the screen's."""

    @property
    def target(self) -> str | None:
        """Public target column."""
        ...

    @property
    def determined(self) -> tuple[tuple[str, str], ...]:
        """Public dependencies: (column, the column that determines it)."""
        ...

    @property
    def dependency_share(self) -> float:
        """Share of the walk's cost for functional dependencies."""
        ...

    @property
    def groups(self) -> tuple[int, ...]:
        """Sizes of the coarse maps of a column, beside the full one."""
        ...


class Transcript:
    """Questions and answers of one training.

    Attributes:
        view: the encoded private rows.
        profile: the released profile.
        config: constants of the questions.
        target: index of the target column, if any.
        plan: how the pairs' budget is spread over rounds.
        dependencies: columns drawn from others, once screened.
        active: indices of the columns that the model is over, once screened.
        measured: noisy tables by key; repeated ones are merged.
        earlier: tables of an earlier release that are used beside them, by key; empty but in a refresh.
        doubted: pairs whose earlier tables the first round found to be farther off than noise and chance explain.
    """

    def __init__(
        self, view: EncodedView, profile: Profile, config: TranscriptConfig, prior: Earlier | None = None
    ) -> None:
        self.view, self.profile, self.config, self.prior = view, profile, config, prior
        names = view.domain.names
        self.target = names.index(config.target) if config.target in names else None
        self.plan: RoundPlan = plan_rounds(columns=len(names), rows=profile.rows, cost=max(view.left_cost, 1e-12))
        if prior is not None:
            self.plan = replace(self.plan, rounds=min(self.plan.rounds, _REFRESH_ROUNDS))
        self.dependencies: tuple[Dependency, ...] = ()
        self.active: tuple[int, ...] = ()
        self.measured: dict[str, Measurement] = {}
        self.earlier: dict[str, Measurement] = {}
        self.doubted: tuple[tuple[int, int], ...] = ()

    @property
    def domain(self) -> Domain:
        """The active columns."""
        names, sizes = self.view.domain.names, self.view.domain.sizes
        return Domain(tuple(names[i] for i in self.active), tuple(sizes[i] for i in self.active))

    @property
    def shares(self) -> list[Floats]:
        """Released one-way of each active column."""
        return [self.profile.shares(index) for index in self.active]

    def screen(self, *, walk_cost: float) -> None:
        """Find dependencies; what is left is split evenly over the rounds.

        Args:
            walk_cost: Gaussian cost μ² of the whole walk, of which the screen's share is taken.
        """
        cost, kept = self.config.dependency_share * walk_cost, None
        if self.prior is not None:
            kept, asked = kept_dependencies(self.view, self.profile, self.prior, cost=KEPT_SHARE * cost)
            cost -= asked
        self.dependencies = screen_dependencies(
            self.view, self.profile, target=self.target, cost=cost, declared=self._declared(), kept=kept
        )
        drawn = {item.column for item in self.dependencies}
        self.active = tuple(index for index in range(len(self.view.domain)) if index not in drawn)
        self._round_cost = self.view.left_cost / self.plan.rounds
        if self.prior is not None:
            self.earlier = {
                table_key(item.partition): item
                for item in self.prior.tables
                if {item.partition.first, item.partition.second} <= set(self.active)
            }
        grouping, earlier = group_columns(self.profile, self.config.groups), tuple(self.earlier.values())
        self._selector = Selector(
            self.view, self.profile, grouping, self.config, self.plan, self.active, self.target, earlier
        )

    def _declared(self) -> list[tuple[int, int]]:
        names = self.view.domain.names
        return [(names.index(determinant), names.index(dependent)) for dependent, determinant in self.config.determined]

    def ask(self, number: int, joint: Floats) -> bool:
        """One round of selection and measurement against the model's pair marginals; False where there is no pair to ask about.

        Args:
            number: number of the round, from 0.
            joint: the model's pair marginals over the active columns, (S, S).
        """
        if len(self.active) < 2:
            return False
        joints = PairJoints(joint, dict(zip(self.active, self.domain.slices(), strict=True)))
        cost = min(self._round_cost, self.view.left_cost)
        found = self._selector.run(number, joints, {**self.earlier, **self.measured}, cost=cost)
        if number == 0 and self.earlier:
            self.earlier, self.doubted = doubted(self.earlier, found, rows=max(self.profile.rows, 1.0))
        for item in found.tables:
            key = table_key(item.partition)
            self.measured[key] = self.measured[key].merged(item) if key in self.measured else item
        return True

    def measurements(self) -> list[Measurement]:
        """All answers so far, their columns numbered as in the active domain."""
        return [renumbered(item, self.active) for item in self.used.values()]

    @property
    def used(self) -> dict[str, Measurement]:
        """Every table that the model is fitted to: fresh ones, merged with the same ones of an earlier release, and its others."""
        merged = {
            key: item.merged(self.earlier[key]) if key in self.earlier else item for key, item in self.measured.items()
        }
        return {**{key: item for key, item in self.earlier.items() if key not in merged}, **merged}

    def refresh_facts(self) -> dict[str, Any]:
        """Released facts about what a refresh took over; empty for a fit."""
        if self.prior is None:
            return {}
        names = self.view.domain.names
        return {
            "changed_columns": [names[index] for index in sorted(self.prior.changed)],
            "reused_tables": len(self.earlier),
            "fresh_tables": len(self.measured),
            "drifted_pairs": [f"{names[first]} × {names[second]}" for first, second in self.doubted],
            "kept_dependencies": sum(item in self.prior.dependencies for item in self.dependencies),
        }

    def released(self) -> tuple[MeasuredPair, ...]:
        """All answers so far, over domain indices, to be kept with the generator."""
        rows = max(self.profile.rows, 1.0)
        return tuple(
            measured_pair(item.partition, item.values, item.sigma if item.sigmas is None else item.sigmas, rows=rows)
            for item in self.used.values()
        )

    def one_ways(self) -> tuple[Floats, Floats]:
        """One-way shares of the active columns side by side, and their noise: the profile's, improved by the tables' margins."""
        rows = max(self.profile.rows, 1.0)
        known: dict[int, list[Margin]] = {index: [] for index in self.active}
        for item in self.measured.values():
            for index, margin in zip((item.partition.first, item.partition.second), margins(item) or (), strict=False):
                known[index].append(margin)
        columns = [(self.profile.columns[index], known[index]) for index in self.active]
        found = [reconciled(column.counts, column.sigma, items) for column, items in columns]
        return np.concatenate([values for values, _ in found]) / rows, np.concatenate(
            [noise for _, noise in found]
        ) / rows


def renumbered(item: Measurement, active: tuple[int, ...]) -> Measurement:
    """A measurement over domain indices, its columns numbered as in the active domain."""
    part = item.partition
    moved = PairPartition(active.index(part.first), active.index(part.second), part.labels, part.size, part.name)
    return Measurement(moved, item.values, item.sigma, item.sigmas)
