"""The publishable report of a release: what is promised, where the budget went, what the columns look like, what was checked.

Privacy: it shows public and released facts and the synthetic table, nothing computed from real rows without noise.
"""

import pandas as pd

from synth_pipeline.release.certificate import claim, claim_digest
from synth_pipeline.release.facts import ReleaseFacts
from synth_pipeline.report.chart import Bar, ColumnChart, Marker, fewer_bins, fewer_categories
from synth_pipeline.report.page import moment_text, number_text, render
from synth_pipeline.table.column import category_key
from synth_pipeline.table.profile import ColumnProfile, NumericProfile
from synth_pipeline.validate.fidelity import released, shares_arguments
from synth_pipeline.validate.reading import observed_shares

_PRIORS = (0.01, 0.1, 0.5, 0.9)
_INTERVAL = 1.96


def release_report(facts: ReleaseFacts, frame: pd.DataFrame) -> str:
    """The report as one HTML file that needs nothing else.

    Args:
        facts: what the release states.
        frame: the synthetic table.
    """
    failed = [outcome for outcome in facts.outcomes if not outcome.passed]
    return render(
        "release.html.j2",
        facts=facts,
        parts=facts.budget_parts(),
        people=_people(facts, frame),
        beliefs=[(prior, _belief(prior, facts.odds_factor)) for prior in _PRIORS],
        charts=[_chart(facts, index, frame) for index in range(len(facts.profile.table_columns))],
        failed=failed,
        outcomes=[*failed, *(outcome for outcome in facts.outcomes if outcome.passed)],
        certificate_digest=claim_digest(claim(facts)),
    )


def _people(facts: ReleaseFacts, frame: pd.DataFrame) -> int | None:
    """Number of synthetic people, where they may have several rows."""
    unit = facts.spec.privacy.unit
    return len(pd.Series(frame[unit.column]).unique()) if unit.column is not None and unit.max_rows > 1 else None


def _belief(prior: float, factor: float) -> float:
    """The most that a belief can become when odds grow by a factor."""
    odds = prior / (1 - prior) * factor
    return odds / (1 + odds)


def _chart(facts: ReleaseFacts, index: int, frame: pd.DataFrame) -> ColumnChart:
    """Released shares of a column with their noise, and the synthetic table's beside them."""
    column = facts.profile.columns[index]
    known = released(facts.profile, index, rows=len(frame))
    found = observed_shares(pd.Series(frame[column.name]), shares_arguments(column, known))
    bars = [
        Bar(label, float(share), _INTERVAL * float(noise), (Marker("synthetic", float(synthetic)),))
        for label, share, noise, synthetic in zip(_labels(column), known.shares, known.noise, found[:-1], strict=True)
    ]
    null = [bars.pop()] if known.has_null else []
    is_binned = isinstance(column, NumericProfile)
    kept = fewer_bins(bars) if is_binned else fewer_categories(bars)
    distance = float(abs(known.shares - found[:-1]).sum() / 2)
    declared = facts.spec.columns[column.name]
    caption = " ".join(part for part in (declared.description, f"({declared.unit})" if declared.unit else None) if part)
    return ColumnChart(column.name, (*kept, *null), is_binned, caption, distance)


def _labels(column: ColumnProfile) -> list[str]:
    """A label for each code that `released` knows."""
    if isinstance(column, NumericProfile):
        labels = _bin_labels(column)
    else:
        labels = [category_key(category) for category in column.categories] or ["other"]
    return [*labels, *(["null"] if column.nullable else [])]


def _bin_labels(column: NumericProfile) -> list[str]:
    lows = column.grid.values(column.edges[:-1]).tolist()
    highs = column.grid.values(column.edges[1:] - 1).tolist()
    text = moment_text if column.grid.is_datetime else number_text
    return [text(low) if low == high else f"{text(low)} – {text(high)}" for low, high in zip(lows, highs, strict=True)]
