"""The figures of an attack report in words: what was found, or that an attack cannot be trusted, but never that a table is safe."""

from collections.abc import Mapping

from synth_pipeline.audit.attack.report import Attack, AttackFigure, AttackReport, Measure

Line = tuple[str, str, str]

ATTACK_NAMES: Mapping[Attack, str] = {
    "membership_distance": "membership by distance",
    "membership_density": "membership by density ratio",
    "exact_copies": "exact copies",
    "near_copies": "near copies",
    "attribute_inference": "attribute inference",
    "linkability": "linkability",
    "singling_out_univariate": "singling out, one column",
    "singling_out_multivariate": "singling out, several columns",
}
MEASURE_NAMES: Mapping[Measure, str] = {
    "auc": "AUC",
    "recognised_at_1_percent": "true positives at 1 % false positives",
    "advantage": "advantage",
    "risk": "excess risk",
}
_DEEDS: Mapping[Attack, tuple[str, str]] = {
    "exact_copies": ("have an exact copy among the synthetic rows", "people"),
    "near_copies": ("have a near copy among the synthetic rows", "people"),
    "attribute_inference": ("are guessed right from the nearest synthetic row", "people"),
    "linkability": ("have the two halves of their record linked by a synthetic row", "people"),
    "singling_out_univariate": ("single out one", "predicates"),
    "singling_out_multivariate": ("single out one", "predicates"),
}


def summary_lines(report: AttackReport) -> list[Line]:
    """One line a figure, as (name, value with interval, reading); of attribute inference the worst column alone."""
    shown = [figure for figure in report.figures if figure.attack != "attribute_inference"]
    columns = [figure for figure in report.of("attribute_inference") if figure.value is not None]
    if columns:
        shown.append(max(columns, key=lambda figure: (figure.verdict == "found", figure.low or 0.0)))
    return [(name_of(figure), value_text(figure), reading(figure, report.measured)) for figure in shown]


def headline(report: AttackReport) -> str:
    """The whole report in one sentence."""
    if report.found:
        names = list(dict.fromkeys(ATTACK_NAMES[figure.attack] for figure in report.found))
        return (
            f"{len(report.found)} of {report.measured} figures {'is' if len(report.found) == 1 else 'are'} above chance"
            f" ({', '.join(names)}): evidence that the table tells something about who was in train."
            " A table that leaks nothing gives such a report at most about once in 40; another seed attacks other people."
        )
    return (
        f"None of {report.measured} figures is above chance: these attacks cannot be trusted to find anything here."
        " That does not show that the table is safe; what protects it is its ε."
    )


def name_of(figure: AttackFigure) -> str:
    """Attack, measure and column in a few words."""
    column = f" of {figure.column}" if figure.column else ""
    return f"{ATTACK_NAMES[figure.attack]}{column}, {MEASURE_NAMES[figure.measure]}"


def value_text(figure: AttackFigure) -> str:
    """The effect and its interval."""
    if figure.value is None:
        return "not measured"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def reading(figure: AttackFigure, family: int) -> str:
    """What a figure says, in one or two sentences.

    Args:
        figure: the figure.
        family: how many figures its report measured.
    """
    if figure.value is None:
        return figure.method + "."
    return f"{_what(figure)}: {_verdict(figure, family)}"


def _what(figure: AttackFigure) -> str:
    if figure.measure == "auc":
        return f"A person of train looks more like one than another person does with probability {figure.value:.3f}; chance is 0.5"
    control = figure.rates["control"].value
    if figure.measure == "recognised_at_1_percent":
        return (
            f"{figure.value:.1%} of people of train are recognised where {control:.1%} of others are taken for one;"
            f" with so many people luck may give up to {figure.chance:.1%}"
        )
    attack = figure.rates["attack"].value
    if figure.measure == "advantage":
        return f"{attack:.1%} of people of train and {control:.1%} of others are taken for members"
    deed, who = _DEEDS[figure.attack]
    if who == "predicates":
        return f"{attack:.1%} of predicates {deed} person of train, {control:.1%} one of as many people never seen"
    return f"{attack:.1%} of people of train and {control:.1%} of people never seen {deed}"


def _verdict(figure: AttackFigure, family: int) -> str:
    if figure.verdict == "found":
        return f"above chance, with all {family} figures of the report in mind."
    if figure.verdict == "found alone":
        return f"above chance taken alone, but among {family} figures luck alone gives about {family / 40:.1f} such."
    effect = max(figure.high or 0.0, figure.chance or 0.0)
    lost = ", which is no better than a guess that looks at nothing" if _is_naive(figure) else ""
    return (
        f"no better than chance{lost}. The attack cannot be trusted to find anything; it does not show that the table is safe"
        f" (an effect up to {effect:.3f} would look the same)."
    )


def _is_naive(figure: AttackFigure) -> bool:
    naive, attack = figure.rates.get("naive"), figure.rates.get("attack")
    return naive is not None and attack is not None and attack.value <= naive.value
