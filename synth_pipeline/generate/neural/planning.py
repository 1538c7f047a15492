"""What an engine of one DP-SGD run will charge: a Gaussian pool for the profile, and the run with the rest."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.dpsgd.config import DPSGDConfig
from synth_pipeline.generate.dpsgd.planning import plan_event
from synth_pipeline.generate.engine_registry import EnginePlan, discovery_events
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.events import GaussianPoolEvent, SubsampledGaussianEvent
from synth_pipeline.privacy.ledger.contract import ChargeLine
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import Profile

PROFILE_SHARE = 0.15
"""Share of μ² for the profile: fixed, because the noise of the training has to be known before any row is read."""

STEADY_SIGNAL = 600.0
"""Expected rows of a batch over the noise multiplier up to which step lengths are as configured; adult at ε = 1 has 530."""


def training_event(training: DPSGDConfig, budget: Budget, purpose: str) -> SubsampledGaussianEvent:
    """The DP-SGD run that spends what the profile's share leaves of a walk's budget; public facts only."""
    return plan_event(
        training,
        epsilon=budget.epsilon,
        delta=budget.delta - budget.discovery_delta,
        profile_cost=PROFILE_SHARE * budget.cost,
        purpose=purpose,
    )


def steadied(training: DPSGDConfig, event: SubsampledGaussianEvent, rows: float) -> DPSGDConfig:
    """The run with a step length that the expected batch allows.

    Step lengths are in standard deviations of the noise, and a batch's gradient is up to q·rows/σ of them. Where that ratio is larger than
    it was when the step length was chosen (more rows, more ε), a step of the same length in noise would be a longer one in the loss, and
    diverge; it is shortened so that its length in the loss stays. Reads the noisy row count; step lengths are post-processing.
    """
    signal = event.sample_rate * max(rows, 1.0) / event.noise_multiplier
    return replace(training, learning_rate=training.learning_rate * min(1.0, STEADY_SIGNAL / signal))


def profile_pool(budget: Budget) -> GaussianPoolEvent:
    """The profile's pool of Gaussian cost."""
    purpose = "row count and one-way statistics"
    return GaussianPoolEvent(stage="profile", purpose=purpose, mu_squared=PROFILE_SHARE * budget.cost)


def profile_line(spec: Spec, budget: Budget) -> ChargeLine:
    """The profile's line of the plan."""
    purpose = f"row count and one-way statistics of {len(spec.modelled)} columns"
    return ChargeLine("profile", purpose, "discrete Gaussian", PROFILE_SHARE * budget.epsilon)


def plan_training(spec: Spec, budget: Budget, training: DPSGDConfig, purpose: str) -> EnginePlan:
    """The profile's pool and one training run."""
    event = training_event(training, budget, purpose)
    line = ChargeLine("generator", purpose, event.mechanism, (1 - PROFILE_SHARE) * budget.epsilon)
    return EnginePlan(
        (profile_pool(budget), *discovery_events(spec, budget), event), (profile_line(spec, budget), line)
    )


def training_facts(
    event: SubsampledGaussianEvent, profile: Profile, weights: Mapping[str, npt.NDArray[np.float32]]
) -> dict[str, Any]:
    """Released facts about a training worth showing."""
    return {
        "parameters": sum(array.size for array in weights.values()),
        "steps": event.steps,
        "sample_rate": event.sample_rate,
        "noise_multiplier": round(event.noise_multiplier, 4),
        "expected_batch_rows": round(event.sample_rate * profile.rows),
    }
