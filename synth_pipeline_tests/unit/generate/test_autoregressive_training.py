"""DP-SGD of the autoregressive network: replayed step by step against plain autograd, and charged as planned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.autoregressive import engine
from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.autoregressive.features import Features, make_features
from synth_pipeline.generate.autoregressive.network import Loss, PairCouplings, coupling_gradients
from synth_pipeline.generate.autoregressive.planning import training_event
from synth_pipeline.generate.autoregressive.training import Orders, make_trainer, train
from synth_pipeline.generate.dpsgd.clipping import CLIPPINGS
from synth_pipeline.generate.dpsgd.config import Execution
from synth_pipeline.generate.dpsgd.loop import DPTrainer
from synth_pipeline.generate.dpsgd.noise import on_lattice
from synth_pipeline.generate.dpsgd.oracle import clipped_sum_one_by_one
from synth_pipeline.generate.dpsgd.persons import Persons
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import SubsampledGaussianEvent
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.table.column import BooleanColumn, IntegerColumn
from synth_pipeline.table.encoded import Domain
from synth_pipeline.table.native import NativeTable
from synth_pipeline.table.profile import Profile
from synth_pipeline_tests.seeded_noise import SeededNoise, seeded_gaussians
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

SIZES = (3, 4, 2, 5)
DOMAIN = Domain(("a", "b", "c", "d"), SIZES)
ORDERS = (0.5, 0.25, 0.25)
SMALL = AutoregressiveConfig(target="member", steps=60, sample_rate=0.2)
SPEC = toy_spec()


def features() -> Features:
    rng = np.random.default_rng(3)
    widths = (3, 2, 2, 3)
    table = np.zeros((sum(SIZES), sum(widths)), dtype=np.float32)
    for column, size in enumerate(SIZES):
        first, start = sum(SIZES[:column]), sum(widths[:column])
        table[first : first + size, start : start + widths[column]] = rng.normal(size=(size, widths[column]))
    return Features(table, widths)


def rows(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, size, count) for size in SIZES], axis=1).astype(np.int32)


def positions() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.stack([np.arange(4), rng.permutation(4), rng.permutation(4)])


def make_loss() -> Loss:
    log_shares = np.log(np.concatenate([np.full(size, 1 / size) for size in SIZES]))
    return Loss(DOMAIN, features(), log_shares, (1.0, 1.0, 1.0, 2.0))


def couplings() -> PairCouplings:
    made = PairCouplings(features().widths)
    with torch.no_grad():
        made.weight.normal_(generator=torch.Generator().manual_seed(7))
    made.positions = torch.tensor(positions())
    return made


def trainer(*, multiplier: float, clip: float = 0.05, piece_rows: int = 1024, seed: int = 11) -> DPTrainer:
    config = AutoregressiveConfig(clip_norm=clip, steps=5, random_orders=2, main_share=0.5)
    event = SubsampledGaussianEvent(noise_multiplier=multiplier, sample_rate=config.sample_rate, steps=5)
    how = Execution(noise=seeded_gaussians(seed), piece_rows=piece_rows)
    return make_trainer(couplings(), make_loss(), config=config, event=event, execution=how)


def plain_gradients(codes: np.ndarray) -> torch.Tensor:
    """The gradient of each row by autograd, one row at a time."""
    loss, found = make_loss(), []
    for row in codes:
        module = couplings()
        given = torch.as_tensor(row[None]).long()
        loss.per_row(module(loss.inputs(given)), given, torch.tensor(ORDERS)).sum().backward()
        found.append(module.weight.grad)
    return torch.stack([gradient for gradient in found if gradient is not None])


def released_sum(run: DPTrainer, codes: np.ndarray) -> torch.Tensor:
    """The noisy sum of clipped gradients of a first step, recovered from how far the weights moved."""
    before = run.model.weight.detach().clone()
    run.step(codes)
    return (before - run.model.weight.detach()) / (run.unit * run.config.learning_rate)


def test_the_rule_gives_each_rows_norm_and_any_weighted_sum_with_all_orders_inside() -> None:
    codes, loss, module = torch.as_tensor(rows(40)).long(), make_loss(), couplings()
    inputs = loss.inputs(codes)
    effects = module(inputs)
    losses = loss.per_row(effects, codes, torch.tensor(ORDERS))
    (backprops,) = torch.autograd.grad(losses.sum(), effects)
    found, expected = coupling_gradients(module, inputs, backprops), plain_gradients(rows(40))
    torch.testing.assert_close(found.squared_norms.sqrt(), expected.flatten(1).norm(dim=1), rtol=1e-4, atol=1e-6)
    weights = torch.linspace(-1, 2, 40)
    total = found.weighted_sum(weights)[module.weight]
    torch.testing.assert_close(total, torch.einsum("b,bij->ij", weights, expected), rtol=1e-4, atol=1e-5)


def test_every_rows_contribution_to_a_step_is_clipped() -> None:
    codes = rows(12)
    norms = plain_gradients(codes).flatten(1).norm(dim=1)
    clip = float(norms.median())
    for row, gradient, norm in zip(codes, plain_gradients(codes), norms, strict=True):
        moved = released_sum(trainer(multiplier=1e-9, clip=clip), row[None])
        assert float(moved.norm()) <= clip * (1 + 1e-4)
        torch.testing.assert_close(moved, gradient * min(clip / float(norm), 1.0), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("added", range(5))
def test_adding_one_row_moves_a_step_by_at_most_the_clip(added: int) -> None:
    codes = rows(200)
    without = released_sum(trainer(multiplier=1e-9), np.delete(codes, added, axis=0))
    with_row = released_sum(trainer(multiplier=1e-9), codes)
    moved = float((with_row - without).norm())
    assert 0 < moved <= 0.05 * (1 + 1e-3)


def test_an_empty_batch_is_a_step_of_noise_alone() -> None:
    moved = released_sum(trainer(multiplier=1.5), rows(0))
    drawn = torch.from_numpy(seeded_gaussians(11)(moved.numel())).view_as(moved)
    expected = on_lattice(torch.zeros_like(moved), drawn, 1.5 * 0.05)
    torch.testing.assert_close(moved, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("factor, accepted", [(1.0, True), (0.7, False), (1.3, False)])
def test_the_noise_of_a_step_has_the_charged_scale(factor: float, accepted: bool) -> None:
    """Chi-square on 2,000 draws; the true scale is rejected in one of 10,000 runs (the seed is fixed here)."""
    draws = [released_sum(trainer(multiplier=3.0, seed=seed), rows(0)).flatten() for seed in range(20)]
    squares = float((torch.cat(draws).double() ** 2).sum()) / (factor * 3.0 * 0.05) ** 2
    count = sum(len(part) for part in draws)
    assert bool(chi2.ppf(5e-5, count) < squares < chi2.isf(5e-5, count)) is accepted


def test_a_batch_taken_in_pieces_makes_the_same_step() -> None:
    codes = rows(50)
    whole, pieces = (released_sum(trainer(multiplier=1.5, piece_rows=size), codes) for size in (1024, 7))
    torch.testing.assert_close(whole, pieces, rtol=1e-4, atol=1e-5)


def test_training_refuses_another_number_of_batches_than_was_charged() -> None:
    with pytest.raises(PrivacyError, match="3 batches were dealt where 5 were charged"):
        run_all(trainer(multiplier=1.5), 3)


def test_the_kept_weights_are_the_moving_average_both_ways() -> None:
    kept = run_all(trainer(multiplier=1.5), 5)
    assert kept.any()
    assert np.array_equal(kept, kept.T)
    part = features().part(1)
    assert not kept[part, part].any()


def run_all(run: DPTrainer, batches: int) -> np.ndarray:
    assert isinstance(run.model, PairCouplings)
    return train(
        run,
        run.model,
        iter([rows(4)] * batches),
        orders=Orders((0, 1, 2, 3), 2),
        rng=np.random.default_rng(0),
        progress=RuntimeConfig().report,
    )


@pytest.fixture(scope="module")
def trained() -> tuple[Curator, Profile, engine.Autoregressive]:
    curator = toy_curator(SPEC, toy_frame(4000))
    profile = build_profile(curator, SPEC.modelled, share=engine.PROFILE_SHARE)
    generator = engine.fit(curator, profile, SMALL, budget=curator.budget, runtime=RuntimeConfig(seed=0))
    return curator, profile, generator


def test_the_plan_costs_the_epsilon_of_the_specification() -> None:
    planned = engine.plan(SPEC, Budget.for_walk(epsilon=2.0, delta=1e-5, discovered_columns=1))
    assert 0.99 * 2.0 < composed_epsilon(planned.events, 1e-5) <= 2.0 * (1 + 1e-9)
    assert sum(line.epsilon for line in planned.lines) == pytest.approx(2.0)


def test_what_is_charged_is_what_was_planned_from_public_facts(trained) -> None:
    curator, _, generator = trained
    event = training_event(SMALL, curator.budget)
    assert generator.events == curator.events
    assert generator.events[-1] == event
    assert (event.sample_rate, event.steps, generator.facts["steps"]) == (0.2, 60, 60)
    assert 0.97 * 2.0 < composed_epsilon(generator.events, 1e-5) <= 2.0 * (1 + 1e-9)


def test_a_strong_association_survives(trained) -> None:
    _, profile, generator = trained
    table = generator.sample(4000, rng=np.random.default_rng(1))
    age, member = generator.domain.index("age"), generator.domain.index("member")
    is_old = profile.column("age").edges[table.codes[:, age]] > 50
    assert table.codes[is_old, member].mean() - table.codes[~is_old, member].mean() > 0.3
    assert generator.order[-1] == member


@pytest.mark.parametrize("columns", [1, 2])
def test_a_table_of_one_or_two_columns_is_trained(columns: int) -> None:
    rng = np.random.default_rng(0)
    declared = dict(list({"x": IntegerColumn(min=0, max=9), "y": BooleanColumn()}.items())[:columns])
    native = NativeTable({name: rng.integers(0, 2, 300).astype(np.int16) for name in declared})
    budget = Budget.for_walk(epsilon=1.0, delta=1e-6, discovered_columns=0)
    curator = Curator(native, unit=PrivacyUnit(None, 1), budget=budget, noise=SeededNoise(0))
    profile = build_profile(curator, declared, share=engine.PROFILE_SHARE)
    config = replace(SMALL, steps=4, target=None)
    generator = engine.fit(curator, profile, config, budget=budget, runtime=RuntimeConfig(seed=0))
    assert generator.sample(50, rng=rng).codes.shape == (50, columns)


@pytest.mark.parametrize("network", ["couplings", "transformer"])
def test_people_with_several_rows_are_trained_for_what_was_planned(network: str) -> None:
    curator = toy_curator(SPEC, toy_frame(1200), max_rows=3)
    profile = build_profile(curator, SPEC.modelled, share=engine.PROFILE_SHARE)
    config = replace(SMALL, network=network, steps=4)
    generator = engine.fit(curator, profile, config, budget=curator.budget, runtime=RuntimeConfig(seed=0))
    planned = engine.training_event(config, curator.budget)
    assert curator.events[-1] == planned
    assert generator.facts["expected_batch_rows"] == round(planned.sample_rate * profile.rows)
    assert 300 < profile.rows < 500


def test_the_rule_clips_people_with_several_rows_as_autograd_does() -> None:
    codes, loss, module = torch.as_tensor(rows(40)).long(), make_loss(), couplings()
    owners = torch.cat([torch.arange(20), 20 + torch.arange(20) // 5])
    expected = clipped_sum_one_by_one(
        module,
        lambda model, given: loss.per_row(model(loss.inputs(given)), given, torch.tensor(ORDERS)),
        codes,
        0.05,
        owners,
    )
    persons = Persons.of(owners)

    def losses() -> torch.Tensor:
        return persons.weigh(loss.per_row(module(loss.inputs(codes)), codes, torch.tensor(ORDERS)))

    sums, norms = CLIPPINGS["bookkeeping"](module, 0.05).sums(losses, persons)
    assert float(norms.max()) > 0.05
    torch.testing.assert_close(sums[module.weight], expected["weight"], rtol=1e-4, atol=1e-6)


def test_with_all_features_an_ordered_column_has_exactly_its_prior_covariance() -> None:
    curator = toy_curator(SPEC, toy_frame(1500))
    profile = build_profile(curator, SPEC.modelled, share=engine.PROFILE_SHARE)
    config = AutoregressiveConfig(features=1000)
    made, domain = make_features(profile, config), Encoder(profile).domain
    index = domain.index("grade")
    block = made.table[domain.slices()[index], made.part(index)]
    shares = profile.shares(index)[:3] / profile.shares(index)[:3].sum()
    place = np.cumsum(shares) - shares / 2
    prior = np.eye(4)
    prior[:3, :3] = 0.7 * np.exp(-np.abs(place[:, None] - place[None]) / 0.15) + 0.3 * np.eye(3)
    np.testing.assert_allclose(block @ block.T, prior, atol=1e-4)


def test_few_features_are_kept_of_wide_columns() -> None:
    curator = toy_curator(SPEC, toy_frame(1500))
    profile = build_profile(curator, SPEC.modelled, share=engine.PROFILE_SHARE)
    made = make_features(profile, AutoregressiveConfig(features=4, categories=3))
    assert max(made.widths) <= 4
    domain = Encoder(profile).domain
    city = domain.index("city")
    block = made.table[domain.slices()[city], made.part(city)]
    assert block.shape == (domain.sizes[city], 3)
    assert (block.sum(axis=1) == 1).all()


@pytest.mark.parametrize(
    "fault", [{"clip_norm": 0.0}, {"clip_norm": float("inf")}, {"sample_rate": 1.5}, {"steps": 0}, {"main_share": 0.0}]
)
def test_constants_without_meaning_are_refused(fault: dict[str, float]) -> None:
    with pytest.raises(PrivacyError, match=next(iter(fault))):
        AutoregressiveConfig(**fault)  # pyright: ignore[reportArgumentType]


def test_the_config_survives_json() -> None:
    assert AutoregressiveConfig.from_json(SMALL.to_json()) == SMALL
