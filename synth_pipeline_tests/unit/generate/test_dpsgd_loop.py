"""The DP-SGD loop: every step is a clipped sum with the charged noise, taken exactly as often as was charged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import Tensor, nn

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.config import DPSGDConfig, Execution, secure_gaussians
from synth_pipeline.generate.dpsgd.loop import DPTrainer
from synth_pipeline.generate.dpsgd.noise import on_lattice
from synth_pipeline.generate.dpsgd.oracle import clipped_sum_one_by_one
from synth_pipeline.generate.dpsgd.planning import deal_batches, plan_event
from synth_pipeline.generate.dpsgd.public import PublicSchedule, train_public
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.events import GaussianPoolEvent, SubsampledGaussianEvent
from synth_pipeline.privacy.secure_stream import lattice_spacing
from synth_pipeline.profile.build import build_profile
from synth_pipeline_tests.seeded_noise import seeded_gaussians
from synth_pipeline_tests.small_networks import CodeNet, next_code_loss
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

CONFIG = DPSGDConfig(sample_rate=0.2, steps=5, clip_norm=0.5, learning_rate=0.04)
MODES = ("bookkeeping", "ghost", "hooks")


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 6, (count, 3)).astype(np.int32)


def event(multiplier: float = 1.5, config: DPSGDConfig = CONFIG) -> SubsampledGaussianEvent:
    return SubsampledGaussianEvent(
        purpose="toy", noise_multiplier=multiplier, sample_rate=config.sample_rate, steps=config.steps
    )


def net() -> CodeNet:
    torch.manual_seed(0)
    return CodeNet().double()


def trainer(*, multiplier: float = 1.5, config: DPSGDConfig = CONFIG, seed: int = 11, **execution) -> DPTrainer:
    how = Execution(noise=seeded_gaussians(seed), **execution)
    return DPTrainer(net(), next_code_loss, config=config, event=event(multiplier, config), execution=how)


def released_sum(run: DPTrainer, codes: np.ndarray) -> dict[str, Tensor]:
    """The noisy sum of clipped gradients of a first step, recovered from how far the weights moved."""
    before = {name: value.detach().clone() for name, value in run.model.named_parameters()}
    run.step(codes)
    unit = run.unit * run.config.learning_rate
    return {name: (before[name] - value.detach()) / unit for name, value in run.model.named_parameters()}


def flat(sums: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten() for value in sums.values()])


@pytest.mark.parametrize("mode", MODES)
def test_a_step_moves_by_the_clipped_sum_of_the_rows_gradients(mode: str) -> None:
    codes = rows(30)
    found = released_sum(trainer(multiplier=1e-9, grad_mode=mode), codes)
    expected = clipped_sum_one_by_one(net(), next_code_loss, torch.as_tensor(codes).long(), CONFIG.clip_norm)
    torch.testing.assert_close(flat(found), flat(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_batch_is_a_step_of_noise_alone(mode: str) -> None:
    found = released_sum(trainer(grad_mode=mode), rows(0))
    drawn = torch.from_numpy(seeded_gaussians(11)(sum(weight.numel() for weight in net().parameters())))
    expected = on_lattice(torch.zeros_like(drawn), drawn, 1.5 * CONFIG.clip_norm)
    torch.testing.assert_close(flat(found), expected, rtol=1e-6, atol=1e-9)
    assert float((expected - 1.5 * CONFIG.clip_norm * drawn).abs().max()) <= lattice_spacing(1.5 * CONFIG.clip_norm) / 2


@pytest.mark.parametrize("factor, accepted", [(1.0, True), (0.7, False), (1.3, False)])
def test_the_noise_of_a_step_has_the_charged_scale(factor: float, accepted: bool) -> None:
    """Chi-square on 2,360 draws; the true scale is rejected in one of 10,000 runs (the seed is fixed here)."""
    draws = torch.cat([flat(released_sum(trainer(multiplier=3.0, seed=seed), rows(0))) for seed in range(20)])
    squares = float((draws**2).sum()) / (factor * 3.0 * CONFIG.clip_norm) ** 2
    assert bool(chi2.ppf(5e-5, len(draws)) < squares < chi2.isf(5e-5, len(draws))) is accepted


@pytest.mark.parametrize("added", range(4))
def test_adding_one_row_moves_a_step_by_at_most_the_clip(added: int) -> None:
    codes = rows(60)
    without = flat(released_sum(trainer(multiplier=1e-9), np.delete(codes, added, axis=0)))
    moved = float((flat(released_sum(trainer(multiplier=1e-9), codes)) - without).norm())
    assert 0 < moved <= CONFIG.clip_norm * (1 + 1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_taken_in_pieces_makes_the_same_step(mode: str) -> None:
    codes = rows(25)
    whole, pieces = (flat(released_sum(trainer(grad_mode=mode, piece_rows=size), codes)) for size in (100, 7))
    torch.testing.assert_close(whole, pieces, rtol=1e-9, atol=1e-9)


def test_a_row_whose_gradient_is_not_finite_adds_nothing() -> None:
    codes = rows(20)
    bad = codes[:, 0] == codes[3, 0]

    def broken(model: nn.Module, given: Tensor) -> Tensor:
        return next_code_loss(model, given) * torch.where(given[:, 0] == int(codes[3, 0]), float("inf"), 1.0)

    run = DPTrainer(net(), broken, config=CONFIG, event=event(1e-9), execution=Execution(noise=seeded_gaussians(1)))
    expected = clipped_sum_one_by_one(net(), next_code_loss, torch.as_tensor(codes[~bad]).long(), CONFIG.clip_norm)
    torch.testing.assert_close(flat(released_sum(run, codes)), flat(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_public_losss_gradient_is_added_unclipped(mode: str) -> None:
    run = trainer(multiplier=1e-9, grad_mode=mode)
    before = run.model.head.bias.detach().clone()
    run.step(rows(0), public_loss=lambda model: 7 * model.head.bias.sum())
    moved = (before - run.model.head.bias.detach()) / (run.unit * CONFIG.learning_rate)
    torch.testing.assert_close(moved, torch.full((6,), 7.0, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_noise_is_fresh_in_every_step_and_every_run() -> None:
    assert Execution().noise is secure_gaussians
    runs = [DPTrainer(net(), next_code_loss, config=CONFIG, event=event()) for _ in range(3)]
    steps = [flat(released_sum(run, rows(0))) for run in runs for _ in range(5)]
    assert len({tuple(step.tolist()) for step in steps}) == 15


def test_training_refuses_another_number_of_batches_than_was_charged() -> None:
    with pytest.raises(PrivacyError, match="3 batches were dealt where 5 were charged"):
        trainer().run(iter([rows(4)] * 3), progress=RuntimeConfig().report)
    with pytest.raises(PrivacyError, match="no further one"):
        trainer().run(iter([rows(4)] * 6), progress=RuntimeConfig().report)


def test_a_run_whose_rate_is_not_the_charged_one_is_refused() -> None:
    other = replace(event(), sample_rate=0.1)
    with pytest.raises(PrivacyError, match="plan the event from this config"):
        DPTrainer(net(), next_code_loss, config=CONFIG, event=other)


def test_a_model_that_mixes_rows_is_refused_in_every_mode() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    for mode in MODES:
        with pytest.raises(PrivacyError, match="mix rows"):
            DPTrainer(model, next_code_loss, config=CONFIG, event=event(), execution=Execution(grad_mode=mode))


def test_the_kept_weights_are_a_moving_average() -> None:
    run = trainer(config=replace(CONFIG, averaging=0.5))
    kept = {name: value.clone() for name, value in run.model.state_dict().items()}
    for step, batch in enumerate([rows(9, seed) for seed in range(5)]):
        run.step(batch)
        decay = min(0.5, (1 + step) / (10 + step))
        for name, value in run.model.state_dict().items():
            kept[name] = decay * kept[name] + (1 - decay) * value
    for name, value in run.averaged().items():
        torch.testing.assert_close(value, kept[name])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_with_little_noise_learns(optimizer: str) -> None:
    rate = 4.0 if optimizer == "sgd" else 0.05
    config = replace(CONFIG, steps=150, optimizer=optimizer, learning_rate=rate * (1e-2 if optimizer == "sgd" else 1))
    run = DPTrainer(net(), next_code_loss, config=config, event=event(0.1, config))
    codes = np.repeat(np.random.default_rng(0).integers(0, 6, (80, 1)), 3, axis=1).astype(np.int32)
    given = torch.as_tensor(codes).long()
    before = float(next_code_loss(run.model, given).mean().detach())
    run.run(iter([codes] * 150), progress=RuntimeConfig().report)
    run.model.load_state_dict(run.averaged())
    assert float(next_code_loss(run.model, given).mean().detach()) < 0.5 * before


def test_the_planned_event_spends_what_the_profile_leaves_and_no_more() -> None:
    planned = plan_event(CONFIG, epsilon=1.0, delta=1e-5, profile_cost=0.01, purpose="toy")
    pool = GaussianPoolEvent(mu_squared=0.01)
    assert (planned.sample_rate, planned.steps) == (CONFIG.sample_rate, CONFIG.steps)
    assert 0.99 < composed_epsilon((pool, planned), 1e-5) <= 1.0 + 1e-9


def test_the_dealt_batches_are_charged_as_planned_and_train() -> None:
    spec = toy_spec()
    curator = toy_curator(spec, toy_frame(600))
    profile = build_profile(curator, spec.modelled, share=0.15)
    view = curator.encoded(Encoder(profile))
    planned = plan_event(CONFIG, epsilon=1.0, delta=1e-5, profile_cost=0.15 * curator.budget.cost, purpose="toy")
    batches = list(deal_batches(view, planned))
    assert curator.events[-1] == planned
    assert len(batches) == CONFIG.steps
    assert all(60 < len(batch) < 180 for batch in batches)


def test_released_rows_are_learned_without_a_charge() -> None:
    model = net()
    codes = np.repeat(np.random.default_rng(0).integers(0, 6, (80, 1)), 3, axis=1).astype(np.int32)
    given = torch.as_tensor(codes).long()
    before = float(next_code_loss(model, given).mean().detach())
    schedule = PublicSchedule(steps=60, batch_rows=32, learning_rate=0.05)
    train_public(model, next_code_loss, codes, schedule, rng=np.random.default_rng(0))
    assert float(next_code_loss(model, given).mean().detach()) < 0.5 * before


@pytest.mark.parametrize(
    "fault",
    [
        {"clip_norm": 0.0},
        {"clip_norm": float("inf")},
        {"sample_rate": 1.5},
        {"steps": 0},
        {"learning_rate": -1.0},
        {"averaging": 1.0},
        {"optimizer": "lion"},
        {"schedule": "cyclic"},
    ],
)
def test_constants_without_meaning_are_refused(fault: dict[str, float]) -> None:
    with pytest.raises(PrivacyError, match=f"DP-SGD: {next(iter(fault))}"):
        replace(CONFIG, **fault)


def test_the_config_survives_json() -> None:
    assert DPSGDConfig.from_json(CONFIG.to_json()) == CONFIG
