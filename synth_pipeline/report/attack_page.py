"""The internal report of the attacks on a synthetic table: every effect beside chance, every success beside its control.

Privacy: it shows numbers computed on real rows without noise. It carries a banner that says so, and must stay in the private store.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from synth_pipeline.audit.attack.report import AttackFigure, AttackReport, Rate
from synth_pipeline.audit.attack.wording import ATTACK_NAMES, MEASURE_NAMES, headline, name_of, reading, value_text
from synth_pipeline.report.chart import Score, ScoreChart, Series
from synth_pipeline.report.page import render

_WHO: Mapping[str, tuple[str, Series]] = {
    "attack": ("people of train", "synthetic"),
    "control": ("people never seen", "holdout"),
    "naive": ("looks at nothing", "baseline"),
    "synthetic rows equal to train": ("synthetic rows equal to one of train", "synthetic"),
    "synthetic rows equal to holdout": ("… to one of as many people never seen", "holdout"),
}


def attack_page(report: AttackReport | Mapping[str, Any]) -> str:
    """The report as one HTML file that needs nothing else; internal.

    Args:
        report: the attacks, or what `AttackReport.to_dict` gave.

    Raises:
        TableError: if the mapping is no report of attacks.
    """
    attacks = report if isinstance(report, AttackReport) else AttackReport.from_dict(report)
    return render("attacks.html.j2", attacks=attack_content(attacks))


def attack_content(report: AttackReport) -> dict[str, Any]:
    """What the section about attacks is drawn from, on this page and on the internal report of a walk."""
    return {
        "report": report,
        "headline": headline(report),
        "effects": list(_effects(report)),
        "lines": [
            (name_of(figure), value_text(figure), reading(figure, report.measured), figure.verdict)
            for figure in report.figures
        ],
        "successes": list(_successes(report)),
    }


def _effects(report: AttackReport) -> Iterator[ScoreChart]:
    """Charts of the effects that were measured: membership by measure, then the excess risks, then one a column."""
    membership = (*report.of("membership_distance"), *report.of("membership_density"))
    of_measure = {measure: [figure for figure in membership if figure.measure == measure] for measure in MEASURE_NAMES}
    low_rate = of_measure["recognised_at_1_percent"]
    risks = [figure for figure in report.figures if figure.measure == "risk" and figure.column is None]
    half, nothing = (Score("chance", "holdout", value, value, value, f"{value:g}") for value in (0.5, 0.0))
    around = (-0.05, 0.05)
    effects: tuple[tuple[str, str, Iterable[AttackFigure], tuple[Score, ...], tuple[float, float]], ...] = (
        (
            "Membership: AUC",
            "How well people of train are told from others; 0.5 is chance.",
            of_measure["auc"],
            (half,),
            (0.45, 0.55),
        ),
        (
            "Membership: true positives",
            "Share of people of train recognised where 1 % of others are taken for one.",
            low_rate,
            _luck(low_rate),
            (0.0, 0.05),
        ),
        (
            "Membership: advantage",
            "True-positive minus false-positive rate at the best threshold; 0 is chance.",
            of_measure["advantage"],
            (nothing,),
            around,
        ),
        (
            "Excess risk",
            "What being in train added to the success of an attack; 0 is chance.",
            risks,
            (nothing,),
            around,
        ),
        (
            "Attribute inference: excess risk",
            "The same, with each column as the secret.",
            report.of("attribute_inference"),
            (nothing,),
            around,
        ),
    )
    for title, reads, figures, controls, reach in effects:
        scores = _scores(figures)
        if scores:
            yield _chart(title, reads, (*scores, *controls), reach=reach)


def _luck(figures: Iterable[AttackFigure]) -> tuple[Score, ...]:
    """How many of few people luck alone gets right, of each attack."""
    return tuple(
        Score(f"luck, {ATTACK_NAMES[figure.attack]}", "holdout", 0.01, 0.0, figure.chance, f"up to {figure.chance:.3f}")
        for figure in figures
        if figure.chance is not None
    )


def _scores(figures: Iterable[AttackFigure]) -> tuple[Score, ...]:
    return tuple(
        Score(
            figure.column or ATTACK_NAMES[figure.attack],
            "synthetic",
            figure.value,
            figure.low or 0.0,
            figure.high or 0.0,
            value_text(figure),
        )
        for figure in figures
        if figure.value is not None
    )


def _chart(title: str, reads: str, scores: tuple[Score, ...], *, reach: tuple[float, float]) -> ScoreChart:
    """Scores on an axis that holds all of them, and at least `reach`; its ends are rounded outwards."""
    low, high = min([reach[0], *(score.low for score in scores)]), max([reach[1], *(score.high for score in scores)])
    return ScoreChart(title, reads, math.floor(20 * low) / 20, math.ceil(20 * high) / 20, scores)


def _successes(report: AttackReport) -> Iterator[ScoreChart]:
    """One chart for each attack that succeeds or fails on a target, on one common axis from never to always."""
    for figure in report.figures:
        if figure.measure == "risk" and figure.rates:
            title = ATTACK_NAMES[figure.attack] + (f": {figure.column}" if figure.column else "")
            scores = tuple(_success(name, rate) for name, rate in figure.rates.items())
            stop = min(1.0, 1.1 * max(0.02, *(score.high for score in scores)))
            yield ScoreChart(title[0].upper() + title[1:], "Share that succeeds.", 0.0, round(stop, 2), scores)


def _success(name: str, rate: Rate) -> Score:
    label, series = _WHO[name]
    text = f"{rate.value:.1%} ({rate.successes:,} of {rate.trials:,})"
    return Score(label, series, rate.value, rate.low, rate.high, text)
