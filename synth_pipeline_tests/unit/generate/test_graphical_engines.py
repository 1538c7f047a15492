"""MST and AIM from curator to rows: what they spend, what they choose, what they keep."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.encode.decode import decode
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.generate import aim, mst
from synth_pipeline.generate.engine_registry import engine_for
from synth_pipeline.generate.graphical.compress import compress
from synth_pipeline.generate.graphical.model import GraphicalModel
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import DiscreteGaussianEvent, ExponentialEvent
from synth_pipeline.privacy.unit import WEIGHT_UNITS, PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import Profile
from synth_pipeline_tests.seeded_noise import SeededNoise
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

SPEC = toy_spec()
ENGINES = {"mst": mst, "aim": aim}
Trained = tuple[GraphicalModel, Profile, Curator]


def train(engine: ModuleType, *, seed: int = 0, max_rows: int = 1) -> Trained:
    curator = toy_curator(SPEC, toy_frame(3000), seed=seed, max_rows=max_rows)
    profile = build_profile(curator, SPEC.modelled, share=engine.PROFILE_SHARE)
    runtime = RuntimeConfig(seed=0)
    return (
        engine.fit(curator, profile, engine.make_config(SPEC), budget=curator.budget, runtime=runtime),
        profile,
        curator,
    )


@pytest.fixture(scope="module")
def trained() -> dict[str, Trained]:
    return {kind: train(engine) for kind, engine in ENGINES.items()}


@pytest.mark.parametrize("kind", ENGINES)
def test_it_spends_what_its_plan_reserves_and_not_more(kind: str, trained: dict[str, Trained]) -> None:
    generator, _, curator = trained[kind]
    budget = curator.budget
    plan = engine_for(kind).plan(SPEC, budget)
    assert curator.spent_cost <= budget.cost * (1 + 1e-9)
    assert curator.spent_cost > 0.99 * budget.cost
    assert composed_epsilon(curator.events, budget.delta) <= budget.epsilon
    assert composed_epsilon(plan.events, budget.delta) == pytest.approx(budget.epsilon, rel=1e-6)
    assert sum(line.epsilon for line in plan.lines) == pytest.approx(budget.epsilon)
    assert generator.events == curator.events


@pytest.mark.parametrize("kind", ENGINES)
def test_every_charge_says_its_stage_and_purpose(kind: str, trained: dict[str, Trained]) -> None:
    events = [event for event in trained[kind][0].events if event.stage == "generator"]
    assert all(event.purpose for event in events)
    choices, tables = (sum(isinstance(e, cls) for e in events) for cls in (ExponentialEvent, DiscreteGaussianEvent))
    assert choices == tables == len(events) / 2, "one choice and one table at a time"


@pytest.mark.parametrize("kind", ENGINES)
def test_a_strong_association_survives(kind: str, trained: dict[str, Trained]) -> None:
    generator, profile, _ = trained[kind]
    rng = np.random.default_rng(0)
    frame = decode(generator.sample(4000, rng=rng), profile, rng=rng)
    old = frame["age"] > 50
    assert frame["member"][old].mean() > 0.65
    assert frame["member"][~old].mean() < 0.35


@pytest.mark.parametrize("kind", ENGINES)
def test_one_ways_are_those_of_the_profile(kind: str, trained: dict[str, Trained]) -> None:
    generator, profile, _ = trained[kind]
    table = generator.sample(20_000, rng=np.random.default_rng(0))
    for index, size in enumerate(generator.domain.sizes):
        shares = np.bincount(table.codes[:, index], minlength=size) / table.rows
        assert 0.5 * np.abs(shares - profile.shares(index)).sum() < 0.08


def test_a_spanning_tree_joins_all_columns(trained: dict[str, Trained]) -> None:
    generator = trained["mst"][0]
    edges = generator.facts["tree"]
    reached = {edges[0][0]}
    for _ in edges:
        reached |= {end for edge in edges if set(edge) & reached for end in edge}
    assert len(edges) == len(generator.domain) - 1
    assert reached == set(generator.domain.names)


def test_with_little_noise_the_tree_is_the_true_one() -> None:
    """b follows a, c follows b: a chain, whose weakest pair is (a, c)."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 4000)
    b = np.where(rng.random(4000) < 0.85, a, rng.integers(0, 4, 4000))
    c = np.where(rng.random(4000) < 0.85, b, rng.integers(0, 4, 4000))
    names = {"a": a, "b": b, "c": c}
    columns = {name: {"kind": "integer", "min": 0, "max": 3} for name in names}
    spec = Spec.from_mapping({"dataset": "chain", "columns": columns, "privacy": {"epsilon": 5.0, "delta": 1e-5}})
    budget = Budget.for_walk(epsilon=5.0, delta=1e-5, discovered_columns=0)
    table = to_native(pd.DataFrame(names), spec)[0]
    curator = Curator(table, unit=PrivacyUnit(None, 1), budget=budget, noise=SeededNoise(0))
    profile = build_profile(curator, spec.modelled)
    generator = mst.fit(curator, profile, mst.make_config(spec), budget=budget, runtime=RuntimeConfig(seed=0))
    assert sorted(map(tuple, generator.facts["tree"])) == [("a", "b"), ("b", "c")]
    codes = generator.sample(4000, rng=np.random.default_rng(1)).codes
    true, drawn = (np.mean(first == second) for first, second in ((a, c), (codes[:, 0], codes[:, 2])))
    assert abs(true - drawn) < 0.03


def test_the_junction_tree_keeps_to_its_size() -> None:
    curator = toy_curator(SPEC, toy_frame(3000), seed=0)
    profile = build_profile(curator, SPEC.modelled)
    config = aim.AimConfig(most_cells=2000, merge_below=0.0)
    generator = aim.fit(curator, profile, config, budget=curator.budget, runtime=RuntimeConfig(seed=0))
    assert generator.beliefs.tree.cells <= 2000
    assert curator.spent_cost > 0.99 * curator.budget.cost


def test_where_no_pair_fits_the_cheapest_is_still_measured() -> None:
    curator = toy_curator(SPEC, toy_frame(1000), seed=0)
    profile = build_profile(curator, SPEC.modelled)
    config = aim.AimConfig(most_cells=1)
    generator = aim.fit(curator, profile, config, budget=curator.budget, runtime=RuntimeConfig(seed=0))
    assert generator.facts["pairs"] >= 1
    assert curator.spent_cost > 0.99 * curator.budget.cost


@pytest.mark.parametrize("kind", ENGINES)
def test_a_saved_generator_samples_the_same_rows(kind: str, trained: dict[str, Trained], tmp_path: Path) -> None:
    generator = trained[kind][0]
    generator.save(tmp_path)
    again = engine_for(kind).load(tmp_path)
    assert (again.kind, again.config, again.events, again.facts) == (
        kind, generator.config, generator.events, generator.facts
    )  # fmt: skip
    first, second = (item.sample(300, rng=np.random.default_rng(3)).codes for item in (generator, again))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("names", [["member"], ["age", "member"]])
def test_tables_of_one_or_two_columns_are_fitted_and_sampled(kind: str, names: list[str]) -> None:
    columns = {name: column for name, column in SPEC.modelled.items() if name in names}
    curator = toy_curator(SPEC, toy_frame(1000), seed=0)
    profile = build_profile(curator, columns)
    engine = ENGINES[kind]
    generator = engine.fit(
        curator, profile, engine.make_config(SPEC), budget=curator.budget, runtime=RuntimeConfig(seed=0)
    )
    assert generator.sample(50, rng=np.random.default_rng(0)).codes.shape == (50, len(names))


@pytest.mark.parametrize("kind", ENGINES)
def test_people_with_several_rows_are_weighed_in_every_answer(kind: str) -> None:
    generator, _, curator = train(ENGINES[kind], max_rows=3)
    gaussians = [event for event in generator.events if isinstance(event, DiscreteGaussianEvent)]
    assert {event.sensitivity for event in gaussians} == {WEIGHT_UNITS}
    assert curator.spent_cost <= curator.budget.cost * (1 + 1e-9)


@pytest.mark.parametrize("kind", ENGINES)
def test_the_same_noise_and_seed_give_the_same_generator(kind: str, trained: dict[str, Trained]) -> None:
    again = train(ENGINES[kind])[0]
    first, second = (item.sample(200, rng=np.random.default_rng(3)).codes for item in (trained[kind][0], again))
    assert np.array_equal(first, second)


def test_codes_lost_in_noise_share_one_code(trained: dict[str, Trained]) -> None:
    profile = trained["mst"][1]
    compression = compress(profile, 3.0)
    for index, column in enumerate(profile.columns):
        is_rare = column.counts < 3.0 * column.sigma
        assert len(set(compression.groups[index][is_rare].tolist())) == min(int(is_rare.sum()), 1)
        assert compression.sizes[index] == int((~is_rare).sum()) + min(int(is_rare.sum()), 1)
        totals = np.bincount(compression.groups[index], weights=compression.shares[index])
        np.testing.assert_allclose(totals, 1.0)
    assert Encoder(profile).domain.sizes == tuple(len(groups) for groups in compression.groups)
