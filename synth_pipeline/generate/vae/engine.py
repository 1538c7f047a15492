"""The VAE engine from end to end: SPACE → TRAIN (DP-SGD) → CALIBRATE; see `network` for the papers and the deviations."""

from pathlib import Path
from typing import Any

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.generate.dpsgd.config import Execution
from synth_pipeline.generate.dpsgd.planning import deal_batches
from synth_pipeline.generate.engine_registry import EnginePlan
from synth_pipeline.generate.neural.generator import NeuralGenerator, load_generator
from synth_pipeline.generate.neural.law import HiddenLaw, calibrate
from synth_pipeline.generate.neural.planning import PROFILE_SHARE as SHARE
from synth_pipeline.generate.neural.planning import plan_training, steadied, training_event, training_facts
from synth_pipeline.generate.neural.space import CodeSpace, Floats32, make_space
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.generate.vae.config import VaeConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import Profile

PROFILE_SHARE: float | None = SHARE
KIND = "vae"
PURPOSE = "variational autoencoder: DP-SGD"


def make_config(spec: Spec) -> VaeConfig:
    """The mechanism config for a specification."""
    return VaeConfig(target=spec.benchmark.target if spec.benchmark else None)


def plan(spec: Spec, budget: Budget) -> EnginePlan:
    """The profile's pool and the training run."""
    return plan_training(spec, budget, make_config(spec).training, PURPOSE)


def fit(
    curator: Curator, profile: Profile, config: VaeConfig, *, budget: Budget, runtime: RuntimeConfig
) -> NeuralGenerator:
    """Train on the curator's Poisson batches with what the profile's share leaves of the budget.

    Args:
        curator: holder of the private rows; the profile's answers must have been given by it, or be among its `spent`.
        profile: the released profile.
        config: constants of the mechanism.
        budget: the walk's budget, the curator's own.
        runtime: device, seed of post-processing and progress.

    Privacy:
        One Poisson-subsampled Gaussian a step, planned from public facts and charged before the first batch. A row's gradient is the mean
        over `multiplicity` latent draws, over encoder and decoder together, clipped once: the sensitivity of a step's sum is one clip.
        The encoder is not kept. Calibration and sampling are post-processing.

    Raises:
        PrivacyError: if the budget does not cover the planned training.
    """
    import torch

    from synth_pipeline.generate.dpsgd.loop import DPTrainer
    from synth_pipeline.generate.neural.heads import Heads
    from synth_pipeline.generate.vae.network import Vae, VaeLoss

    event = training_event(config.training, budget, PURPOSE)
    view = curator.encoded(Encoder(profile))
    batches = deal_batches(view, event)
    space, rng = make_space(profile, features=config.features), runtime.generator()
    torch.manual_seed(int(rng.integers(2**63)))
    model = Vae(space, config).to(runtime.device)
    weights = torch.tensor(space.weights(config.target, config.target_weight), device=runtime.device)
    loss = VaeLoss(Heads(space, runtime.device), weights, config)
    training = steadied(config.training, event, profile.rows)
    execution = Execution(device=runtime.device, noise=view.step_noise)
    trainer = DPTrainer(model, loss, config=training, event=event, execution=execution)
    trainer.run(batches, progress=runtime.report)
    kept = {name: value.cpu().numpy() for name, value in trainer.averaged().items()}
    decoder = {name.removeprefix("decoder."): value for name, value in kept.items() if name.startswith("decoder.")}
    law = _make_law(config, space, decoder)
    facts = training_facts(event, profile, kept)
    return NeuralGenerator(KIND, law, space, calibrate(law, space, rng), config, curator.events, facts)


def load(folder: Path) -> NeuralGenerator:
    """The generator that was saved in a folder.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    return load_generator(folder, KIND, read_config=VaeConfig.from_json, make_law=_make_law)


def _make_law(config: Any, space: CodeSpace, weights: dict[str, Floats32]) -> HiddenLaw:
    from synth_pipeline.generate.neural.latent import latent_law

    return latent_law(space, weights, latent=config.latent, hidden=config.decoder_hidden)
