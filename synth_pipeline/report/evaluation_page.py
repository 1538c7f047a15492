"""The internal report of an evaluation: every score with its interval, and real and synthetic tables side by side.

Privacy: it shows numbers computed on real rows without noise. It carries a banner that says so, and must stay in the private store.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from synth_pipeline.benchmark.interval import Interval
from synth_pipeline.benchmark.scorecard import LearnerScores, MarginalScores, Scorecard, Utility
from synth_pipeline.benchmark.summary import summary_lines
from synth_pipeline.report.chart import Score, ScoreChart, Series
from synth_pipeline.report.comparison import Tables, association_maps, compare_column
from synth_pipeline.report.group_chart import group_parts, rare_charts
from synth_pipeline.report.page import render
from synth_pipeline.report.pair_table import worst_pairs
from synth_pipeline.report.score_words import score_words
from synth_pipeline.spec import Spec

_LEARNERS = {"gradient_boosting": "gradient boosting", "linear": "linear model"}
_METRICS = {
    "auc": "ROC AUC (0.5 is chance, 1 is best)",
    "ap_rarest": "average precision of the rarest class",
    "macro_f1": "macro F1 (1 is best)",
    "accuracy": "accuracy (1 is best)",
    "r2": "R² (1 is best)",
    "rmse": "root mean squared error (0 is best)",
}


def evaluation_report(
    scorecard: Scorecard | Mapping[str, Any],
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    spec: Spec,
) -> str:
    """The report as one HTML file that needs nothing else; internal.

    Args:
        scorecard: the scores, or what `Scorecard.to_dict` gave.
        train: the real rows that the generator saw.
        holdout: real rows that it did not see.
        synthetic: the rows that were scored.
        spec: the specification.

    Raises:
        TableError: if the mapping is no scorecard, or a table does not hold what the specification declares.
    """
    card = scorecard if isinstance(scorecard, Scorecard) else Scorecard.from_dict(scorecard)
    return render("evaluation.html.j2", **score_content(card, Tables(train, holdout, synthetic), spec))


def score_content(card: Scorecard, tables: Tables, spec: Spec) -> dict[str, Any]:
    """What the sections about scores are drawn from, on this page and on the internal report of a walk.

    Args:
        card: the scores.
        tables: the tables that were scored.
        spec: the specification.

    Raises:
        TableError: if a table does not hold what the specification declares.
    """
    charts = [compare_column(tables, name, column) for name, column in spec.modelled.items()]
    maps = association_maps(tables, spec)
    lines = summary_lines(card)
    return {
        "card": card,
        "lines": lines,
        "score_words": score_words(" ".join(" ".join(line) for line in lines)),
        "charts": sorted(charts, key=lambda chart: -chart.distance),
        "fidelity_charts": list(_fidelity_charts(card)),
        "utility_charts": list(_utility_charts(card.tstr)) if card.tstr else [],
        "maps": maps,
        "pairs": worst_pairs(card.fidelity, tables, spec, maps),
        "worst": _worst(card),
        "groups": group_parts(card.fairness),
        "rare_charts": rare_charts(card.rare_class),
    }


def _score(label: str, series: Series, interval: Interval, *, digits: int = 4) -> Score:
    return Score(label, series, interval.value, interval.low, interval.high, interval.text(digits))


def _fidelity_charts(card: Scorecard) -> Iterator[ScoreChart]:
    fidelity = card.fidelity
    for ways, marginals in ((1, fidelity.tvd_1way), (2, fidelity.tvd_2way), (3, fidelity.tvd_3way)):
        if marginals is not None:
            yield _marginal_chart(ways, marginals)
    if fidelity.association is not None:
        scores = (
            _score("synthetic", "synthetic", fidelity.association.synthetic),
            _score("holdout (floor)", "holdout", fidelity.association.floor),
        )
        yield ScoreChart(
            "Associations", "Mean absolute difference from train; lower is better.", 0.0, _stop(scores), scores
        )
    if card.c2st.synthetic is not None:
        found = [_score("synthetic", "synthetic", card.c2st.synthetic, digits=3)]
        if card.c2st.floor is not None:
            found.append(_score("train (floor)", "holdout", card.c2st.floor, digits=3))
        reading = "AUC of a classifier that tells the rows from holdout rows; 0.5 is best, 1 is always told apart."
        yield ScoreChart("Classifier two-sample test", reading, 0.4, 1.0, tuple(found))


def _marginal_chart(ways: int, marginals: MarginalScores) -> ScoreChart:
    scores = (
        _score("synthetic", "synthetic", marginals.synthetic),
        _score("synthetic, as many rows as holdout", "synthetic", marginals.matched),
        _score("holdout (floor)", "holdout", marginals.floor),
    )
    reading = f"Mean total variation distance from train over {marginals.marginals:,} marginals; lower is better."
    return ScoreChart(f"{ways}-way marginals", reading, 0.0, _stop(scores), scores)


def _stop(scores: tuple[Score, ...]) -> float:
    return 1.1 * max(*(score.high for score in scores), 1e-6)


def _utility_charts(utility: Utility) -> Iterator[ScoreChart]:
    metrics = list(dict.fromkeys(metric for learner in utility.learners.values() for metric in learner.trtr))
    for metric in metrics:
        scores = tuple(_metric_scores(utility, metric))
        low, high = min(score.low for score in scores), max(score.high for score in scores)
        margin = 0.08 * max(high - low, 1e-6)
        reading = "Trained on synthetic rows, and on real ones; tested on the holdout."
        yield ScoreChart(_METRICS.get(metric, metric), reading, low - margin, high + margin, scores)


def _metric_scores(utility: Utility, metric: str) -> Iterator[Score]:
    for name, learner in utility.learners.items():
        yield from _learner_scores(_LEARNERS.get(name, name), learner, metric)
    if metric in utility.baseline:
        yield _score("no model", "baseline", utility.baseline[metric])


def _learner_scores(name: str, learner: LearnerScores, metric: str) -> Iterator[Score]:
    if metric in learner.tstr:
        yield _score(f"{name}, synthetic", "synthetic", learner.tstr[metric])
    if metric in learner.trtr:
        yield _score(f"{name}, real", "reference", learner.trtr[metric])


def _worst(card: Scorecard) -> list[tuple[str, float, float]]:
    """The marginals furthest from train, with their floors."""
    found = [
        part for part in (card.fidelity.tvd_1way, card.fidelity.tvd_2way, card.fidelity.tvd_3way) if part is not None
    ]
    return [(" × ".join(item.columns), item.synthetic, item.floor) for marginals in found for item in marginals.worst]
