"""What MaxEnt-Gibbs will charge: one pool of Gaussian cost, spent on the profile, dependencies, selections and tables."""

from synth_pipeline.generate.engine_registry import EnginePlan, discovery_events
from synth_pipeline.generate.maxent.config import MaxentConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger.contract import ChargeLine
from synth_pipeline.spec import Spec

PROFILE_SHARE: float | None = None
_ROW_COUNT, _PROFILE, _SELECTION = 0.002, 0.16, 0.03


def make_config(spec: Spec) -> MaxentConfig:
    """The mechanism config for a specification."""
    return MaxentConfig(
        target=spec.benchmark.target if spec.benchmark else None, determined=tuple(spec.determined.items())
    )


def plan(spec: Spec, budget: Budget) -> EnginePlan:
    """The pool, and how it is spread at 16 % for the profile; the noisy row count moves that share between 12 % and 35 %.

    The total is exact whatever the row count says: every answer is paid from the same pool.
    """
    config = make_config(spec)
    pairs = 1 - _PROFILE - config.dependency_share
    columns = len(spec.modelled)
    shares = (
        ("profile", "row count", _ROW_COUNT),
        (
            "profile",
            f"one-way statistics of {columns} columns (12–35 % of the pool, by the noisy row count)",
            _PROFILE - _ROW_COUNT,
        ),
        ("generator", "functional dependencies between columns", config.dependency_share),
        ("generator", "selection of pairs: noisy errors of the model", pairs * _SELECTION),
        ("generator", "tables of the selected pairs", pairs * (1 - _SELECTION)),
    )
    lines = tuple(
        ChargeLine(stage, purpose, "discrete Gaussian", share * budget.epsilon) for stage, purpose, share in shares
    )
    pool = GaussianPoolEvent(stage="walk", purpose="profile and generator", mu_squared=budget.cost)
    return EnginePlan((pool, *discovery_events(spec, budget)), lines)
