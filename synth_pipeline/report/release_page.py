"""The publishable report of a release: what is promised, where the budget went, what can be trusted, what was checked, how to use it.

Privacy: it shows public and released facts and the synthetic table, nothing computed from real rows without noise.
"""

import pandas as pd

from synth_pipeline.release.certificate import claim, claim_digest
from synth_pipeline.release.facts import ReleaseFacts
from synth_pipeline.release.guidance import MISUSES, limits, uses
from synth_pipeline.report.chart import Bar, ColumnChart, Marker, fewer_bins, fewer_categories
from synth_pipeline.report.page import moment_text, number_text, render
from synth_pipeline.report.release_origin import column_origins, page_command, verify_command
from synth_pipeline.report.release_parts import (
    MOST_MECHANISMS,
    audit_chart,
    beliefs,
    budget_chart,
    mechanism_lines,
    other_files,
    plain_words,
    trust_chart,
    trust_words,
)
from synth_pipeline.table.column import category_key
from synth_pipeline.table.profile import ColumnProfile, NumericProfile, Profile
from synth_pipeline.validate.fidelity import Released, released, shares_arguments
from synth_pipeline.validate.reading import observed_shares

_INTERVAL = 1.96


def release_report(facts: ReleaseFacts, frame: pd.DataFrame) -> str:
    """The report as one HTML file that needs nothing else.

    Args:
        facts: what the release states.
        frame: the synthetic table.
    """
    failed = [outcome for outcome in facts.outcomes if not outcome.passed]
    lines, parts = mechanism_lines(facts), facts.budget_parts()
    return render(
        "release.html.j2",
        facts=facts,
        budget=budget_chart(parts, facts),
        mechanisms=lines[:MOST_MECHANISMS],
        more_mechanisms=max(len(lines) - MOST_MECHANISMS, 0),
        plain=plain_words(facts),
        people=_people(facts, frame),
        beliefs=beliefs(facts.odds_factor),
        charts=[_chart(facts, index, frame) for index in range(len(facts.profile.table_columns))],
        trust=None if facts.trust is None else trust_chart(facts.trust),
        trust_words=[] if facts.trust is None else trust_words(facts.trust),
        audited=audit_chart(facts),
        failed=failed,
        outcomes=[*failed, *(outcome for outcome in facts.outcomes if outcome.passed)],
        limits=limits(facts),
        uses=uses(facts),
        misuses=MISUSES,
        origins=column_origins(facts),
        verify_command=verify_command(facts),
        page_command=page_command(facts),
        files=other_files(),
        certificate_digest=claim_digest(claim(facts)),
    )


def released_bars(profile: Profile, index: int) -> tuple[tuple[Bar, ...], Released]:
    """Released shares of a column with 95 % intervals of their noise; null, where the column has it, is the last bar.

    Args:
        profile: the released profile.
        index: position of the column in it.

    Returns:
        The bars, and the released distribution that they show.
    """
    column = profile.columns[index]
    known = released(profile, index, rows=max(profile.row_count, 1))
    told = zip(_labels(column), known.shares, known.noise, strict=True)
    return tuple(Bar(label, float(share), _INTERVAL * float(noise)) for label, share, noise in told), known


def _people(facts: ReleaseFacts, frame: pd.DataFrame) -> int | None:
    """Number of synthetic people, where they may have several rows."""
    unit = facts.spec.privacy.unit
    return len(pd.Series(frame[unit.column]).unique()) if unit.column is not None and unit.max_rows > 1 else None


def _chart(facts: ReleaseFacts, index: int, frame: pd.DataFrame) -> ColumnChart:
    """Released shares of a column with their noise, and the synthetic table's beside them."""
    column = facts.profile.columns[index]
    plain, known = released_bars(facts.profile, index)
    found = observed_shares(pd.Series(frame[column.name]), shares_arguments(column, known))
    bars = [
        Bar(bar.label, bar.value, bar.noise, (Marker("synthetic", float(synthetic)),))
        for bar, synthetic in zip(plain, found[:-1], strict=True)
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
