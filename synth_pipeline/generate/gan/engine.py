"""The GAN engine from end to end: SPACE → TRAIN (DP-SGD) → CALIBRATE; see `network` for the papers and the deviations."""

from pathlib import Path
from typing import Any

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.generate.dpsgd.config import Execution
from synth_pipeline.generate.dpsgd.planning import deal_batches
from synth_pipeline.generate.engine_registry import EnginePlan
from synth_pipeline.generate.gan.config import GanConfig
from synth_pipeline.generate.neural.generator import NeuralGenerator, load_generator
from synth_pipeline.generate.neural.law import HiddenLaw, calibrate
from synth_pipeline.generate.neural.planning import PROFILE_SHARE as SHARE
from synth_pipeline.generate.neural.planning import plan_training, steadied, training_event, training_facts
from synth_pipeline.generate.neural.space import CodeSpace, Floats32, make_space
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import Profile

PROFILE_SHARE: float | None = SHARE
KIND = "gan"
PURPOSE = "GAN critic: DP-SGD"


def make_config(spec: Spec) -> GanConfig:  # noqa: ARG001  every engine is given the specification
    """The mechanism config for a specification."""
    return GanConfig()


def plan(spec: Spec, budget: Budget) -> EnginePlan:
    """The profile's pool and the training run."""
    return plan_training(spec, budget, make_config(spec).training, PURPOSE)


def fit(
    curator: Curator, profile: Profile, config: GanConfig, *, budget: Budget, runtime: RuntimeConfig
) -> NeuralGenerator:
    """Train on the curator's Poisson batches with what the profile's share leaves of the budget.

    Args:
        curator: holder of the private rows; the profile's answers must have been given by it, or be among its `spent`.
        profile: the released profile.
        config: constants of the mechanism.
        budget: the walk's budget, the curator's own.
        runtime: device, seed of post-processing and progress.

    Privacy:
        One Poisson-subsampled Gaussian a step of the critic, planned from public facts and charged before the first batch. A real row
        enters the clipped sum once: sensitivity one clip. The generated rows' side of the critic's loss, and all of the generator's
        training, read released values only. Conditions come from the released one-ways, or are a real row's own code.

    Raises:
        PrivacyError: if the budget does not cover the planned training.
    """
    import torch

    from synth_pipeline.generate.dpsgd.loop import DPTrainer
    from synth_pipeline.generate.gan.network import Conditions, Critic, CriticLoss, make_generator
    from synth_pipeline.generate.gan.training import AdversarialTraining
    from synth_pipeline.generate.neural.heads import Heads

    event = training_event(config.training, budget, PURPOSE)
    view = curator.encoded(Encoder(profile))
    batches = deal_batches(view, event)
    space, rng = make_space(profile, features=config.features), runtime.generator()
    torch.manual_seed(int(rng.integers(2**63)))
    heads = Heads(space, runtime.device)
    loss = CriticLoss(heads, Conditions(space, heads))
    training = steadied(config.training, event, profile.rows)
    execution = Execution(device=runtime.device, noise=view.step_noise)
    critic = Critic(space, config.critic_hidden)
    trainer = DPTrainer(critic, loss.real, config=training, event=event, execution=execution)
    generator = make_generator(space, config).to(runtime.device)
    expected_rows = event.sample_rate * max(round(profile.rows), 1)  # people: each weighs one row
    duel = AdversarialTraining(trainer, generator, heads=heads, loss=loss, config=config, expected_rows=expected_rows)
    duel.run(batches, progress=runtime.report)
    law = _make_law(config, space, {name: value.cpu().numpy() for name, value in duel.average.items()})
    critic_weights = {name: value.cpu().numpy() for name, value in critic.state_dict().items()}
    facts = training_facts(event, profile, critic_weights) | {"generator_moves": duel.moves}
    return NeuralGenerator(KIND, law, space, calibrate(law, space, rng), config, curator.events, facts)


def load(folder: Path) -> NeuralGenerator:
    """The generator that was saved in a folder.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    return load_generator(folder, KIND, read_config=GanConfig.from_json, make_law=_make_law)


def _make_law(config: Any, space: CodeSpace, weights: dict[str, Floats32]) -> HiddenLaw:
    import torch

    from synth_pipeline.generate.gan.network import GanLaw, make_generator

    model = make_generator(space, config)
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    return GanLaw(model, space)
