"""What the publishable report says besides its columns: mechanisms in words, bars of the budget and the audit, trust map, files.

Privacy: it reads the released facts of a release, and nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from synth_pipeline.privacy.unit import WEIGHT_UNITS
from synth_pipeline.release.bundle import BUNDLE_FILES
from synth_pipeline.release.facts import BudgetPart, ReleaseFacts
from synth_pipeline.release.statement import CERTIFICATE, REPORT
from synth_pipeline.release.trust_map import STATE_WORDS, MarginalTrust, TrustMap
from synth_pipeline.report.chart import Amount, AmountChart, TrustCell, TrustChart

MOST_MECHANISMS = 40
"""Lines of the table of mechanisms; all of them are in the certificate."""

_PRIORS = (0.01, 0.1, 0.5, 0.9)
_FINE = 1000
"""From this sensitivity on an answer is a sum on a grid of small steps, whose own unit tells a reader nothing."""

_PLAIN: Mapping[str, str] = {
    "discrete_gaussian": "A whole number drawn from a bell curve is added to each count before anybody sees it; 95 % of them are within"
    " two standard deviations.",
    "gaussian_pool": "One purse of noise that later questions share; what is asked next may hang on earlier answers.",
    "subsampled_gaussian": "Each step learns from a random part of the people, cuts what one of them may contribute, and adds noise.",
    "discovery": "A category is shown only where a noisy count of its people passes a threshold, so that rare ones stay hidden.",
    "exponential": "One of several candidates is picked by chance, better ones more often; no score is shown.",
    "above_threshold": "Questions are compared with one noisy threshold, and answered no until the first yes.",
}

_FILES: Mapping[str, str] = {
    "data.parquet": "the synthetic rows; the guarantee is in its key-value metadata",
    "schema.json": "columns: kinds, meanings, units, domains",
    "datasheet.md": "how the table was made, and what it is for",
    "lineage.json": "where each column came from, and what was charged for it",
    "trust_map.json": "the expected error of every column and pair, for machines",
    "croissant.json": "description for data catalogues and loaders (Croissant)",
    "card.json": "the deployment of differential privacy in the terms of its registry",
    CERTIFICATE: "the claim: ε, δ, unit, every mechanism, digests of all files",
}


@dataclass(frozen=True)
class MechanismLine:
    """Answers to questions of one kind.

    Attributes:
        stage: stage of the walk.
        words: the mechanism with its parameters.
        example: what the first of them was for.
        more: how many further questions like it there were.
        answers: how many answers, choices or steps.
    """

    stage: str
    words: str
    example: str
    more: int
    answers: int


def mechanism_lines(facts: ReleaseFacts) -> list[MechanismLine]:
    """Every mechanism that ran, questions that differ in columns and numbers alone in one line, in the order in which they first ran."""
    names = sorted((re.escape(column.name) for column in facts.profile.columns), key=len, reverse=True)
    varying = re.compile("|".join([*(rf"(?<!\w){name}(?!\w)" for name in names), r"\d[\d,.]*"]))
    place: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for event in facts.events:
        key = event["stage"] or "walk", str(event["kind"]), varying.sub("…", str(event["purpose"]))
        place.setdefault(key, []).append(event)
    return [_line(stage, events) for (stage, *_), events in place.items()]


def plain_words(facts: ReleaseFacts) -> list[tuple[str, str]]:
    """Each kind of mechanism that ran, with one sentence about it."""
    kinds = dict.fromkeys(str(event["kind"]) for event in facts.events)
    return [(kind.replace("_", " ").replace("gaussian", "Gaussian"), _PLAIN[kind]) for kind in kinds if kind in _PLAIN]


def budget_chart(parts: Sequence[BudgetPart], facts: ReleaseFacts) -> AmountChart:
    """ε that each part would cost alone, what they compose to, and the budget."""
    bars = [Amount(_part_label(part), part.epsilon, f"{part.epsilon:.3g}") for part in parts]
    composed = facts.composed_epsilon
    total = [
        Amount("together (composed)", composed, f"{composed:.4g}", is_total=True),
        Amount("budget of the walk", facts.epsilon, f"{facts.epsilon:g}", is_limit=True),
    ]
    return AmountChart((*bars, *total))


def audit_chart(facts: ReleaseFacts) -> AmountChart | None:
    """ε that was shown beside ε that is claimed; None where the mechanism was not audited."""
    if facts.audit is None:
        return None
    shown, claimed = float(facts.audit["lowerBound"]), float(facts.audit["claimedEpsilon"])
    return AmountChart(
        (
            Amount("shown to be lost at least", shown, f"{shown:.2f}"),
            Amount("claimed to be lost at most", claimed, f"{claimed:.4g}", is_limit=True),
        )
    )


def beliefs(factor: float) -> list[tuple[float, float, float]]:
    """For some prior beliefs the least and the most that they can become when odds change by a factor."""
    return [(prior, _belief(prior, 1 / factor), _belief(prior, factor)) for prior in _PRIORS]


def trust_chart(trust: TrustMap) -> TrustChart:
    """The trust map as a matrix of columns; the diagonal is single columns."""
    known = {frozenset(item.columns): item for item in trust.marginals if len(item.columns) <= 2}
    names = trust.names
    cells = tuple(tuple(_trust_cell(known[frozenset((row, column))]) for column in names) for row in names)
    top = max((cell.value for line in cells for cell in line if cell.value is not None), default=0.0)
    return TrustChart(names, cells, max(top, 1e-9))


def trust_words(trust: TrustMap) -> list[str]:
    """What the trust map comes to, in a few sentences."""
    single = [item.expected for item in trust.marginals if len(item.columns) == 1 and item.expected is not None]
    pairs = [item for item in trust.marginals if len(item.columns) == 2]
    known = [item.expected for item in pairs if item.expected is not None]
    larger = [item.expected for item in trust.marginals if len(item.columns) > 2 and item.expected is not None]
    found: list[str] = []
    if single:
        found.append(f"Single columns: expected distance {_reach(single)}.")
    if pairs:
        rest = f" {len(pairs) - len(known)} follow from the model alone." if len(known) < len(pairs) else ""
        told = f": expected distance {_reach(known)}" if known else ""
        found.append(f"Pairs: noise bounds {len(known)} of {len(pairs)}{told}.{rest}")
    if larger:
        found.append(f"Larger tables that were measured: {len(larger)}, expected distance {_reach(larger)}.")
    return found


def other_files() -> list[tuple[str, str]]:
    """The other files of the bundle, with what is in them."""
    names = [name for name in (*BUNDLE_FILES, CERTIFICATE) if name != REPORT]
    return [(name, _FILES.get(name, "see its own words")) for name in names]


def _reach(values: Sequence[float]) -> str:
    return f"{median(values):.3f} in the median, {max(values):.3f} at most"


def _trust_cell(item: MarginalTrust) -> TrustCell:
    name = " × ".join(item.columns)
    if item.expected is None or item.noise is None:
        return TrustCell(None, item.state, f"{name}: {STATE_WORDS[item.state]}; no noise bounds its error")
    found = f"{STATE_WORDS[item.state]}, {item.cells} cells; noise {item.noise:.3f}, sampling {item.sampling:.3f}"
    title = f"{name}: expected {item.expected:.3f} ({found})"
    return TrustCell(item.expected, item.state, title)


def _part_label(part: BudgetPart) -> str:
    what = "steps" if part.mechanism == "DP-SGD" else "answers" if part.answers != 1 else "answer"
    return f"{part.stage}: {part.mechanism}, {part.answers:,} {what}"


def _parameters(events: Sequence[Mapping[str, Any]]) -> str:
    """Kind and parameters of like events in words; ranges where they differ."""
    first = events[0]
    match first["kind"]:
        case "discrete_gaussian":
            if first["sensitivity"] >= _FINE and first["sensitivity"] != WEIGHT_UNITS:
                return f"discrete Gaussian on a fine grid, σ = {_range(events, 'sigma', first['sensitivity'])} times the sensitivity"
            weight = WEIGHT_UNITS if first["sensitivity"] == WEIGHT_UNITS else 1
            people = " people" if weight > 1 else ""
            return f"discrete Gaussian, σ = {_range(events, 'sigma', weight)}{people}, sensitivity {first['sensitivity'] // weight:,}"
        case "gaussian_pool":
            return f"discrete Gaussian answers, μ² ≤ {_range(events, 'mu_squared')} in all"
        case "subsampled_gaussian":
            return f"DP-SGD, noise multiplier {_range(events, 'noise_multiplier')}, Poisson rate {_range(events, 'sample_rate')}"
        case "discovery":
            threshold, delta = _range(events, "threshold"), _range(events, "delta")
            return f"stable set union, σ = {_range(events, 'sigma')}, threshold {threshold}, δ′ = {delta}"
        case "exponential":
            return f"exponential mechanism, ε = {_range(events, 'epsilon')} a choice"
        case "above_threshold":
            return f"above threshold, ε = {_range(events, 'epsilon')} up to the first alarm"
        case kind:
            return str(kind).replace("_", " ")


def _range(events: Sequence[Mapping[str, Any]], name: str, weight: float = 1) -> str:
    low, high = (_plain_number(edge(float(event[name]) for event in events) / weight) for edge in (min, max))
    return low if low == high else f"{low} to {high}"


def _plain_number(value: float) -> str:
    """A parameter in four significant digits; large ones without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def _line(stage: str, events: Sequence[Mapping[str, Any]]) -> MechanismLine:
    answers = sum(int(event.get("count", event.get("steps", 1))) for event in events)
    return MechanismLine(stage, _parameters(events), str(events[0]["purpose"]), len(events) - 1, answers)


def _belief(prior: float, factor: float) -> float:
    """What a belief becomes when its odds change by a factor."""
    odds = prior / (1 - prior) * factor
    return odds / (1 + odds)
