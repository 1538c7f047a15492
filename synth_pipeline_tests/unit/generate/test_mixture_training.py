"""Training of the mixture: its fit, and the budget that it spends."""

import numpy as np
import pytest

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.engine_registry import engine_for
from synth_pipeline.generate.maxent.dependency import full_partition
from synth_pipeline.generate.maxent.fit import Measurement
from synth_pipeline.generate.maxent.transcript import Transcript
from synth_pipeline.generate.mixture import engine
from synth_pipeline.generate.mixture.config import MixtureConfig
from synth_pipeline.generate.mixture.fit import MixtureFitter, make_table_targets
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import GaussianPoolEvent
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
SMALL = MixtureConfig(target="member", components=40, steps=30, final_steps=80)


@pytest.fixture(scope="module")
def trained() -> tuple[Curator, Profile, engine.Mixture]:
    return toy_trained(engine.fit, SMALL, SPEC)


def test_it_spends_the_whole_budget_and_not_more(trained) -> None:
    curator, _, generator = trained
    assert_budget_is_spent(curator, generator.events, SPEC)


def test_what_is_reserved_is_the_pool_that_it_spends_from() -> None:
    budget = Budget.for_walk(epsilon=SPEC.privacy.epsilon, delta=SPEC.privacy.delta, discovered_columns=1)
    planned = engine_for("mixture").plan(SPEC, budget)
    pools = [event for event in planned.events if isinstance(event, GaussianPoolEvent)]
    assert [pool.mu_squared for pool in pools] == [budget.cost]
    assert sum(line.epsilon for line in planned.lines) == pytest.approx(budget.epsilon)


def test_every_charge_says_its_stage_and_purpose(trained) -> None:
    assert all(event.stage in ("profile", "generator") and event.purpose for event in trained[2].events)


def test_a_strong_association_survives(trained) -> None:
    _, profile, generator = trained
    assert member_shares(profile, generator) == pytest.approx((0.8, 0.25), abs=0.1)


def test_the_same_noise_and_seed_give_the_same_generator() -> None:
    made = [toy_trained(engine.fit, SMALL, SPEC, rows=1500, noise=3, seed=1)[2] for _ in range(2)]
    assert np.array_equal(*(generator.model.tables for generator in made))


@pytest.mark.parametrize("columns", [1, 2])
def test_a_table_of_one_or_two_columns_is_trained(columns: int) -> None:
    rng = np.random.default_rng(0)
    declared = {"x": IntegerColumn(min=0, max=9), "y": BooleanColumn()}
    declared = dict(list(declared.items())[:columns])
    native = NativeTable({name: rng.integers(0, 2, 300).astype(np.int16) for name in declared})
    budget = Budget.for_walk(epsilon=1.0, delta=1e-6, discovered_columns=0)
    curator = Curator(native, unit=PrivacyUnit(None, 1), budget=budget, noise=SeededNoise(0))
    profile = build_profile(curator, declared)
    generator = engine.fit(curator, profile, SMALL, budget=budget, runtime=RuntimeConfig(seed=0))
    assert generator.sample(50, rng=rng).codes.shape == (50, columns)


def pair_of(columns: int, rows: int, sigma: float, seed: int) -> tuple[Domain, np.ndarray, list[Measurement]]:
    """A true joint over two columns, and a noisy full table of it."""
    rng = np.random.default_rng(seed)
    domain = Domain(("a", "b"), (columns, columns))
    tables = rng.dirichlet(np.full(columns, 0.7), size=(2, 3))
    truth = (tables[0] * rng.dirichlet(np.ones(3))[:, None]).T @ tables[1]
    noisy = truth.reshape(-1) * rows + rng.normal(0, sigma, columns**2)
    return domain, truth, [Measurement(full_partition(0, 1, domain.sizes), noisy, sigma)]


def fitted_joint(domain: Domain, truth: np.ndarray, measured: list[Measurement], config: MixtureConfig) -> np.ndarray:
    shares = [truth.sum(1), truth.sum(0)]
    fitter = MixtureFitter(domain, shares, config, rows=10_000, seed=0)
    noise = np.full(sum(domain.sizes), 1e-3)
    fitter.run(make_table_targets(domain, measured, 10_000), (np.concatenate(shares), noise), config.final_steps)
    weights, tables = fitter.released()
    assert weights.sum() == pytest.approx(1.0)
    for part in domain.slices():
        assert tables[:, part].sum(1) == pytest.approx(np.ones(config.components))
    first, second = domain.slices()
    return (tables[:, first] * weights[:, None]).T @ tables[:, second]


def test_a_table_measured_without_much_noise_is_met() -> None:
    domain, truth, measured = pair_of(8, 10_000, sigma=5.0, seed=0)
    joint = fitted_joint(domain, truth, measured, MixtureConfig(components=60, final_steps=300))
    assert np.abs(joint - truth).sum() / 2 < 0.02


def test_a_noisy_table_is_denoised() -> None:
    domain, truth, measured = pair_of(12, 10_000, sigma=60.0, seed=1)
    noisy = np.maximum(measured[0].values, 0).reshape(truth.shape)
    joint = fitted_joint(domain, truth, measured, MixtureConfig(components=100, final_steps=200))
    assert np.abs(joint - truth).sum() < 0.7 * np.abs(noisy / noisy.sum() - truth).sum()


def test_neighbouring_tables_are_asked_the_same_questions_until_an_answer_differs() -> None:
    """Screen and first round see the profile alone: with equal answers so far their events are equal."""
    frame = toy_frame(800, 2)
    profile = build_profile(toy_curator(SPEC, toy_frame(500, 9), seed=1), SPEC.modelled)
    asked = []
    for table in (frame, frame.iloc[:-1]):
        curator = toy_curator(SPEC, table, seed=4)
        transcript = Transcript(curator.encoded(Encoder(profile)), profile, SMALL)
        transcript.screen(walk_cost=curator.budget.cost)
        flat = np.concatenate(transcript.shares)
        transcript.ask(0, np.outer(flat, flat))
        asked.append([event.to_dict() for event in curator.events])
    same = next((n for n, pair in enumerate(zip(*asked, strict=False)) if pair[0] != pair[1]), min(map(len, asked)))
    assert same >= 2  # the scores of dependencies and those of the first round
    totals = [sum(1 / event["sigma"] ** 2 * event.get("count", 1) for event in events) for events in asked]
    assert totals[0] == pytest.approx(totals[1], rel=1e-3)  # sigmas are rounded


@pytest.mark.parametrize("wrong", [{"components": 0}, {"steps": 0}, {"information": 0.0}, {"learning_rate": -1.0}])
def test_a_senseless_constant_is_refused(wrong) -> None:
    with pytest.raises(PrivacyError, match="mixture: "):
        MixtureConfig(**wrong)


def test_a_wide_table_gets_fewer_components() -> None:
    config = MixtureConfig(components=300, fewest_components=50)
    counts = [config.component_count(width) for width in (10, 800, 1200, 10_000)]
    assert counts == [300, 300, 133, 50]
    assert MixtureConfig(components=20).component_count(10_000) == 20


def test_a_config_survives_json() -> None:
    assert MixtureConfig.from_json(SMALL.to_json()) == SMALL
