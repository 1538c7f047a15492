"""The transcript: what an engine of pair tables asks of the private rows, whatever model it fits to the answers.

    SCREEN     functional dependencies, whose dependent columns are drawn afterwards;
    SELECT     in each round the tables that the engine's model gets most wrong, by noisy errors;
    MEASURE    those tables.

`maxent` and `mixture` share it: they differ in the model that is fitted between the rounds.
"""

from typing import Protocol

import numpy as np

from synth_pipeline.generate.maxent.config import RoundPlan, SelectionConfig, plan_rounds
from synth_pipeline.generate.maxent.dependency import Dependency, screen_dependencies
from synth_pipeline.generate.maxent.fit import Measurement, table_key
from synth_pipeline.generate.maxent.grouping import group_columns
from synth_pipeline.generate.maxent.reconcile import Margin, margins, reconciled
from synth_pipeline.generate.maxent.select import PairJoints, Selector
from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.privacy.curator import EncodedView
from synth_pipeline.table.encoded import Domain
from synth_pipeline.table.profile import Floats, Profile


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
    """

    def __init__(self, view: EncodedView, profile: Profile, config: TranscriptConfig) -> None:
        self.view, self.profile, self.config = view, profile, config
        names = view.domain.names
        self.target = names.index(config.target) if config.target in names else None
        self.plan: RoundPlan = plan_rounds(columns=len(names), rows=profile.rows, cost=max(view.left_cost, 1e-12))
        self.dependencies: tuple[Dependency, ...] = ()
        self.active: tuple[int, ...] = ()
        self.measured: dict[str, Measurement] = {}

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
        self.dependencies = screen_dependencies(
            self.view,
            self.profile,
            target=self.target,
            cost=self.config.dependency_share * walk_cost,
            declared=self._declared(),
        )
        drawn = {item.column for item in self.dependencies}
        self.active = tuple(index for index in range(len(self.view.domain)) if index not in drawn)
        self._round_cost = self.view.left_cost / self.plan.rounds
        grouping = group_columns(self.profile, self.config.groups)
        self._selector = Selector(self.view, self.profile, grouping, self.config, self.plan, self.active, self.target)

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
        for item in self._selector.run(number, joints, self.measured, cost=cost):
            key = table_key(item.partition)
            self.measured[key] = self.measured[key].merged(item) if key in self.measured else item
        return True

    def measurements(self) -> list[Measurement]:
        """All answers so far, their columns numbered as in the active domain."""
        return [_renumbered(item, self.active) for item in self.measured.values()]

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


def _renumbered(item: Measurement, active: tuple[int, ...]) -> Measurement:
    part = item.partition
    moved = PairPartition(active.index(part.first), active.index(part.second), part.labels, part.size, part.name)
    return Measurement(moved, item.values, item.sigma)
