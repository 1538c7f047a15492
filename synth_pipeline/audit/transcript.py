"""Transcript audit: the noisy answers of one walk, drawn anew many times with and without a person, and the ε that tells them apart.

A replay fixes the questions and, for each, both tables' true answers. Each run draws the answers by the desk's own noise, under one of the
tables; its score is the log-likelihood ratio Σ d·(y − (t + t′)/2)/σ², the best there is. Many thousand runs take seconds, because no row
is counted and nothing is fitted again.

What is audited is one fixed sequence of questions, not the choice among sequences; answers that do not move tell nothing and are not drawn,
and of those that do the most telling are. Leaving some out can only lower the bound. Choices by the exponential mechanism and discovered
keys are not in the score: the replay compares the choices exactly, keys are audited here by how often a lone person's key is published.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.audit.bound import Scores, share_above
from synth_pipeline.audit.finding import Finding
from synth_pipeline.audit.watch import Asked
from synth_pipeline.privacy.accounting import gdp_cost
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import DiscoveryEvent

FALSE_ALARM = 1e-6
"""Chance that a sound mechanism is blamed by one of the checks of its noise."""

_BATCH_DRAWS = 1 << 18
_ENOUGH = 0.99
_REPEATED_DRAWS = 64
_COMPARED_NUMBERS = 24

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, repr=False, eq=False)
class Cells:
    """True answers at one noise scale in which two tables differ; private.

    Attributes:
        sigma: the scale.
        first: answers of the table with the person.
        second: of the table without.
        stage: where the first of them was asked.
        purpose: what the first of them was for.
    """

    sigma: float
    first: Integers
    second: Integers
    stage: str = ""
    purpose: str = ""


def telling_cells(pairs: Sequence[tuple[Asked, Asked]], *, most: int) -> tuple[tuple[Cells, ...], float]:
    """The answers that tell two tables apart best, by noise scale, and their share of Σ(t − t′)²/σ².

    Args:
        pairs: the questions of a replay.
        most: how many answers to take.
    """
    found = [
        (asked, place, (asked.numbers[place] - again.numbers[place]) ** 2 / asked.scale**2, again)
        for asked, again in pairs
        if asked.kind == "counts"
        for place in np.flatnonzero(asked.numbers != again.numbers)
    ]
    found.sort(key=lambda item: -item[2])
    whole, taken = sum(item[2] for item in found), 0.0
    grouped: dict[float, list[tuple[Asked, int, Asked]]] = defaultdict(list)
    for asked, place, weight, again in found[:most]:
        if taken >= _ENOUGH * whole:
            break
        taken += weight
        grouped[asked.scale].append((asked, int(place), again))
    cells = tuple(
        Cells(
            sigma,
            np.array([asked.numbers[place] for asked, place, _ in items], dtype=np.int64),
            np.array([again.numbers[place] for _, place, again in items], dtype=np.int64),
            *items[0][0].label,
        )
        for sigma, items in grouped.items()
    )
    return cells, (float(taken / whole) if whole > 0 else 0.0)


def draw_scores(
    desk: Desk, cells: Sequence[Cells], *, runs: int, progress: Callable[[str, float], None] | None = None
) -> tuple[Scores, Scores, list[Finding]]:
    """Scores of `runs` transcripts with the person and as many without, by the desk's own noise, and what is wrong with its scale.

    Statistics:
        The scale of each noise is held against χ² of Σx²/σ² on both sides; in all, a sound source is blamed once in a million audits.
    """
    scores = np.zeros((2, runs))
    findings: list[Finding] = []
    for done, part in enumerate(cells):
        if progress is not None:
            progress("transcripts", done / len(cells))
        squares, step = 0.0, max(_BATCH_DRAWS // len(part.first), 1)
        change = (part.first - part.second).astype(np.float64)
        for side, truth in enumerate((part.first, part.second)):
            for start in range(0, runs, step):
                count = min(step, runs - start)
                answer = desk.noisy(np.tile(truth, (count, 1)), part.sigma)
                values = answer.values * (part.sigma / answer.sigma)
                squares += float(((values - truth) ** 2).sum())
                scores[side, start : start + count] += (
                    (values - (part.first + part.second) / 2) @ change / part.sigma**2
                )
        findings += _scale_findings(part, squares, 2 * runs * len(part.first), FALSE_ALARM / len(cells))
    return scores[0], scores[1], findings


def _scale_findings(part: Cells, squares: float, draws: int, false_alarm: float) -> list[Finding]:
    from scipy.stats import chi2

    statistic = squares / part.sigma**2
    if chi2.ppf(false_alarm / 2, draws) <= statistic <= chi2.isf(false_alarm / 2, draws):
        return []
    detail = f"{np.sqrt(statistic / draws):.4g} times the charged σ = {part.sigma:.4g}, by {draws:,} draws"
    return [Finding("noise of another scale", part.stage, part.purpose, detail)]


def check_fresh_noise(make_desk: Callable[[], Desk], sigma: float) -> list[Finding]:
    """Whether noise repeats: between two answers of a desk, or between two desks, as between two walks.

    Statistics:
        64 numbers at σ ≥ 1.5 agree by chance less than once in 10⁴⁰ audits.
    """
    zeros = np.zeros(_REPEATED_DRAWS, dtype=np.int64)
    desks = [make_desk(), make_desk()]
    drawn = [desk.noisy(zeros, max(sigma, 1.5)).values for desk in desks for _ in range(2)]
    if any(np.array_equal(one, other) for place, one in enumerate(drawn) for other in drawn[:place]):
        detail = f"two answers of {_REPEATED_DRAWS} numbers carry the same noise; their difference has none"
        return [Finding("noise repeats", "", "", detail)]
    return []


def check_repeated_answers(asked: Sequence[Asked]) -> list[Finding]:
    """Whether two recorded answers at one noise scale begin with the same noise.

    Statistics:
        Their first 24 numbers; at σ ≥ 1.5 they agree by chance less than once in 10¹⁷ pairs.
    """
    noises: dict[float, list[tuple[tuple[str, str], npt.NDArray[np.float64]]]] = defaultdict(list)
    findings: list[Finding] = []
    for one in asked:
        if not isinstance(one.released, Noisy) or one.size < _COMPARED_NUMBERS:
            continue
        values = one.released.values * (one.scale / one.released.sigma)
        noise = np.round(values - one.numbers)[:_COMPARED_NUMBERS]
        for label, other in noises[one.scale]:
            if np.array_equal(noise, other):
                findings.append(Finding("noise repeats", *one.label, f"the same noise as {' '.join(label)}"))
        noises[one.scale].append((one.label, noise))
    return findings


def check_discovery(make_desk: Callable[[], Desk], asked: Asked, *, keys: int) -> list[Finding]:
    """How often a key that one person alone holds is published by the desk's own discovery, beside the δ′ that was charged.

    Args:
        make_desk: a desk with the walk's budget, nothing spent.
        asked: a recorded discovery.
        keys: lone keys to try at once.

    Statistics:
        Clopper–Pearson; a sound discovery is blamed once in a million audits.
    """
    event = asked.event
    if not isinstance(event, DiscoveryEvent):
        return []
    rows = event.sensitivity
    present = {f"held by person {person} alone": rows for person in range(keys)}
    published = make_desk().find_keys(
        lambda: present,
        cost=gdp_cost(event.sigma, event.sensitivity),
        delta=event.delta,
        stage=event.stage,
        purpose=event.purpose,
    )
    least = share_above(len(published), keys, FALSE_ALARM)
    if least > event.delta:
        detail = f"a lone person's key with probability {least:.3g} or more, charged for δ′ = {event.delta:.3g}"
        return [Finding("published too often", event.stage, event.purpose, detail)]
    return []
