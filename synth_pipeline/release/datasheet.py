"""The datasheet of a release, in Markdown.

Source:
    Gebru, Morgenstern, Vecchione, Vaughan, Wallach, Daumé III and Crawford 2021, Datasheets for Datasets (its headings).
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pipeline.release.facts import NEIGHBOURS, ReleaseFacts
from synth_pipeline.release.guidance import MISUSES, limits, uses
from synth_pipeline.release.schema import domain_words
from synth_pipeline.spec.publication import Publication

if TYPE_CHECKING:
    from jinja2 import Environment


def datasheet(facts: ReleaseFacts, schema: Mapping[str, Any]) -> str:
    """The datasheet as Markdown.

    Args:
        facts: facts of the release.
        schema: its released schema (see `release.schema`).
    """
    columns = schema["columns"]
    return (
        _environment()
        .get_template("datasheet.md.j2")
        .render(
            facts=facts,
            schema=schema,
            parts=facts.budget_parts(),
            neighbours=NEIGHBOURS,
            guarantee=f"ε = {facts.composed_epsilon:.3g}, δ = {facts.delta:g}",
            whose_rows="" if facts.spec.privacy.unit.column else " (each row is one)",
            people=facts.generator.get("facts", {}).get("people"),
            row_count_words=_row_count_words(facts),
            invented=[f"`{name}`" for name in facts.spec.identifiers],
            nullable=[f"`{column['name']}`" for column in columns if column["nullable"]],
            passed=sum(outcome.passed for outcome in facts.outcomes),
            warnings=[f"`{outcome.expectation.name}`" for outcome in facts.outcomes if not outcome.passed],
            limits=limits(facts),
            uses=uses(facts),
            misuses=MISUSES,
            publication=facts.spec.release.publication or Publication(),
            cap_words=_cap_words(facts),
            sensitive=list(facts.spec.fairness.sensitive) if facts.spec.fairness else [],
        )
    )


def _cap_words(facts: ReleaseFacts) -> str:
    cap, delta = facts.spec.privacy.cap, facts.spec.privacy.cap_delta
    words = f"ε = {cap.epsilon:g} (δ = {delta:g})"
    if cap.period is None:
        return f"{words}, over all releases from the same people"
    lifetime = (
        "without a bound over a lifetime"
        if cap.lifetime_epsilon is None
        else f"and ε = {cap.lifetime_epsilon:g} over a lifetime"
    )
    return f"{words} in each period ({cap.period}), {lifetime}"


def _row_count_words(facts: ReleaseFacts) -> str:
    if facts.spec.rows == "match":
        most, noise = facts.spec.privacy.unit.max_rows, facts.profile.rows_sigma
        sigma = f"{noise:,.0f}" if noise >= 10 else f"{noise:.2g}"
        rows = "training rows" if most == 1 else f"training rows, at most {most} of each person"
        return f"the noisy count of the {rows} (standard deviation {sigma}); the exact count is not released."
    return "chosen by the owner; it says nothing about the real table."


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701  # Markdown: cells escape what tables need
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["cell"] = lambda text: " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
    environment.filters["domain"] = domain_words
    return environment
