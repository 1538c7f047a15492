"""What the autoregressive network will charge: a Gaussian pool for the profile, and one DP-SGD run with the rest."""

from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.engine_registry import EnginePlan, discovery_events
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.events import GaussianPoolEvent, SubsampledGaussianEvent
from synth_pipeline.privacy.ledger.contract import ChargeLine
from synth_pipeline.spec import Spec

PROFILE_SHARE: float | None = 0.15
"""Share of μ² for the profile: fixed, because the noise of the training has to be known before any row is read."""


def make_config(spec: Spec) -> AutoregressiveConfig:
    """The mechanism config for a specification."""
    return AutoregressiveConfig(target=spec.benchmark.target if spec.benchmark else None)


def training_event(config: AutoregressiveConfig, budget: Budget) -> SubsampledGaussianEvent:
    """The DP-SGD run that spends what the profile's share leaves of a walk's budget; public facts only."""
    cost = (PROFILE_SHARE or 0.0) * budget.cost
    return config.plan_event(epsilon=budget.epsilon, delta=budget.delta - budget.discovery_delta, profile_cost=cost)


def plan(spec: Spec, budget: Budget) -> EnginePlan:
    """The profile's pool and the training run."""
    share = PROFILE_SHARE or 0.0
    training = training_event(make_config(spec), budget)
    pool = GaussianPoolEvent(
        stage="profile", purpose="row count and one-way statistics", mu_squared=share * budget.cost
    )
    columns = len(spec.modelled)
    lines = (
        ChargeLine(
            "profile",
            f"row count and one-way statistics of {columns} columns",
            "discrete Gaussian",
            share * budget.epsilon,
        ),
        ChargeLine("generator", training.purpose, training.mechanism, (1 - share) * budget.epsilon),
    )
    return EnginePlan((pool, *discovery_events(spec, budget), training), lines)
