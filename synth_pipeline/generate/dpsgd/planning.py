"""The one accountant of DP-SGD engines: the event that spends what the profile leaves, and batches dealt exactly for it."""

from collections.abc import Iterator
from functools import lru_cache

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.config import DPSGDConfig
from synth_pipeline.privacy.accounting import calibrate_noise_multiplier
from synth_pipeline.privacy.batch import Batch
from synth_pipeline.privacy.events import SubsampledGaussianEvent
from synth_pipeline.privacy.view import EncodedView


def plan_event(
    config: DPSGDConfig, *, epsilon: float, delta: float, profile_cost: float, purpose: str
) -> SubsampledGaussianEvent:
    """The training event that, after Gaussian answers of cost μ², spends the rest of (ε, δ).

    Args:
        config: rate and number of the steps.
        epsilon: ε of the whole walk.
        delta: δ of the whole walk, less what discovery has of it.
        profile_cost: μ² of every Gaussian answer outside the training (profile, and marginals of a hybrid).
        purpose: what the certificate says the training is.

    Privacy:
        Reads public facts only. The noise multiplier is the smallest for which Gaussian of μ² = profile_cost and all steps compose to ε
        at δ (privacy-loss distributions).

    Raises:
        PrivacyError: if the other answers leave nothing.
    """
    multiplier = _noise_multiplier(config.sample_rate, config.steps, (epsilon, delta), profile_cost)
    return SubsampledGaussianEvent(
        stage="generator",
        purpose=purpose,
        noise_multiplier=multiplier,
        sample_rate=config.sample_rate,
        steps=config.steps,
    )


def deal_batches(view: EncodedView, event: SubsampledGaussianEvent) -> Iterator[Batch]:
    """The Poisson batches of a planned training, charged now.

    Privacy:
        Charges exactly `event` to the curator before the first batch.

    Raises:
        PrivacyError: if the budget does not cover it, or if the curator charged another event.
    """
    batches = view.poisson_batches(
        sample_rate=event.sample_rate,
        noise_multiplier=event.noise_multiplier,
        steps=event.steps,
        purpose=event.purpose,
    )
    if view.events[-1] != event:
        raise PrivacyError("DP-SGD: the curator charged another training than was planned; nothing was trained")
    return batches


@lru_cache(maxsize=64)
def _noise_multiplier(sample_rate: float, steps: int, level: tuple[float, float], before: float) -> float:
    """The calibration takes a second, and a walk asks for it when it plans and when it trains."""
    epsilon, delta = level
    return calibrate_noise_multiplier(before=before, sample_rate=sample_rate, steps=steps, epsilon=epsilon, delta=delta)
