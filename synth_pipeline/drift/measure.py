"""Measuring a fresh snapshot under DP, to be compared with a baseline.

How the budget is shared out. A histogram costs one answer whatever its cells, so every column gets an answer of its own: margins are where
nearly every change shows. Where a column is ordered and has many codes, four tenths of it go to the codes (a refresh takes over these
counts) and six tenths to the same people over few groups of codes: a shift moves mass across many codes, and a sum over k of them has √k
times the noise of one. A pair gets half as much: it is asked over few cells, each of which stands above the noise, and it has to show only
what its margins do not. The row count gets little: each column's counts add up to it as well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from synth_pipeline.drift.baseline import Baseline, ReleasedPair, choose_pairs
from synth_pipeline.drift.coarse import coarsened, grouped_codes
from synth_pipeline.drift.judge import SURE_SIGMAS, judge
from synth_pipeline.drift.report import Answers, DriftReport, Unknown
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.answer import JointPartition, Noisy
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import DiscoveryEvent
from synth_pipeline.privacy.view import EncodedView
from synth_pipeline.spec.sections import Drift
from synth_pipeline.table.column import category_key
from synth_pipeline.table.profile import CategoryProfile, Profile

STAGE = "drift_report"
"""Stage under which a report is charged."""

_ROWS_WEIGHT, _PAIR_WEIGHT, _DISCOVERY_WEIGHT = 0.1, 0.5, 1.0
_COARSE_SHARE, _FEW_CODES = 0.6, 8
_CELL_SIGMAS, _CELL_PEOPLE = 3.0, 20.0
_ROUNDING = 1 - 1e-9

Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Questions:
    """What a fresh snapshot will be asked; it follows from the baseline, the specification and the budget alone.

    Attributes:
        profile: the released profile, whose codes are counted.
        pairs: the baseline's tables, over the cells that are asked about.
        groups: of ordered columns with many codes, the group of each code.
        discovered: columns of which new categories are looked for.
        unit: μ² of one column's counts.
    """

    profile: Profile
    pairs: tuple[ReleasedPair, ...]
    groups: Mapping[str, npt.NDArray[np.int64]]
    discovered: tuple[CategoryProfile, ...]
    unit: float


def measure_drift(
    curator: Curator, baseline: Baseline, drift: Drift, *, progress: Progress | None = None
) -> DriftReport:
    """Measure a fresh snapshot and compare it with what is released of an earlier one.

    Args:
        curator: holder of the fresh snapshot's training rows; all that its budget has left is spent.
        baseline: the released profile and tables of pairs.
        drift: what the specification asks for.
        progress: called with a message and the share of the work done.

    Privacy:
        One discrete Gaussian for the row count, for each column of the profile and for each chosen pair, and one discovery for each
        column whose categories were discovered. What is asked, in which order and at which cost, hangs on the baseline, on the
        specification and on the budget alone: on no row and on no answer. Tests and effects are post-processing.

    Raises:
        PrivacyError: if nothing is left to spend.
    """
    before = len(curator.events)
    answers = ask(curator, plan_questions(curator, baseline, drift), progress=progress)
    return replace(judge(baseline, answers, drift), events=curator.events[before:])


def plan_questions(curator: Curator, baseline: Baseline, drift: Drift) -> Questions:
    """What will be asked, so that all that is left of the budget is spent.

    Privacy:
        Looks at the curator's budget, not at its rows.
    """
    profile = baseline.profile
    chosen = choose_pairs(baseline, drift.pairs, drift.ignore)
    discovered = tuple(
        column
        for column in profile.columns
        if isinstance(column, CategoryProfile) and column.has_rest and curator.budget.discovery_delta > 0
    )
    answers = _ROWS_WEIGHT + len(profile.columns) + _PAIR_WEIGHT * len(chosen) + _DISCOVERY_WEIGHT * len(discovered)
    unit = curator.left_cost * _ROUNDING / answers
    if not unit > 0:
        raise PrivacyError("drift report: nothing is left of its budget; reserve drift.epsilon for it")
    noise = curator.sigma_for(_PAIR_WEIGHT * unit)
    pairs = tuple(coarsened(pair, profile, least=_least_share(pair, profile, noise)) for pair in chosen)
    least = _CELL_SIGMAS * curator.sigma_for(_COARSE_SHARE * unit) / max(profile.rows, 1.0)
    groups = {
        column.name: grouped_codes(column, profile.shares(index), least=least)
        for index, column in enumerate(profile.columns)
        if column.is_ordered and column.codes - int(column.nullable) > _FEW_CODES
    }
    return Questions(profile, pairs, groups, discovered, unit)


def ask(curator: Curator, questions: Questions, *, progress: Progress | None = None) -> Answers:
    """Ask the curator everything that a report needs.

    Raises:
        PrivacyError: if the budget does not cover it.
    """
    profile, unit = questions.profile, questions.unit
    view = curator.encoded(Encoder(profile))
    rows = curator.count_rows(cost=_ROWS_WEIGHT * unit, stage=STAGE, purpose="row count")
    fresh: dict[str, Noisy] = {}
    coarse: dict[str, tuple[npt.NDArray[np.int64], Noisy]] = {}
    for index, column in enumerate(profile.columns):
        if progress is not None:
            progress(f"drift: {column.name}", index / len(profile.columns))
        groups = questions.groups.get(column.name)
        cost = unit if groups is None else (1 - _COARSE_SHARE) * unit
        fresh[column.name] = _counts(view, index, np.arange(column.codes), cost)
        if groups is not None:
            coarse[column.name] = (groups, _counts(view, index, groups, _COARSE_SHARE * unit))
    unknown = {column.name: _unknown(curator, column, questions) for column in questions.discovered}
    pairs = tuple((pair, _pair_counts(view, pair, _PAIR_WEIGHT * unit)) for pair in questions.pairs)
    return Answers(rows, fresh, pairs, coarse, unknown)


def _counts(view: EncodedView, index: int, groups: npt.NDArray[np.int64], cost: float) -> Noisy:
    cells = JointPartition((index,), (groups,), f"{int(groups.max()) + 1} groups")
    return view.joint_counts(cells, cost=cost, stage=STAGE, purpose=f"{view.domain.names[index]}: {cells.size} cells")


def _pair_counts(view: EncodedView, pair: ReleasedPair, cost: float) -> Noisy:
    purpose = f"{pair.first} × {pair.second}: {pair.partition.name}"
    return view.pair_counts(pair.partition, cost=cost, stage=STAGE, purpose=purpose)


def _unknown(curator: Curator, column: CategoryProfile, questions: Questions) -> Unknown:
    """Categories that are found in the fresh snapshot and that the profile does not know."""
    keys = curator.discover(
        column.name,
        cost=_DISCOVERY_WEIGHT * questions.unit,
        delta=curator.budget.delta_of_each(len(questions.discovered)),
        stage=STAGE,
        purpose=f"{column.name}: new categories",
    )
    known = {category_key(category) for category in column.categories}
    event = curator.events[-1]
    least = event.threshold - SURE_SIGMAS * event.sigma if isinstance(event, DiscoveryEvent) else 0.0
    return Unknown(tuple(key for key in keys if key not in known), least / curator.unit.weight)


def _least_share(pair: ReleasedPair, profile: Profile, noise: float) -> float:
    """Share of the people that a cell of a pair should hold: three times the noise of both tables, and 20 people.

    The fresh snapshot is taken to be as large as the released one; its own count is not asked for this, so that no question hangs on an
    answer.
    """
    both = float(np.hypot(noise, pair.sigma.mean()))
    return max(_CELL_SIGMAS * both, _CELL_PEOPLE) / max(profile.rows, 1.0)
