"""The gate of the private zone: the one way in which anything leaves it, be it a figure, a text, a table, an error or a line of output.

Belongs here: zones, and rules of what passes, for any place outside. Does not: those places (Dagster, MLflow and Great Expectations have
thin adapters of their own, which take `Released` values only).

`Released(...)` is a claim: this value is public, or the output of a charged mechanism. A contract test lists the modules that may claim it.
"""

from synth_pipeline.privacy.gate.error import mask_counts, masked_counts, tellable, value_free_errors
from synth_pipeline.privacy.gate.output import private_stage, withheld_output
from synth_pipeline.privacy.gate.zone import (
    Internal,
    Place,
    PrivateStore,
    Released,
    mark_private,
    opened,
    refuse_private,
    zone_of,
)

__all__ = [
    "Internal",
    "Place",
    "PrivateStore",
    "Released",
    "mark_private",
    "mask_counts",
    "masked_counts",
    "opened",
    "private_stage",
    "refuse_private",
    "tellable",
    "value_free_errors",
    "withheld_output",
    "zone_of",
]
