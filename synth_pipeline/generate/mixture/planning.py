"""What the mixture will charge: exactly what MaxEnt-Gibbs does, because it asks the same questions."""

from synth_pipeline.generate.engine_registry import EnginePlan
from synth_pipeline.generate.maxent.planning import plan as plan_pairs
from synth_pipeline.generate.mixture.config import MixtureConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.spec import Spec

PROFILE_SHARE: float | None = None


def make_config(spec: Spec) -> MixtureConfig:
    """The mechanism config for a specification."""
    return MixtureConfig(
        target=spec.benchmark.target if spec.benchmark else None, determined=tuple(spec.determined.items())
    )


def plan(spec: Spec, budget: Budget) -> EnginePlan:
    """One pool of Gaussian cost, spent on the profile, dependencies, selections and tables of pairs (see `maxent.planning`)."""
    return plan_pairs(spec, budget)
