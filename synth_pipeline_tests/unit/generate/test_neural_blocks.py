"""Rules, losses and laws of the neural engines, each against a slow or exact answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from synth_pipeline.encode.condition import Condition, SubDomain
from synth_pipeline.errors import ConstraintError
from synth_pipeline.generate.autoregressive.features import Features
from synth_pipeline.generate.diffusion.config import DiffusionConfig
from synth_pipeline.generate.diffusion.network import Denoiser, DiffusionLoss, Remembering
from synth_pipeline.generate.dpsgd.config import DPSGDConfig, Execution
from synth_pipeline.generate.dpsgd.loop import DPTrainer
from synth_pipeline.generate.dpsgd.oracle import clipped_sum_one_by_one
from synth_pipeline.generate.gan.config import GanConfig
from synth_pipeline.generate.gan.network import Conditions, Critic, CriticLoss, make_generator
from synth_pipeline.generate.gan.training import AdversarialTraining
from synth_pipeline.generate.neural.couplings import SymmetricCouplings, symmetric_couplings
from synth_pipeline.generate.neural.heads import Heads
from synth_pipeline.generate.neural.latent import LatentLaw, latent_decoder
from synth_pipeline.generate.neural.law import calibrate, draw_conditional, draw_rows
from synth_pipeline.generate.neural.space import CodeSpace
from synth_pipeline.generate.vae.config import VaeConfig
from synth_pipeline.generate.vae.network import Vae, VaeLoss
from synth_pipeline.privacy.events import SubsampledGaussianEvent
from synth_pipeline.privacy.secure_stream import lattice_spacing
from synth_pipeline.table.encoded import Domain
from synth_pipeline_tests.seeded_noise import seeded_gaussians

SIZES = (3, 4, 2, 5)
DOMAIN = Domain(("a", "b", "c", "d"), SIZES)
EVENT = SubsampledGaussianEvent(stage="generator", purpose="test", noise_multiplier=1.5, sample_rate=0.5, steps=3)
TRAINING = DPSGDConfig(sample_rate=0.5, steps=3, clip_norm=0.05, learning_rate=0.04, averaging=0.0, momentum=0.0)


def space() -> CodeSpace:
    rng = np.random.default_rng(3)
    widths = (3, 2, 2, 3)
    table = np.zeros((sum(SIZES), sum(widths)), dtype=np.float32)
    for column, size in enumerate(SIZES):
        first, start = sum(SIZES[:column]), sum(widths[:column])
        table[first : first + size, start : start + widths[column]] = rng.normal(size=(size, widths[column]))
    shares = np.concatenate([rng.dirichlet(np.ones(size) * 4) for size in SIZES])
    return CodeSpace(DOMAIN, Features(table, widths), shares)


def rows(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, size, count) for size in SIZES], axis=1).astype(np.int32)


def shaken(model: nn.Module) -> nn.Module:
    """A model away from its start, where half of its gradients are zero."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def model_and_loss(kind: str) -> tuple[nn.Module, object]:
    made, heads = space(), Heads(space())
    weights = torch.tensor(made.weights("d", 2.0))
    torch.manual_seed(1)
    if kind == "diffusion":
        config = DiffusionConfig(hidden=6, multiplicity=3)
        return shaken(Denoiser(made, config)), DiffusionLoss(Remembering(heads), weights, config.multiplicity)
    if kind == "vae":
        config = VaeConfig(latent=3, encoder_hidden=5, decoder_hidden=4)
        return shaken(Vae(made, config)), VaeLoss(heads, weights, config)
    return shaken(Critic(made, 5)), CriticLoss(heads, Conditions(made, heads)).real


def reseeded(loss: object, model: nn.Module, codes: torch.Tensor) -> torch.Tensor:
    """The loss with the same public draws for every row, whatever the batch."""
    parts = []
    for row in codes:
        torch.manual_seed(5)
        parts.append(loss(model, row[None]))  # pyright: ignore[reportCallIssue]
    return torch.cat(parts)


def test_the_couplings_rule_is_plain_autograd() -> None:
    torch.manual_seed(0)
    layer = SymmetricCouplings((3, 2, 4, 1))
    nn.init.normal_(layer.weight)
    inputs, goal = torch.randn(6, 3, 10), torch.randn(6, 3, 10)
    outputs = layer(inputs)
    (backprops,) = torch.autograd.grad(((outputs - goal) ** 2).sum(), outputs)
    found = symmetric_couplings(layer, inputs, backprops.clone())
    each = [torch.autograd.grad(((layer(inputs[[b]]) - goal[[b]]) ** 2).sum(), layer.weight)[0] for b in range(6)]
    torch.testing.assert_close(found.squared_norms, torch.stack([(g**2).sum() for g in each]), rtol=1e-5, atol=1e-5)
    weights = torch.rand(6)
    summed = found.weighted_sum(weights)[layer.weight]
    torch.testing.assert_close(summed, sum(w * g for w, g in zip(weights, each, strict=True)), rtol=1e-5, atol=1e-4)


def test_a_column_says_nothing_about_itself() -> None:
    layer = SymmetricCouplings((3, 2))
    nn.init.ones_(layer.weight)
    inputs = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0]])
    assert layer(inputs).tolist() == [[0.0, 0.0, 0.0, 3.0, 3.0]]


@pytest.mark.parametrize("kind", ["diffusion", "vae", "gan"])
def test_the_clipped_sum_of_every_engine_is_the_one_by_one_oracle(kind: str) -> None:
    model, loss = model_and_loss(kind)
    codes = torch.as_tensor(rows(7)).long()
    expected = clipped_sum_one_by_one(model, lambda m, c: reseeded(loss, m, c), codes, TRAINING.clip_norm)
    sums: dict[str, torch.Tensor] = {}
    for row in codes:
        trainer = DPTrainer(model, loss, config=TRAINING, event=EVENT)  # pyright: ignore[reportArgumentType]
        torch.manual_seed(5)
        for name, parameter in model.named_parameters():
            sums.setdefault(name, torch.zeros_like(parameter))
        found = trainer._piece_sums(row[None])
        for name, parameter in model.named_parameters():
            sums[name] += found.get(parameter, torch.zeros_like(parameter))
    for name, value in expected.items():
        torch.testing.assert_close(sums[name], value, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", ["diffusion", "vae", "gan"])
def test_an_empty_batch_is_a_step_of_noise_alone(kind: str) -> None:
    model, loss = model_and_loss(kind)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    execution = Execution(noise=seeded_gaussians(11))
    trainer = DPTrainer(model, loss, config=TRAINING, event=EVENT, execution=execution)  # pyright: ignore[reportArgumentType]
    trainer.step(rows(0))
    scale = 1.5 * TRAINING.clip_norm
    drawn = scale * torch.from_numpy(seeded_gaussians(11)(sum(parameter.numel() for parameter in before))).float()
    moved = torch.cat([(start - now.detach()).flatten() for start, now in zip(before, model.parameters(), strict=True)])
    moved /= trainer.unit * TRAINING.learning_rate
    torch.testing.assert_close(moved, drawn, rtol=1e-2, atol=0.51 * lattice_spacing(scale))


def gan_step(codes: np.ndarray) -> torch.Tensor:
    """How far one step of the critic moves its couplings on a batch, generated side included."""
    made = space()
    heads = Heads(made)
    torch.manual_seed(2)
    critic = shaken(Critic(made, 0))
    loss = CriticLoss(heads, Conditions(made, heads))
    config = GanConfig(latent=2, generator_hidden=4, generator_rows=16, critic_steps=2, training=TRAINING)
    execution = Execution(noise=seeded_gaussians(3))
    quiet = replace(EVENT, noise_multiplier=1e-9)
    trainer = DPTrainer(critic, loss.real, config=TRAINING, event=quiet, execution=execution)
    run = AdversarialTraining(
        trainer, make_generator(made, config), heads=heads, loss=loss, config=config, expected_rows=10.0
    )
    before = [parameter.detach().clone() for parameter in critic.parameters()]
    torch.manual_seed(4)
    side = run._generated_side()
    torch.manual_seed(9)
    trainer.step(codes, public_loss=side)
    moved = [
        (start - parameter.detach()).flatten() for parameter, start in zip(critic.parameters(), before, strict=True)
    ]
    return torch.cat(moved) / (trainer.unit * TRAINING.learning_rate)


def test_one_real_row_moves_the_critics_step_by_at_most_the_clip_with_the_generated_side_in_it() -> None:
    codes = rows(30)
    moved = float((gan_step(codes) - gan_step(codes[:-1])).norm())
    assert 0 < moved <= TRAINING.clip_norm * (1 + 1e-3)


def test_a_real_row_is_shown_a_condition_that_it_fulfils() -> None:
    made = space()
    heads = Heads(made)
    conditions = Conditions(made, heads)
    codes = torch.as_tensor(rows(50)).long()
    column, features = conditions.of_rows(codes)
    whole = heads.inputs(codes)
    of_feature = torch.tensor(made.features.columns)
    for row in range(50):
        inside = of_feature == column[row]
        assert torch.equal(features[row][inside], whole[row][inside])
        assert not features[row][~inside].any()


def test_networks_start_at_independent_columns_with_the_released_one_ways() -> None:
    made = space()
    heads = Heads(made)
    logits = heads.logits(latent_decoder(made, latent=2, hidden=4)(torch.randn(5, 2)))
    for part, share in zip(DOMAIN.slices(), made.by_column, strict=True):
        probabilities = logits[:, part].softmax(dim=-1).detach().double().numpy()
        np.testing.assert_allclose(probabilities, np.broadcast_to(share, probabilities.shape), atol=1e-5)


def test_wholly_forgotten_rows_are_independent_draws_of_the_one_ways_and_kept_ones_are_themselves() -> None:
    made = space()
    remembering = Remembering(Heads(made))
    codes = torch.as_tensor(rows(20_000)).long()
    kept = remembering.forget(codes, torch.ones(20_000), None)
    assert torch.equal(kept, codes)
    drawn = remembering.forget(codes, torch.zeros(20_000), torch.Generator().manual_seed(0)).numpy()
    for column, share in enumerate(made.by_column):
        assert np.abs(np.bincount(drawn[:, column], minlength=SIZES[column]) / 20_000 - share).max() < 0.02


def test_a_step_back_given_the_true_start_has_the_law_of_a_row_forgotten_less() -> None:
    """Forget to time t, step back with the true row: the result has the forgetting law of time t − 1, code by code."""
    made = space()
    remembering = Remembering(Heads(made))
    noise = torch.Generator().manual_seed(0)
    count, before, now = 40_000, torch.tensor(0.6), torch.tensor(0.3)
    start = torch.zeros((count, 4), dtype=torch.long)
    noisy = remembering.forget(start, now.expand(count), noise)
    back = remembering.step_back(noisy, start, (before, now), noise).numpy()
    for column, share in enumerate(made.by_column):
        expected = 0.4 * share
        expected[0] += 0.6
        assert np.abs(np.bincount(back[:, column], minlength=SIZES[column]) / count - expected).max() < 0.012


def mixed_law(scale: float = 1.0) -> tuple[LatentLaw, CodeSpace]:
    made = space()
    torch.manual_seed(3)
    decoder = latent_decoder(made, latent=2, hidden=4)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(scale * torch.randn(parameter.shape))
    return LatentLaw(decoder, made, 2), made


def test_calibrated_biases_give_the_released_one_ways() -> None:
    law, made = mixed_law()
    bias = calibrate(law, made, np.random.default_rng(0))
    codes = draw_rows(law, made, bias, 20_000, np.random.default_rng(1))
    for column, share in enumerate(made.by_column):
        assert np.abs(np.bincount(codes[:, column], minlength=SIZES[column]) / 20_000 - share).max() < 0.015


def test_a_condition_too_rare_for_the_law_is_refused() -> None:
    law, made = mixed_law()
    bias = np.zeros(made.codes, dtype=np.float32)
    bias[0] = -80.0
    where = Condition((SubDomain(0, np.arange(3), np.array([0, 1, 1]), np.zeros(3)),), np.array([True, False]))
    found = draw_conditional(law, made, bias, where, rows=50, rng=np.random.default_rng(0))
    assert (found.codes[:, 0] == 0).all()
    bias[0] = -np.inf
    with pytest.raises(ConstraintError, match="too rare"):
        draw_conditional(law, made, bias, where, rows=50, rng=np.random.default_rng(0))
