"""Scores by group and of the rarest class, as charts: trained on real, on synthetic, and on rebalanced synthetic rows. Internal."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from synth_pipeline.benchmark.group_score import (
    FairnessScores,
    GapMetric,
    Grouping,
    GroupMetric,
    RareClassScores,
    RareMetric,
    Source,
)
from synth_pipeline.benchmark.interval import Interval
from synth_pipeline.report.chart import Score, ScoreChart, Series

_Line: TypeAlias = tuple[str, Source, Interval | None]
_SERIES: Mapping[Source, Series] = {"real": "reference", "synthetic": "synthetic", "rebalanced": "holdout"}
_GROUP_METRICS: Mapping[GroupMetric, tuple[str, str]] = {
    "selection_rate_at_share": ("Selection rate", "Share of the group that is selected."),
    "tpr_at_share": ("True-positive rate", "Share selected of those who truly are of the favourable class."),
    "fpr_at_share": ("False-positive rate", "Share selected of those who are not."),
    "auc": ("AUC", "How well the group's rows are ranked; 0.5 is chance."),
}
_GAP_METRICS: Mapping[GapMetric, str] = {
    "demographic_parity_difference_at_share": "selection rate",
    "tpr_difference_at_share": "true-positive rate",
    "fpr_difference_at_share": "false-positive rate",
    "auc_difference": "AUC",
}
_RARE_METRICS: Mapping[RareMetric, tuple[str, str]] = {
    "ap": ("Average precision", "Area under precision over recall; guessing gives the share of the class."),
    "recall_at_argmax": (
        "Recall, likeliest class",
        "Share of the class that is found where the likeliest class is chosen.",
    ),
    "recall_at_share": (
        "Recall, as many as there are",
        "The same where as many rows are chosen as the class has in train.",
    ),
    "precision_at_share": ("Precision, as many as there are", "Share of those chosen that are of the class."),
}


@dataclass(frozen=True)
class GroupPart:
    """What is drawn for the groups of one column, or of all sensitive columns together.

    Attributes:
        title: the columns.
        gaps: distances between the groups; None where fewer than two are large enough.
        charts: each score, group by group.
        left_out: groups without some scores, and why.
    """

    title: str
    gaps: ScoreChart | None
    charts: tuple[ScoreChart, ...]
    left_out: tuple[tuple[str, str], ...]


def group_parts(fairness: FairnessScores | None) -> tuple[GroupPart, ...]:
    """One part a grouping; none where nothing was measured."""
    if fairness is None:
        return ()
    return tuple(_part(grouping) for grouping in fairness.groupings)


def rare_charts(rare: RareClassScores | None) -> tuple[ScoreChart, ...]:
    """Average precision, recall and precision of the rarest class by what was trained on."""
    if rare is None:
        return ()
    charts = (
        _chart(title, reading, ((source, source, scores.get(metric)) for source, scores in rare.scores.items()))
        for metric, (title, reading) in _RARE_METRICS.items()
    )
    return tuple(chart for chart in charts if chart is not None)


def _part(grouping: Grouping) -> GroupPart:
    gaps: list[_Line] = [
        (f"{name}, {source}", source, scores.get(metric))
        for metric, name in _GAP_METRICS.items()
        for source, scores in grouping.gaps.items()
    ]
    reading = "Largest minus smallest over the groups; 0 is best."
    found = (_chart(title, words, _lines(grouping, metric)) for metric, (title, words) in _GROUP_METRICS.items())
    return GroupPart(
        " × ".join(grouping.columns),
        _chart("Gaps between the groups", reading, gaps),
        tuple(chart for chart in found if chart is not None),
        tuple((group.name, group.reason or "") for group in grouping.too_small),
    )


def _lines(grouping: Grouping, metric: GroupMetric) -> Iterator[_Line]:
    for group in grouping.groups:
        for source, scores in group.scores.items():
            yield f"{group.name} ({group.rows:,}), {source}", source, scores.get(metric)


def _chart(title: str, reading: str, lines: Iterable[_Line]) -> ScoreChart | None:
    scores = tuple(
        Score(label, _SERIES[source], found.value, found.low, found.high, found.text(3))
        for label, source, found in lines
        if found is not None
    )
    if not scores:
        return None
    highest = max(score.high for score in scores)
    stop = 1.0 if 0.5 < highest <= 1.0 else 1.1 * max(highest, 0.05)
    return ScoreChart(title, reading, min(0.0, *(score.low for score in scores)), stop, scores)
