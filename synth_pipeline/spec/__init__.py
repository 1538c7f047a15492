"""The specification: every public fact about a dataset and every choice of its owner.

Belongs here: its model, section by section, and how its file is read. Does not: what a choice leads to (see the rooms it steers).
"""

from synth_pipeline.spec.document import Spec, json_schema
from synth_pipeline.spec.privacy import CapSpec, Cohorts, Privacy, Unit
from synth_pipeline.spec.sections import (
    Benchmark,
    Fairness,
    GeneratorKind,
    GeneratorSpec,
    Implication,
    Severity,
    Source,
    Validation,
)

__all__ = [
    "Benchmark",
    "CapSpec",
    "Cohorts",
    "Fairness",
    "GeneratorKind",
    "GeneratorSpec",
    "Implication",
    "Privacy",
    "Severity",
    "Source",
    "Spec",
    "Unit",
    "Validation",
    "json_schema",
]
