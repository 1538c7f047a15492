"""The Dagster code location, as `dagster` and `dg` load it.

Belongs here: the function that Dagster calls. Does not: anything else (orchestration.code_location).
"""

import dagster as dg

from synth_pipeline.orchestration.code_location import build_defs

__all__ = ["build_defs", "defs"]


@dg.definitions
def defs() -> dg.Definitions:
    """The bundled datasets and those in the folder `$SYNTH_PIPELINE_DEFS`, with the home `$SYNTH_PIPELINE_HOME`."""
    return build_defs()
