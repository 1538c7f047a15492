"""From the noisy answers about a fresh snapshot to a drift report: tests, effects and warnings; post-processing of released values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from synth_pipeline.drift.baseline import Baseline, ReleasedPair
from synth_pipeline.drift.coarse import grouped_codes
from synth_pipeline.drift.effect import code_positions, denoised, js_distance, psi_of, total_variation, wasserstein_of
from synth_pipeline.drift.null_law import Comparison, TwoTables, compare, holm
from synth_pipeline.drift.report import Answers, ColumnDrift, DriftReport, PairDrift, SchemaFinding
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.profile.signal import VERY_WEAK
from synth_pipeline.spec.sections import Drift
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, Floats, Profile

_POOR_SHIFT = 0.1
_COARSE_LEVEL = 0.75
_SHOWN_SIGMAS = 3.0
SURE_SIGMAS = 3.0
"""Standard deviations beyond which an answer is taken to be sure."""
_POWER_Z = 0.84


@dataclass(frozen=True, eq=False)
class Item:
    """What decides about one column or pair.

    Attributes:
        p_value: of all its comparisons together.
        shown: the comparison that effects are taken from: of few enough cells to stand above the noise, where that can be had.
        positions: where its ordered cells lie, or None.
        contrasts: how many |z| the largest is taken of.
    """

    p_value: float
    shown: Comparison
    positions: Floats | None
    contrasts: int


@dataclass(frozen=True, eq=False)
class Tests:
    """All tests of a report, columns first, with their adjusted p-values.

    Attributes:
        items: columns of the profile, then pairs.
        adjusted: Holm's p-values, those expected to move in a family of their own.
        is_ignored: which are expected to move.
        alpha: of the report.
    """

    items: tuple[Item, ...]
    adjusted: Floats
    is_ignored: npt.NDArray[np.bool_]
    alpha: float

    def is_drifted(self, index: int) -> bool:
        """Whether a test raises the alarm."""
        return bool(self.adjusted[index] <= self.alpha and not self.is_ignored[index])

    @property
    def overall(self) -> float:
        """Smallest adjusted p-value of those that may raise an alarm."""
        return float(self.adjusted[~self.is_ignored].min(initial=1.0))

    @property
    def figures(self) -> int:
        """Figures among which the largest decides: tests that may raise an alarm, times their contrasts."""
        own = (item.contrasts for item, ignored in zip(self.items, self.is_ignored, strict=True) if not ignored)
        return max(sum(own), 1)


def judge(baseline: Baseline, answers: Answers, drift: Drift) -> DriftReport:
    """Compare what was measured with the baseline; the report's events are for the caller to fill in.

    Privacy:
        Post-processing of released values.
    """
    profile, tests = baseline.profile, run_tests(baseline, answers, drift)
    columns = tuple(_column_drift(profile.columns[index], index, tests) for index in range(len(profile.columns)))
    drifted = {item.name for item in columns if item.is_drifted}
    pairs = tuple(
        _pair_drift(pair, len(columns) + number, tests, drifted) for number, (pair, _) in enumerate(answers.pairs)
    )
    return DriftReport(
        alpha=drift.alpha,
        overall_p=tests.overall,
        columns=columns,
        pairs=pairs,
        schema=_new_categories(profile, answers),
        rows=row_estimate(answers),
        prior_rows=Noisy(np.array([profile.rows]), profile.rows_sigma),
        fresh=answers.fresh,
        events=(),
        warnings=_warnings(columns, baseline, answers, drift),
    )


def run_tests(baseline: Baseline, answers: Answers, drift: Drift) -> Tests:
    """The tests of a report, without effects and words.

    Privacy:
        Post-processing of released values.
    """
    profile, rows = baseline.profile, max(float(row_estimate(answers).values[0]), 1.0)
    items = [_column_item(profile, index, answers, rows) for index in range(len(profile.columns))]
    for pair, fresh in answers.pairs:
        compared = compare(_pair_tables(pair, fresh, rows))
        items.append(Item(compared.p_value, compared, None, compared.contrasts))
    ignored = [baseline.is_expected_to_move(index, drift.ignore) for index in range(len(profile.columns))]
    return _test(items, np.array(ignored + [False] * len(answers.pairs), dtype=bool), drift.alpha)


def row_estimate(answers: Answers) -> Noisy:
    """People of the fresh snapshot: inverse-variance mean of the row count and of the sums of every column's counts."""
    totals = [float(answers.rows.values[0])] + [float(noisy.values.sum()) for noisy in answers.fresh.values()]
    variances = [answers.rows.sigma**2] + [noisy.sigma**2 * len(noisy.values) for noisy in answers.fresh.values()]
    weights = 1 / np.array(variances)
    return Noisy(np.array([np.average(totals, weights=weights)]), float(1 / np.sqrt(weights.sum())))


def _column_item(profile: Profile, index: int, answers: Answers, rows: float) -> Item:
    """A column's test: of its codes, or of groups of codes (at 3/4 of the level) and of the codes (at 1/4)."""
    column, shares = profile.columns[index], profile.shares(index)
    noisy, located = answers.fresh[column.name], code_positions(column)
    ordered = column.codes - int(column.nullable) if column.is_ordered else 0
    sigma = np.full(len(noisy.values), noisy.sigma)
    codes = TwoTables(column.counts, column.sigma, max(profile.rows, 1.0), noisy.values, sigma, rows, ordered)
    fine = compare(codes)
    if column.name in answers.coarse:
        groups, asked = answers.coarse[column.name]
        coarse = compare(_with_answer(codes.merged(groups), asked))
        p_value = min(coarse.p_value / _COARSE_LEVEL, fine.p_value / (1 - _COARSE_LEVEL), 1.0)
        positions = None if located is None else _group_positions(located[0], shares, groups)
        return Item(p_value, coarse, positions, coarse.contrasts)
    if column.is_ordered:
        return Item(fine.p_value, fine, None if located is None else located[0], fine.contrasts)
    least = _SHOWN_SIGMAS * float(np.sqrt(codes.noise.mean())) / codes.new_rows
    groups = grouped_codes(column, shares, least=least)
    shown = fine if len(np.unique(groups)) == column.codes else compare(codes.merged(groups))
    return Item(fine.p_value, shown, None, fine.contrasts)


def _with_answer(tables: TwoTables, asked: Noisy) -> TwoTables:
    """Tables whose fresh counts are added up from codes, improved by a second answer about the same cells (inverse variance)."""
    weights = asked.sigma**-2 / (asked.sigma**-2 + tables.new_sigma**-2)
    new = weights * asked.values + (1 - weights) * tables.new
    return replace(tables, new=new, new_sigma=np.sqrt(weights) * asked.sigma)


def _group_positions(positions: Floats, shares: Floats, groups: npt.NDArray[np.int64]) -> Floats:
    """Mean position of the codes of each group, by their released shares; nulls, which have none, are left out."""
    inside, weights = groups[: len(positions)], shares[: len(positions)]
    return np.bincount(inside, weights=weights * positions) / np.bincount(inside, weights=weights)


def _pair_tables(pair: ReleasedPair, fresh: Noisy, rows: float) -> TwoTables:
    sigma = np.full(len(fresh.values), fresh.sigma)
    return TwoTables(pair.values, pair.sigma, max(pair.rows, 1.0), fresh.values, sigma, rows)


def _test(items: Sequence[Item], ignored: npt.NDArray[np.bool_], alpha: float) -> Tests:
    p_values = np.array([item.p_value for item in items])
    adjusted = np.ones(len(p_values))
    for family in (ignored, ~ignored):
        adjusted[family] = holm(p_values[family])
    return Tests(tuple(items), adjusted, ignored, alpha)


def _column_drift(column: ColumnProfile, index: int, tests: Tests) -> ColumnDrift:
    item, located = tests.items[index], code_positions(column)
    change = denoised(item.shown)
    return ColumnDrift(
        name=column.name,
        p_value=item.p_value,
        adjusted_p=float(tests.adjusted[index]),
        is_drifted=tests.is_drifted(index),
        is_ignored=bool(tests.is_ignored[index]),
        psi=change.effect(psi_of(_smallest_share(item.shown)), is_squared=True),
        js_distance=change.effect(js_distance),
        tvd=change.effect(total_variation),
        wasserstein=None if item.positions is None else change.effect(wasserstein_of(item.positions)),
        unit="" if located is None else located[1],
        noise_share=item.shown.noise_share,
        smallest_shift=_smallest_shift(item.shown, tests),
    )


def _pair_drift(pair: ReleasedPair, index: int, tests: Tests, drifted: set[str]) -> PairDrift:
    item = tests.items[index]
    return PairDrift(
        first=pair.first,
        second=pair.second,
        p_value=item.p_value,
        adjusted_p=float(tests.adjusted[index]),
        is_drifted=tests.is_drifted(index),
        explained_by=tuple(name for name in (pair.first, pair.second) if name in drifted),
        tvd=denoised(item.shown).effect(total_variation),
        cells=pair.partition.size,
    )


def _smallest_share(comparison: Comparison) -> float:
    """Share below which a code is not told from an empty one; PSI would otherwise be the logarithm of noise."""
    tables = comparison.tables
    return float((0.5 + 0.25 * np.sqrt(tables.noise.mean())) / max(tables.new_rows, 1.0))


def _smallest_shift(comparison: Comparison, tests: Tests) -> float:
    """Share of the people whose move from one middling code to another is found with a chance of about 80 %, by the largest |z|."""
    from scipy import stats

    threshold = float(stats.norm.isf(tests.alpha / (2 * tests.figures))) + _POWER_Z
    return min(threshold * float(np.sqrt(np.median(comparison.found.variance))) / comparison.tables.new_rows, 1.0)


def _new_categories(profile: Profile, answers: Answers) -> tuple[SchemaFinding, ...]:
    """Findings about unknown categories that were not there before, as far as the released profile can tell.

    A category may be unknown because it was missed: it then was part of the released rest. It counts as new where that rest was too small
    to hold it (by three standard deviations of both answers), or where the rest grew by as much.
    """
    rows = max(float(row_estimate(answers).values[0]), 1.0)
    ratio = rows / max(profile.rows, 1.0)
    found: list[SchemaFinding] = []
    for column in profile.columns:
        unknown = answers.unknown.get(column.name)
        if unknown is None or not unknown.categories or not isinstance(column, CategoryProfile):
            continue
        old, sigma = ratio * float(column.counts[column.known]), ratio * float(column.sigma[column.known])
        new, noise = float(answers.fresh[column.name].values[column.known]), answers.fresh[column.name].sigma
        spread = float(np.sqrt(sigma**2 + noise**2 + max(new, old, 0.0) * (1 + ratio)))
        had_room = old + SURE_SIGMAS * np.hypot(sigma, np.sqrt(max(old, 0.0))) >= unknown.people
        if not had_room or new - old > SURE_SIGMAS * spread:
            words = f"{len(unknown.categories)} that the released profile does not know, found under DP"
            found.append(SchemaFinding("new category", column.name, words, unknown.categories))
    return tuple(found)


def _warnings(columns: Sequence[ColumnDrift], baseline: Baseline, answers: Answers, drift: Drift) -> tuple[str, ...]:
    found: list[str] = []
    poor = [column for column in columns if column.smallest_shift > _POOR_SHIFT and not column.is_ignored]
    if poor:
        most = max(column.smallest_shift for column in poor)
        found.append(
            f"Weak test: in {len(poor)} of {len(columns)} columns only a move of more than {_POOR_SHIFT:.0%} of the people (up to "
            f"{most:.0%}) is likely to be found; no alarm says little there. A larger drift.epsilon, or more people, would help."
        )
    if baseline.profile.noise > VERY_WEAK:
        found.append(
            "The released profile is mostly noise, and so are the bins that it was cut in: a column that is called drifted by a narrow "
            "margin may not be."
        )
    if drift.pairs > 0 and not baseline.pairs:
        found.append(
            "Only single columns were compared: no table of pairs was released with the generator, so a change of how columns belong"
            " together is not seen."
        )
    unasked = [
        column.name for column in baseline.profile.columns if isinstance(column, CategoryProfile) and column.has_rest
    ]
    if any(name not in answers.unknown for name in unasked):
        found.append(
            "New categories were not looked for: no part of δ is set aside for that. A new category shows as growth of the rest."
        )
    return tuple(found)
