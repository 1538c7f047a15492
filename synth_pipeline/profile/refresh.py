"""The profile of a fresh snapshot on the codes of an earlier release: old counts are prior measurements, changed columns are asked anew.

A column that did not change keeps its codes, so every table of an earlier release still means the same. Its old counts, scaled to the fresh
number of rows, are put together with fresh ones by inverse variance. An old count is uncertain by its noise and by chance: it was counted
on other people of the same population, so the chance of both samples is part of its variance,

    Var = (σ r)² + n p (1 − p)(1 + r),        r = n / n₀,

with n₀ and n the rows of the two snapshots. Where the fresh counts are clearly farther off than that, the variance grows until they agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from synth_pipeline.errors import ModelError
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.profile.category import CategoryQuestion, profile_category
from synth_pipeline.profile.moment import PARTS_SHARE, has_calendar, profile_parts
from synth_pipeline.profile.null_block import SHARE as NULL_BLOCK_SHARE
from synth_pipeline.profile.null_block import find_null_blocks
from synth_pipeline.profile.numeric import NumericQuestion, profile_numeric
from synth_pipeline.profile.person import profile_people
from synth_pipeline.profile.recount import Counted, count_again
from synth_pipeline.profile.share import column_weight, profile_share
from synth_pipeline.profile.signal import noise_number, signal_warnings
from synth_pipeline.table.column import CategoricalColumn, DatetimeColumn, FloatColumn, IntegerColumn, ModelledColumn
from synth_pipeline.table.person import PERSON_ROWS, PersonFacts
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, Floats, Profile

_MOVED_FAR = 0.15
_RECOUNT_WEIGHT = 1.0
_SURE_SIGMAS = 2.5


def refresh_profile(  # noqa: PLR0913  what a walk knows of a fresh snapshot, each a fact of its own
    curator: Curator,
    prior: Profile,
    columns: Mapping[str, ModelledColumn],
    *,
    changed: frozenset[str],
    fresh: Mapping[str, Noisy],
    rows: Noisy,
    share: float | None = None,
) -> Profile:
    """The profile of a fresh snapshot, with the codes of an earlier one wherever the column did not change.

    Args:
        curator: holder of the fresh rows.
        prior: the released profile of the earlier snapshot.
        columns: declared columns, in table order; `PERSON_ROWS` last, where people may have several rows.
        changed: columns to be measured anew.
        fresh: noisy counts of fresh rows over the prior's codes, by column, as the drift report released them; some may be missing.
        rows: noisy number of fresh rows (people, where they may have several).
        share: share of the walk's cost μ² to spend at most; None decides it as for a new profile.

    Privacy:
        Every column that is counted again costs one histogram, a changed one whose law moved far what a new profile of it would cost;
        `share` of μ² in all is not passed. The earlier profile and the drift report are released values.

    Raises:
        ModelError: if the earlier profile is of other columns.
    """
    _check_same(prior, columns)
    refresher = _Refresher(curator, prior, columns, changed, fresh)
    return refresher.run(refresher.row_estimate([(rows.values, np.array([rows.sigma**2]))]), rows, share)


@dataclass(frozen=True, eq=False)
class _Refresher:
    """What one refresh of a profile passes from step to step."""

    curator: Curator
    prior: Profile
    columns: Mapping[str, ModelledColumn]
    changed: frozenset[str]
    fresh: Mapping[str, Noisy]

    def run(self, rows: float, counted: Noisy, share: float | None) -> Profile:
        before, total = self.curator.spent_cost, self.curator.budget.cost
        share = profile_share(self.columns, rows=rows, cost=total) if share is None else share
        has_new_nulls = any(column.nullable and name in self.changed for name, column in self.columns.items())
        null_cost = NULL_BLOCK_SHARE * share * total if has_new_nulls else 0.0
        people = self._people(rows)
        unit = (share * total - null_cost - (self.curator.spent_cost - before)) / sum(
            column_weight(column) for column in self.columns.values()
        )
        profiles: list[ColumnProfile] = []
        parts: list[ColumnProfile] = []
        totals = [(counted.values, np.array([counted.sigma**2]))]
        for name, column in self.columns.items():
            if name in self.changed and self._has_moved_far(name):
                found = self._profiled(name, column, unit * column_weight(column), rows)
                totals.append((found[0].counts, found[0].sigma ** 2))
            else:
                found, counts = self._recounted(name, column, unit, rows)
                totals.append((counts.values, counts.variance))
            profiles.append(found[0])
            parts += found[1:]
        blocks = self.prior.null_blocks
        if has_new_nulls:
            blocks = find_null_blocks(self.curator, profiles, rows=rows, cost=null_cost)
        final = Profile(
            self.row_estimate(totals), _row_sigma(totals), (*profiles, *parts), self.curator.spent_cost - before
        )
        return self._described(replace(final, null_blocks=blocks, people=people))

    def row_estimate(self, totals: Sequence[tuple[Floats, Floats]]) -> float:
        """Inverse-variance mean of every fresh total."""
        sums = np.array([float(values.sum()) for values, _ in totals])
        weights = 1 / np.array([float(variance.sum()) for _, variance in totals])
        return max(float((sums * weights).sum() / weights.sum()), 1.0)

    def _described(self, profile: Profile) -> Profile:
        """The profile with what follows from its counts and public facts."""
        budget = self.curator.budget
        noise, known = noise_number(self.columns, rows=profile.rows, cost=budget.cost), self.prior.noise
        known *= self.prior.rows / profile.rows
        together = noise * known / float(np.hypot(noise, known)) if known > 0 else noise
        cost = budget.cost * (noise / together) ** 2  # what would tell as much without the release before
        discovered = [name for name in self._anew() if _is_discovered(self.columns[name])]
        return replace(
            profile,
            discovery_delta=self._delta_of_each() * len(discovered),
            warnings=signal_warnings(self.columns, rows=profile.rows, cost=cost, epsilon=budget.epsilon),
            noise=together,
        )

    def _anew(self) -> list[str]:
        """The columns that get new codes."""
        return [name for name in self.columns if name in self.changed and self._has_moved_far(name)]

    def _has_moved_far(self, name: str) -> bool:
        """Whether a changed column's old codes may fit its new law badly; always where nothing fresh is known of it."""
        column = self.prior.column(name)
        if isinstance(column, CategoryProfile) and not column.has_rest:
            return False  # declared categories: new codes would be the old ones
        if name not in self.fresh:
            return True
        fresh = self.fresh[name]
        old, new = (np.maximum(counts, 0.0) for counts in (column.counts, fresh.values))
        gaps = np.abs(old / max(old.sum(), 1.0) - new / max(new.sum(), 1.0))
        noise = np.sqrt(2 / np.pi) * np.hypot(fresh.sigma, column.sigma) / max(new.sum(), 1.0)
        return float(gaps.sum() - noise.sum()) / 2 > _MOVED_FAR

    def _delta_of_each(self) -> float:
        return self.curator.budget.delta_of_each(sum(_is_discovered(column) for column in self.columns.values()))

    def _people(self, rows: float) -> PersonFacts | None:
        """How rows fall to people: as before, in fresh people, unless that is among what changed."""
        known = self.prior.people
        if known is None or PERSON_ROWS in self.changed:
            return profile_people(self.curator, self.columns, people=rows) if PERSON_ROWS in self.columns else None
        scale = rows / max(self.prior.rows, 1.0)
        numbers = ({name: scale * value for name, value in facts.items()} for facts in (known.varying, known.repeating))
        return PersonFacts(known.most_rows, scale * known.several, scale * known.sigma, *numbers)

    def _profiled(self, name: str, column: ModelledColumn, cost: float, rows: float) -> list[ColumnProfile]:
        """A changed column with new codes, and its calendar parts."""
        if not isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
            return [profile_category(self.curator, CategoryQuestion(name, column, cost, self._delta_of_each(), rows))]
        if not (isinstance(column, DatetimeColumn) and has_calendar(column)):
            return [profile_numeric(self.curator, NumericQuestion(name, column, cost, rows))]
        bins = profile_numeric(self.curator, NumericQuestion(name, column, (1 - PARTS_SHARE) * cost, rows))
        return [bins, *profile_parts(self.curator, bins, cost=PARTS_SHARE * cost, taken=list(self.columns))]

    def _recounted(
        self, name: str, column: ModelledColumn, unit: float, rows: float
    ) -> tuple[list[ColumnProfile], Counted]:
        """A column on its old codes, with its calendar parts, and what is known of it from fresh rows alone."""
        own = self.prior.column(name)
        members = [own, *(self.prior.columns[place] for place in self.prior.parts(name).values())]
        is_changed = name in self.changed
        cost = unit * (column_weight(column) if is_changed else _RECOUNT_WEIGHT) / len(members)
        found: list[ColumnProfile] = []
        counts: list[Counted] = []
        for member in members:
            fresh = self._counted(member, own, cost, rows)
            counts.append(fresh)
            best = fresh if is_changed else with_prior(fresh, member, scale=rows / max(self.prior.rows, 1.0))
            found.append(replace(member, counts=best.values, sigma=np.sqrt(best.variance)))
        return found, counts[0]

    def _counted(self, column: ColumnProfile, parent: ColumnProfile, cost: float, rows: float) -> Counted:
        """Fresh counts over a column's codes: counted now, and by the drift report where it was asked there."""
        now = count_again(self.curator, column, parent, cost=cost)
        if column.name not in self.fresh:
            return now
        earlier = self.fresh[column.name]
        return now.combined(Counted(earlier.values, np.full(len(earlier.values), earlier.sigma**2)))


def with_prior(fresh: Counted, prior: ColumnProfile, *, scale: float) -> Counted:
    """Fresh counts together with those of an earlier release, by inverse variance.

    Args:
        fresh: noisy counts of the fresh rows.
        prior: the column as it was released before.
        scale: fresh rows for each row of then.
    """
    scaled = prior.counts * scale
    rows = max(float(fresh.values.sum()), 1.0)
    known = np.clip(scaled / rows, 0.0, 1.0)
    variance = (prior.sigma * scale) ** 2 + (1 + scale) * rows * known * (1 - known)
    gap, together = float(((fresh.values - scaled) ** 2).sum()), variance + fresh.variance
    expected = float(together.sum())
    if gap > expected + _SURE_SIGMAS * float(np.sqrt(2 * (together**2).sum())):
        variance = variance * (1 + (gap - expected) / float(variance.sum()))  # the earlier counts tell less
    return fresh.combined(Counted(scaled, variance))


def _is_discovered(column: ModelledColumn) -> bool:
    return isinstance(column, CategoricalColumn) and column.discover


def _row_sigma(totals: Sequence[tuple[Floats, Floats]]) -> float:
    return float(1 / np.sqrt(sum(1 / float(variance.sum()) for _, variance in totals)))


def _check_same(prior: Profile, columns: Mapping[str, ModelledColumn]) -> None:
    names = tuple(column.name for column in prior.decoded_columns)
    if names != tuple(columns):
        raise ModelError(
            f"refresh: the release before has the columns {', '.join(names)}, this snapshot {', '.join(columns)}; "
            "a refresh needs the same columns in the same order: use refit"
        )
