"""What the hybrid will charge: one pool of Gaussian cost, of which a fixed share is kept for the scores of the target."""

from dataclasses import replace

from synth_pipeline.generate.engine_registry import EnginePlan
from synth_pipeline.generate.hybrid.config import HybridConfig
from synth_pipeline.generate.maxent import planning
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.ledger.contract import ChargeLine
from synth_pipeline.spec import Spec

PROFILE_SHARE: float | None = planning.PROFILE_SHARE


def make_config(spec: Spec) -> HybridConfig:
    """The mechanism config for a specification."""
    return HybridConfig(maxent=planning.make_config(spec))


def plan(spec: Spec, budget: Budget) -> EnginePlan:
    """The pool, and how it is spread: as by `maxent`, with the scores' share taken from its later stages."""
    before, config = planning.plan(spec, budget), make_config(spec)
    if config.target is None or config.score_share == 0:
        return before
    kept = config.score_share * budget.epsilon
    later = sum(line.epsilon for line in before.lines if line.stage == "generator")
    shrunk = [
        replace(line, epsilon=line.epsilon * (later - kept) / later) if line.stage == "generator" else line
        for line in before.lines
    ]
    scores = ChargeLine(
        "generator",
        f"clipped scores of {config.target} ({config.weak_score_share:.0%} of the pool where rows are few for the columns)",
        "discrete Gaussian",
        kept,
    )
    return EnginePlan(before.events, (*shrunk, scores))
