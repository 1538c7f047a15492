"""Released facts as pictures: which asset shows which, and how Dagster's pages show them (a Markdown image that holds its own bytes).

Belongs here: what is drawn for whom. Does not: how it looks (report.figure), or that it may be shown (the assets say `Released`).

A picture that cannot be drawn is left out: what it would show was paid for in budget and is in the tables beside it.
"""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from synth_pipeline.drift.report import DriftReport
from synth_pipeline.release.facts import ReleaseFacts, budget_parts
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.report.figure import (
    MOST_BYTES,
    budget_figure,
    data_uri,
    drift_figure,
    marginals_figure,
    trust_figure,
)
from synth_pipeline.table.profile import Profile


def profile_pictures(profile: Profile) -> dict[str, bytes]:
    """Of a released profile: marginals with the intervals of their noise."""
    return _drawn({"marginals": lambda: marginals_figure(profile)})


def generator_pictures(model: ReleasedModel) -> dict[str, bytes]:
    """Of a trained generator: where the budget went."""

    def draw() -> bytes:
        parts = budget_parts([event.to_dict() for event in model.events], model.spec.privacy.delta)
        return budget_figure(parts, composed_epsilon=model.epsilon, budget_epsilon=model.spec.privacy.epsilon)

    return _drawn({"budget_split": draw})


def release_pictures(facts: ReleaseFacts) -> dict[str, bytes]:
    """Of a release: where the budget went, marginals, trust map."""
    trust = facts.trust
    return _drawn(
        {
            "budget_split": lambda: budget_figure(
                facts.budget_parts(), composed_epsilon=facts.composed_epsilon, budget_epsilon=facts.epsilon
            ),
            "marginals": lambda: marginals_figure(facts.profile),
            "trust_map": lambda: None if trust is None else trust_figure(trust),
        }
    )


def drift_pictures(report: DriftReport) -> dict[str, bytes]:
    """Of a drift report: the p-values of its tests."""
    return _drawn({"p_values": lambda: drift_figure(report)})


def shown(pictures: Mapping[str, bytes], *, only: Sequence[str] | None = None) -> dict[str, dg.MetadataValue]:
    """Pictures as Dagster metadata, `picture_` before their names; too large ones for an event log are left out.

    Args:
        pictures: as the functions above give them.
        only: names of those that are wanted; None: all.
    """
    return {
        f"picture_{name}": dg.MetadataValue.md(f"![{name.replace('_', ' ')}]({data_uri(png)})")
        for name, png in pictures.items()
        if len(png) < MOST_BYTES and (only is None or name in only)
    }


def files(pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """Pictures by file name."""
    return {f"{name}.png": png for name, png in pictures.items()}


def _drawn(pictures: Mapping[str, Callable[[], bytes | None]]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, draw in pictures.items():
        try:
            png = draw()
        except Exception:  # noqa: BLE001, S112  (whatever a drawing library raises; the table says the same)
            continue
        if png is not None:
            found[name] = png
    return found
