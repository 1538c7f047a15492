"""The datasets that are defined: bundled ones, and those in the folder `$SYNTH_PIPELINE_DEFS`, read without Dagster."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import synth_pipeline

if TYPE_CHECKING:
    from synth_pipeline.spec import Spec

DEFS_VARIABLE = "SYNTH_PIPELINE_DEFS"


def defined_specs() -> "dict[str, Spec]":
    """The specification of every defined dataset, by name.

    Raises:
        SpecError: if a definition is not valid.
    """
    from synth_pipeline.spec import Spec

    folders = [Path(synth_pipeline.__file__).parent / "defs"]
    if os.environ.get(DEFS_VARIABLE):
        folders.append(Path(os.environ[DEFS_VARIABLE]).expanduser())
    specs = [Spec.from_yaml(path) for folder in folders for path in sorted(folder.glob("*/defs.yaml"))]
    return {spec.dataset: spec for spec in specs}
