"""Training of MaxEnt-Gibbs: groupings, selection, dependencies, fit and the budget that it spends."""

import numpy as np
import pytest
import torch

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.generate.maxent import engine
from synth_pipeline.generate.maxent.config import MaxentConfig, plan_rounds, step_sizes
from synth_pipeline.generate.maxent.dependency import full_partition, screen_dependencies
from synth_pipeline.generate.maxent.field import Field, start_field
from synth_pipeline.generate.maxent.fit import Fitter, Measurement, OneWays, Targets, make_targets, table_key
from synth_pipeline.generate.maxent.grouping import group_columns, rectangle_partitions
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.table.column import BooleanColumn, IntegerColumn
from synth_pipeline.table.encoded import Domain
from synth_pipeline.table.native import NativeTable
from synth_pipeline.table.profile import Profile
from synth_pipeline_tests.seeded_noise import SeededNoise
from synth_pipeline_tests.toy_table import (
    assert_budget_is_spent,
    member_shares,
    toy_curator,
    toy_frame,
    toy_spec,
    toy_trained,
)

SPEC = toy_spec()
SMALL = MaxentConfig(target="member", chains=512, sweeps=8, final_sweeps=16)


@pytest.fixture(scope="module")
def trained() -> tuple[Curator, Profile, engine.Maxent]:
    return toy_trained(engine.fit, SMALL, SPEC)


def test_it_spends_the_whole_budget_and_not_more(trained) -> None:
    curator, _, generator = trained
    assert_budget_is_spent(curator, generator.events, SPEC)


def test_every_charge_says_its_stage_and_purpose(trained) -> None:
    assert all(event.stage in ("profile", "generator") and event.purpose for event in trained[2].events)


def test_a_strong_association_survives(trained) -> None:
    _, profile, generator = trained
    assert member_shares(profile, generator) == pytest.approx((0.8, 0.25), abs=0.1)


def test_the_same_noise_and_seed_give_the_same_generator() -> None:
    made = [toy_trained(engine.fit, SMALL, SPEC, rows=1500, noise=3, seed=1)[2] for _ in range(2)]
    assert torch.equal(*(generator.field.weights for generator in made))


@pytest.mark.parametrize("columns", [1, 2])
def test_a_table_of_one_or_two_columns_is_trained(columns: int) -> None:
    rng = np.random.default_rng(0)
    declared = {"x": IntegerColumn(min=0, max=9), "y": BooleanColumn()}
    declared = dict(list(declared.items())[:columns])
    native = NativeTable({name: rng.integers(0, 2, 300).astype(np.int16) for name in declared})
    budget = Budget.for_walk(epsilon=1.0, delta=1e-6, discovered_columns=0)
    curator = Curator(native, unit=PrivacyUnit(None, 1), budget=budget, noise=SeededNoise(0))
    profile = build_profile(curator, declared)
    generator = engine.fit(curator, profile, MaxentConfig(), budget=budget, runtime=RuntimeConfig(seed=0))
    assert generator.sample(50, rng=rng).codes.shape == (50, columns)


def test_a_functional_dependency_takes_a_column_out_of_the_field_and_rows_keep_it() -> None:
    rng = np.random.default_rng(2)
    fine = rng.integers(0, 12, 6000)
    native = NativeTable(
        {"fine": fine.astype(np.int16), "coarse": (fine // 3).astype(np.int16), "other": rng.integers(0, 6, 6000)}
    )
    declared = {
        "fine": IntegerColumn(min=0, max=11),
        "coarse": IntegerColumn(min=0, max=3),
        "other": IntegerColumn(min=0, max=5),
    }
    budget = Budget.for_walk(epsilon=2.0, delta=1e-6, discovered_columns=0)
    curator = Curator(native, unit=PrivacyUnit(None, 1), budget=budget, noise=SeededNoise(1))
    profile = build_profile(curator, declared)
    generator = engine.fit(curator, profile, SMALL, budget=budget, runtime=RuntimeConfig(seed=0))
    assert [(item.column, item.parent) for item in generator.dependencies] == [(1, 0)]  # scales stay in the field
    codes = generator.sample(3000, rng=rng).codes
    assert ((codes[:, 0] // 3) == codes[:, 1]).mean() > 0.97


def test_independent_columns_are_not_taken_for_dependent() -> None:
    curator = toy_curator(SPEC, toy_frame(2000))
    profile = build_profile(curator, SPEC.modelled)
    found = screen_dependencies(
        curator.encoded(Encoder(profile)), profile, target=None, cost=0.02 * curator.budget.cost
    )
    assert {(item.column, item.parent) for item in found} == set()


def test_product_partitions_label_every_code_pair_once(trained) -> None:
    profile = trained[1]
    grouping = group_columns(profile, (12, 5))
    for part in grouping.products(0, 1):
        assert part.labels.shape == (profile.columns[0].codes, profile.columns[1].codes)
        assert sorted(np.unique(part.labels)) == list(range(part.size))


def test_nulls_stay_alone_in_coarse_groups(trained) -> None:
    profile = trained[1]
    index = [column.name for column in profile.columns].index("income")
    for maps in group_columns(profile, (12, 5)).maps[index]:
        assert (maps == maps[-1]).sum() == 1


def test_rectangles_cover_the_table_with_about_equal_mass() -> None:
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.ones(30 * 20)).reshape(30, 20)
    orders = (rng.permutation(30), rng.permutation(20))
    small, large = rectangle_partitions(joint, pair=(0, 1), orders=orders, sizes=(16, 64), smallest=0.0, name="test")
    assert (small.size, large.size) == (16, 64)
    masses = np.bincount(large.labels.reshape(-1), weights=joint.reshape(-1))
    assert masses.max() < 4 / 64
    finer = np.stack([large.labels.reshape(-1), small.labels.reshape(-1)])
    assert len(np.unique(finer, axis=1).T) == 64  # the larger partition refines the smaller


def test_rounds_follow_the_signal() -> None:
    assert plan_rounds(columns=15, rows=40_000, cost=0.07).rounds == 4
    assert plan_rounds(columns=24, rows=4_000, cost=0.07).rounds == 2
    assert step_sizes(10)[0] == pytest.approx(0.25)
    assert step_sizes(10)[-1] == pytest.approx(0.05)


def measured_field(*, rows: float, sigma: float, chains: int) -> tuple[Field, list[Measurement], OneWays]:
    """A field of three columns that are still independent, exact tables of its pairs, and its one-ways."""
    rng = np.random.default_rng(3)
    truth = rng.dirichlet(np.full(4 * 5 * 3, 0.5)).reshape(4, 5, 3)
    shares = [truth.sum((1, 2)), truth.sum((0, 2)), truth.sum((0, 1))]
    field = start_field(Domain(("a", "b", "c"), (4, 5, 3)), shares, chains, rng)
    pairs = {(0, 1): truth.sum(2), (0, 2): truth.sum(1), (1, 2): truth.sum(0)}
    measured = [
        Measurement(full_partition(first, second, (4, 5, 3)), table.reshape(-1) * rows, sigma)
        for (first, second), table in pairs.items()
    ]
    flat = torch.tensor(np.concatenate(shares), dtype=torch.float32)
    return field, measured, OneWays(flat, torch.full_like(flat, sigma / rows))


def fitter_of(field: Field, targets: Targets, one_ways: OneWays) -> Fitter:
    generator = torch.Generator().manual_seed(0)
    return Fitter(field, targets, one_ways, ridge=0.5, rng=np.random.default_rng(0), generator=generator)


def test_a_fit_without_noise_reproduces_its_tables() -> None:
    field, measured, one_ways = measured_field(rows=10_000.0, sigma=5.0, chains=8192)
    targets = make_targets(field, measured, 10_000.0, {})
    fitter = fitter_of(field, targets, one_ways)
    result = fitter.run(150)
    gap = (fitter.model_tables(result.joint) - targets.values).abs()
    assert float(gap.sum()) / 3 < 0.02  # mean L1 distance of the three tables


def test_the_chains_of_the_last_half_are_left_as_a_pool_that_follows_the_tables() -> None:
    field, measured, one_ways = measured_field(rows=10_000.0, sigma=50.0, chains=512)
    targets = make_targets(field, measured, 10_000.0, {})
    fitter_of(field, targets, one_ways).run(80)
    assert field.chains == 512 * 40
    codes = (field.states - field.offsets).numpy()
    shares = np.bincount(codes[:, 0] * 5 + codes[:, 1], minlength=20) / len(codes)
    assert np.abs(shares - measured[0].values / 10_000).sum() < 0.08


def test_chains_grow_with_the_signal() -> None:
    """A hundred thousand rows need more chains than five hundred: the chains' own sampling error must stay below the tables' noise."""
    counts: list[int] = []
    for rows in (500.0, 10_000.0, 100_000.0):
        field, measured, one_ways = measured_field(rows=rows, sigma=50.0, chains=256)
        fitter_of(field, make_targets(field, measured, rows, {}), one_ways).run(4)
        counts.append(field.chains // 2)
    assert counts[0] == 256
    assert counts == sorted(counts)
    assert counts[2] > 4 * counts[0]


def test_a_fit_that_stopped_too_early_converges_when_it_goes_on() -> None:
    rows = 100_000.0
    field, measured, one_ways = measured_field(rows=rows, sigma=50.0, chains=2048)
    first = make_targets(field, measured, rows, {})
    early = fitter_of(field, first, one_ways).run(3)
    assert early.residual > 1.5
    residuals = [early.residual]
    theta = first.theta.numpy()
    for _ in range(3):
        sizes = [item.partition.size for item in measured]
        parts = np.split(theta, np.cumsum(sizes)[:-1])
        known = {table_key(item.partition): part for item, part in zip(measured, parts, strict=True)}
        targets = make_targets(field, measured, rows, known)
        residuals.append(fitter_of(field, targets, one_ways).run(50).residual)
        theta = targets.theta.numpy()
    assert min(residuals) < 1.5
