"""What a reader of a release has to know before using it: limits and uses, in words that the datasheet and the cards share."""

from typing import Any

import numpy as np

from synth_pipeline.release.facts import ReleaseFacts

USES = (
    "Developing and testing software against realistic rows.",
    "Teaching, exploring, and drafting analyses that are confirmed on the real data before anything is published.",
    "Training and comparing models in development, before they are trained and validated on real data.",
)
"""What a synthetic table is fine for."""

MISUSES = (
    "Decisions about persons.",
    "The only evidence for a published figure.",
    "Linking it to other data in order to learn about persons: what is found is not about them.",
)
"""What a synthetic table is not for."""


def noise_share(facts: ReleaseFacts) -> float:
    """Median over columns of the standard deviation that noise gives to one released share."""
    deviations = [float(np.median(column.sigma)) for column in facts.profile.columns]
    return float(np.median(deviations)) / max(facts.profile.rows, 1.0)


def uses(facts: ReleaseFacts) -> tuple[str, ...]:
    """What the table is meant for, as its owner states it, or else what any synthetic table is fine for."""
    publication = facts.spec.release.publication
    stated = None if publication is None else publication.intended_use
    return USES if stated is None else (stated,)


def limits(facts: ReleaseFacts) -> tuple[str, ...]:
    """The limits of a table, one sentence or two each, beginning with what this release was warned of.

    Args:
        facts: facts of the release.
    """
    return (
        *(f"Warning: {warning.rstrip('.')}." for warning in facts.profile.warnings),
        (
            "Statistics carry noise. Shares of single columns are off by a standard deviation of about"
            f" {noise_share(facts) * 100:.2g} percentage points from noise alone; small groups, rare categories and combinations of three"
            " or more columns are off by more, relatively."
        ),
        (
            "Significance tests, confidence intervals and counts taken from these rows do not know of that noise. Confirm findings on the"
            " real data."
        ),
        *_people_limits(facts),
        "Rare values may be missing, and combinations may occur that no real row has.",
        "Dependencies that the generator did not measure are kept only as far as the measured ones imply them.",
        (
            "What was biased in the real table is biased here as far as it was measured, and noise is relatively largest for the smallest"
            " groups."
        ),
        *(
            (
                "The noise of DP-SGD is drawn in floating point; in theory this leaks slightly more than the formula says.",
            )
            if facts.has_floating_point_noise
            else ()
        ),
    )


def _people_limits(facts: ReleaseFacts) -> tuple[str, ...]:
    people: Any = facts.generator.get("facts", {}).get("people")
    if not people:
        return ()
    within = (
        "Rows of a person were drawn one by one and put together: within a person only what is listed under People holds. How anything"
        " else changes from one row of a person to the next means nothing."
    )
    if facts.generator["kind"] == "independent":
        return (
            within,
            (
                "The independent generator does not know how a column hangs on the number of a person's rows: its shares are those of"
                " people, each counted once, and not those of rows."
            ),
        )
    return (
        within,
        (
            "Shares are those of rows, in which people with many rows count more, as far as the generator learned how a column hangs on the"
            " number of a person's rows; what it did not learn stays as it is among people, each counted once."
        ),
    )
