"""The PATE-GAN engine from end to end: DEAL → (GENERATE → VOTE → LEARN → MOVE) × rounds → CALIBRATE. A baseline, not recommended.

At ε = 1 on adult, 1,000 votes of 1,950 teachers each carry noise of 128 teachers; the rows score as independent columns with the same
one-ways do (2-way on codes .087 against .088, TSTR AUC .56 against .56; one seed).
It is here because papers compare with it. See `training` for the paper and the deviations.
"""

from pathlib import Path
from typing import Any

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.generate.engine_registry import EnginePlan, discovery_events
from synth_pipeline.generate.neural.generator import NeuralGenerator, load_generator
from synth_pipeline.generate.neural.law import HiddenLaw, calibrate
from synth_pipeline.generate.neural.planning import PROFILE_SHARE as SHARE
from synth_pipeline.generate.neural.planning import profile_line, profile_pool
from synth_pipeline.generate.neural.space import CodeSpace, Floats32, make_space
from synth_pipeline.generate.pate_gan.config import PateGanConfig
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger.contract import ChargeLine
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import Profile

PROFILE_SHARE: float | None = SHARE
KIND = "pate_gan"
PURPOSE = "votes of disjoint teachers on generated records"
WARNING = "baseline, not recommended: at ε = 1 hardly more than independent columns with the released one-ways"


def make_config(spec: Spec) -> PateGanConfig:  # noqa: ARG001  every engine is given the specification
    """The mechanism config for a specification."""
    return PateGanConfig()


def plan(spec: Spec, budget: Budget) -> EnginePlan:
    """The profile's pool, and a pool for all votes."""
    votes = GaussianPoolEvent(stage="generator", purpose=PURPOSE, mu_squared=(1 - SHARE) * budget.cost)
    line = ChargeLine("generator", PURPOSE, "discrete Gaussian", (1 - SHARE) * budget.epsilon)
    events = (profile_pool(budget), *discovery_events(spec, budget), votes)
    return EnginePlan(events, (profile_line(spec, budget), line))


def fit(
    curator: Curator, profile: Profile, config: PateGanConfig, *, budget: Budget, runtime: RuntimeConfig
) -> NeuralGenerator:
    """Train on noisy votes, for what the profile's share leaves of the budget.

    Args:
        curator: holder of the private rows; the profile's answers must have been given by it, or be among its `spent`.
        profile: the released profile.
        config: constants of the mechanism.
        budget: the walk's budget, the curator's own.
        runtime: device, seed of post-processing and progress.

    Privacy:
        Each person is in one teacher's part. A round is one discrete Gaussian on as many counts as there are records, each of which one
        person moves by at most 1, paid from the pool (see `privacy.teachers`). Later rounds ask about records that hang on earlier noisy
        votes: Gaussian DP composes all the same. Student, generator and calibration are post-processing.

    Raises:
        PrivacyError: if the budget does not cover the votes.
    """
    import torch

    from synth_pipeline.generate.pate_gan.teacher import RandomFeatures
    from synth_pipeline.generate.pate_gan.training import Networks, VotedTraining

    view = curator.encoded(Encoder(profile))
    space, rng = make_space(profile, features=config.features), runtime.generator()
    torch.manual_seed(int(rng.integers(2**63)))
    networks = Networks.make(space, config, runtime.device)
    training = VotedTraining(networks, config, RandomFeatures.draw(space, config.projections, rng))
    panel = view.deal_to_teachers(max(max(round(profile.rows), 1) // config.rows_per_teacher, 2))
    cost = min((1 - SHARE) * budget.cost, view.left_cost)
    training.run(panel, cost=cost, purpose=PURPOSE, progress=runtime.report)
    law = _make_law(
        config, space, {name: value.cpu().numpy() for name, value in networks.generator.state_dict().items()}
    )
    sigma = curator.sigma_for(cost / config.rounds / config.records)
    facts = {
        "warning": WARNING,
        "teachers": panel.teachers,
        "votes": config.rounds * config.records,
        "noise_of_a_vote_teachers": round(sigma, 1),
        "parameters": sum(array.size for array in law.weights().values()),
    }
    return NeuralGenerator(KIND, law, space, calibrate(law, space, rng), config, curator.events, facts)


def load(folder: Path) -> NeuralGenerator:
    """The generator that was saved in a folder.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    return load_generator(folder, KIND, read_config=PateGanConfig.from_json, make_law=_make_law)


def _make_law(config: Any, space: CodeSpace, weights: dict[str, Floats32]) -> HiddenLaw:
    from synth_pipeline.generate.neural.latent import latent_law

    return latent_law(space, weights, latent=config.latent, hidden=config.generator_hidden)
