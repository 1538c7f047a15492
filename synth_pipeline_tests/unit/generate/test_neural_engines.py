"""What vae, gan, diffusion and pate_gan have in common: they fit a toy table, charge what they planned, sample, save and load."""

import json
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth_pipeline.encode.condition import Condition, SubDomain
from synth_pipeline.errors import ConstraintError, ModelError, PrivacyError
from synth_pipeline.generate.dpsgd.config import DPSGDConfig
from synth_pipeline.generate.neural.generator import NeuralGenerator
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.table.column import BooleanColumn, IntegerColumn
from synth_pipeline.table.encoded import Codes
from synth_pipeline.table.native import NativeTable
from synth_pipeline.table.profile import Profile
from synth_pipeline_tests.damaged_folder import DAMAGES, Damage, damage_folder
from synth_pipeline_tests.seeded_noise import SeededNoise
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

SPEC = toy_spec()
DP_SGD = ("vae", "gan", "diffusion")
KINDS = (*DP_SGD, "pate_gan")
SMALL = {"sample_rate": 0.1, "steps": 15}


def engine_of(kind: str) -> Any:
    return import_module(f"synth_pipeline.generate.{kind}.engine")


def small_config(kind: str) -> Any:
    config = engine_of(kind).make_config(SPEC)
    if kind == "pate_gan":
        return replace(config, rounds=3, records=20, rows_per_teacher=50)
    small = {"times": 4, "multiplicity": 2} if kind == "diffusion" else {}
    return replace(config, training=replace(config.training, **SMALL), **small)


@dataclass(frozen=True)
class Fitted:
    kind: str
    curator: Curator
    profile: Profile
    generator: NeuralGenerator


@pytest.fixture(scope="module", params=KINDS)
def fitted(request: pytest.FixtureRequest) -> Fitted:
    engine = engine_of(request.param)
    curator = toy_curator(SPEC, toy_frame(2000))
    profile = build_profile(curator, SPEC.modelled, share=engine.PROFILE_SHARE)
    runtime = RuntimeConfig(seed=0)
    generator = engine.fit(curator, profile, small_config(request.param), budget=curator.budget, runtime=runtime)
    return Fitted(request.param, curator, profile, generator)


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_costs_the_epsilon_of_the_specification(kind: str) -> None:
    planned = engine_of(kind).plan(SPEC, Budget.for_walk(epsilon=2.0, delta=1e-5, discovered_columns=1))
    assert 0.99 * 2.0 < composed_epsilon(planned.events, 1e-5) <= 2.0 * (1 + 1e-9)
    assert sum(line.epsilon for line in planned.lines) == pytest.approx(2.0)


def test_what_is_charged_is_what_was_planned(fitted: Fitted) -> None:
    assert fitted.generator.events == fitted.curator.events
    assert 0.97 * 2.0 < composed_epsilon(fitted.generator.events, 1e-5) <= 2.0 * (1 + 1e-9)
    if fitted.kind in DP_SGD:
        from synth_pipeline.generate.neural.planning import training_event

        event = training_event(
            small_config(fitted.kind).training, fitted.curator.budget, engine_of(fitted.kind).PURPOSE
        )
        assert fitted.generator.events[-1] == event
        assert (event.sample_rate, event.steps) == (0.1, 15)


def test_sampled_rows_are_codes_of_the_domain_with_the_released_one_ways(fitted: Fitted) -> None:
    table = fitted.generator.sample(2000, rng=np.random.default_rng(1))
    assert table.codes.shape == (2000, len(fitted.generator.domain))
    for column, size in enumerate(fitted.generator.domain.sizes):
        counts = np.bincount(table.codes[:, column], minlength=size)
        assert len(counts) == size
        assert np.abs(counts / 2000 - fitted.profile.shares(column)).max() < 0.04


def test_no_rows_are_no_rows(fitted: Fitted) -> None:
    assert fitted.generator.sample(0, rng=np.random.default_rng(0)).codes.shape == (0, len(fitted.generator.domain))


def named(generator: NeuralGenerator, column: str, region: np.ndarray) -> SubDomain:
    index = generator.domain.index(column)
    size = generator.domain.sizes[index]
    return SubDomain(index, np.arange(size), region, np.zeros(size))


def member_or_high(generator: NeuralGenerator) -> Condition:
    """member = true or grade = 'high'."""
    member = named(generator, "member", np.array([0, 1]))
    grade = named(generator, "grade", np.array([0, 0, 1, 0]))
    return Condition((member, grade), np.array([[False, True], [True, True]]))


def met(generator: NeuralGenerator, codes: Codes) -> np.ndarray:
    member, grade = generator.domain.index("member"), generator.domain.index("grade")
    return (codes[:, member] == 1) | (codes[:, grade] == 2)


def test_rows_under_a_condition_satisfy_it_and_follow_the_conditional_law(fitted: Fitted) -> None:
    """Against rejection: shares of every other column's codes agree within 5 standard errors of 6,000 rows."""
    generator = fitted.generator
    free = generator.sample(12_000, rng=np.random.default_rng(2)).codes
    expected = free[met(generator, free)]
    table = generator.sample(6000, where=member_or_high(generator), rng=np.random.default_rng(3))
    assert met(generator, table.codes).all()
    for column, size in enumerate(generator.domain.sizes):
        first, second = (
            np.bincount(codes[:, column], minlength=size) / len(codes) for codes in (expected, table.codes)
        )
        error = np.sqrt(np.maximum(first, 1e-3) * 2 / min(len(expected), 6000))
        assert (np.abs(first - second) < 5 * error).all()


def test_an_empty_condition_is_refused(fitted: Fitted) -> None:
    where = Condition((named(fitted.generator, "member", np.array([0, 1])),), np.array([False, False]))
    with pytest.raises(ConstraintError, match="no row of the declared domain"):
        fitted.generator.sample(5, where=where, rng=np.random.default_rng(0))


def test_a_saved_generator_samples_the_same_rows(fitted: Fitted, tmp_path: Path) -> None:
    generator = fitted.generator
    generator.save(tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]
    loaded = engine_of(fitted.kind).load(tmp_path)
    assert (loaded.kind, loaded.events, loaded.config, loaded.facts) == (
        fitted.kind,
        generator.events,
        generator.config,
        generator.facts,
    )
    for where in (None, member_or_high(generator)):
        first, second = (g.sample(200, where=where, rng=np.random.default_rng(5)) for g in (generator, loaded))
        assert np.array_equal(first.codes, second.codes)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_in_one_line(fitted: Fitted, tmp_path: Path, damage: Damage) -> None:
    fitted.generator.save(tmp_path)
    damage_folder(tmp_path, fitted.kind, damage)
    with pytest.raises(ModelError, match="fit it again"):
        engine_of(fitted.kind).load(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_people_with_several_rows_are_trained_for_what_was_planned(kind: str) -> None:
    """Four rows a person; what is charged is what one row a person would be charged, in people."""
    engine = engine_of(kind)
    curator = toy_curator(SPEC, toy_frame(1600), max_rows=4)
    profile = build_profile(curator, SPEC.modelled, share=engine.PROFILE_SHARE)
    generator = engine.fit(curator, profile, small_config(kind), budget=curator.budget, runtime=RuntimeConfig(seed=0))
    assert 0.97 * 2.0 < composed_epsilon(generator.events, 1e-5) <= 2.0 * (1 + 1e-9)
    assert len(generator.sample(40, rng=np.random.default_rng(0)).codes) == 40
    if kind in DP_SGD:
        assert 30 < generator.facts["expected_batch_rows"] < 50
    else:
        assert generator.facts["teachers"] == round(profile.rows) // 50


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_table_of_one_or_two_columns_is_trained(kind: str, columns: int) -> None:
    rng = np.random.default_rng(0)
    declared = dict(list({"x": IntegerColumn(min=0, max=9), "y": BooleanColumn()}.items())[:columns])
    native = NativeTable({name: rng.integers(0, 2, 300).astype(np.int16) for name in declared})
    budget = Budget.for_walk(epsilon=2.0, delta=1e-5, discovered_columns=0)
    curator = Curator(native, unit=PrivacyUnit(None, 1), budget=budget, noise=SeededNoise(0))
    engine = engine_of(kind)
    profile = build_profile(curator, declared, share=engine.PROFILE_SHARE)
    generator = engine.fit(curator, profile, small_config(kind), budget=budget, runtime=RuntimeConfig(seed=0))
    assert generator.sample(50, rng=rng).codes.shape == (50, columns)


@pytest.mark.parametrize(
    "kind, fault",
    [
        ("vae", {"latent": 0}),
        ("vae", {"kl_weight": float("inf")}),
        ("gan", {"critic_steps": 0}),
        ("gan", {"temperature": 0.0}),
        ("diffusion", {"multiplicity": 0}),
        ("diffusion", {"times": 1}),
        ("pate_gan", {"records": 0}),
        ("pate_gan", {"ridge": 0.0}),
    ],
)
def test_constants_without_meaning_are_refused(kind: str, fault: dict[str, float]) -> None:
    with pytest.raises(PrivacyError, match=kind):
        replace(engine_of(kind).make_config(SPEC), **fault)


@pytest.mark.parametrize("kind", KINDS)
def test_the_config_survives_json(kind: str) -> None:
    config = small_config(kind)
    assert type(config).from_json(json.loads(json.dumps(config.to_json()))) == config
    assert kind == "pate_gan" or isinstance(config.training, DPSGDConfig)


def test_pate_gan_says_that_it_is_not_recommended() -> None:
    assert "not recommended" in engine_of("pate_gan").WARNING
