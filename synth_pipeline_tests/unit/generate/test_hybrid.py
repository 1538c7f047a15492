"""The hybrid: its scores, the correction that matches them, its budget, sampling and files."""

from pathlib import Path

import numpy as np
import pytest

from synth_pipeline.encode.condition import compile_condition
from synth_pipeline.errors import ModelError, PrivacyError
from synth_pipeline.generate.autoregressive.features import Features
from synth_pipeline.generate.engine_registry import engine_for
from synth_pipeline.generate.hybrid import engine
from synth_pipeline.generate.hybrid.conditional import TargetModel, field_conditional
from synth_pipeline.generate.hybrid.config import HybridConfig
from synth_pipeline.generate.hybrid.score import TargetScore, match_scores
from synth_pipeline.generate.maxent.config import MaxentConfig
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.view import VECTOR_UNITS, sum_of_clipped
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.signal import WEAK
from synth_pipeline.table.encoded import Domain, EncodedTable
from synth_pipeline.table.predicate import parse_predicate, region_table
from synth_pipeline.table.profile import Profile
from synth_pipeline_tests.toy_table import assert_budget_is_spent, toy_curator, toy_frame, toy_spec, toy_trained

SPEC = toy_spec()
SMALL = MaxentConfig(target="member", chains=512, sweeps=8, final_sweeps=16)
DOMAIN = Domain(("a", "b", "y"), (3, 2, 2))


@pytest.fixture(scope="module")
def trained() -> tuple[Curator, Profile, engine.Hybrid]:
    return toy_trained(engine.fit, HybridConfig(maxent=SMALL, fit_rows=4096), SPEC)


def small_model() -> TargetModel:
    """A target of two codes that hangs on neither of two other columns yet."""
    return TargetModel(2, (0, 1, 2), np.array([0, 3, 5]), np.zeros((7, 2), np.float32), np.zeros(2, np.float32))


def small_score(clip_norm: float) -> TargetScore:
    table = np.eye(7, dtype=np.float32)
    return TargetScore(DOMAIN, small_model(), Features(table, (3, 2, 2)), np.zeros(7, np.float32), clip_norm)


def small_rows(rows: int, effect: np.ndarray, seed: int) -> np.ndarray:
    """Rows whose target depends on the first column by the given log-odds."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, 3, rows), rng.integers(0, 2, rows), np.zeros(rows, np.int64)], axis=1)
    codes[:, 2] = rng.random(rows) < 1 / (1 + np.exp(-effect[codes[:, 0]]))
    return codes.astype(np.int32)


@pytest.mark.parametrize("clip_norm", [10.0, 0.8, 0.2])
def test_without_noise_the_correction_finds_the_true_law_however_hard_scores_are_clipped(clip_norm: float) -> None:
    effect = np.array([-2.0, 0.0, 1.5])
    private, released = small_rows(40_000, effect, 0), small_rows(20_000, np.zeros(3), 1)
    score = small_score(clip_norm)
    answer = sum_of_clipped(score(private)) / VECTOR_UNITS, 1.0
    weights = match_scores(score, released, answer, rows=40_000, prior=0.01, steps=200)
    found = score.model.corrected(*score.effects(weights)).logits(np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]]))
    assert found[:, 1] - found[:, 0] == pytest.approx(effect, abs=0.15)


def test_noise_that_drowns_the_scores_leaves_the_model_as_it_was() -> None:
    score = small_score(0.5)
    answer = np.random.default_rng(0).normal(size=12) * 1e6, 1e6
    weights = match_scores(score, small_rows(2000, np.zeros(3), 1), answer, rows=2000, prior=4.0, steps=40)
    assert np.abs(weights).max() < 0.05


def test_expected_clipped_scores_are_those_that_the_private_side_clips() -> None:
    score, rows = small_score(0.7), small_rows(500, np.zeros(3), 3)
    predictors = score.predictors(rows)
    factors = score.clipped_surprises(rows, predictors)[np.arange(500), rows[:, 2]]
    mine = np.einsum("rf,rp->fp", factors, predictors).reshape(-1)
    assert sum_of_clipped(score(rows)) / VECTOR_UNITS == pytest.approx(mine, abs=500 / VECTOR_UNITS)


def test_a_correction_is_the_same_as_block_and_bias_as_through_features() -> None:
    rng = np.random.default_rng(0)
    score, rows = small_score(1.0), small_rows(50, np.zeros(3), 4)
    score = TargetScore(DOMAIN, score.model, score.features, rng.normal(size=7).astype(np.float32), 1.0)
    weights = rng.normal(size=(2, 6)).astype(np.float32)
    direct = score.predictors(rows) @ weights.T @ score.target_features.T
    assert score.model.corrected(*score.effects(weights)).logits(rows) == pytest.approx(direct, abs=1e-5)


def test_a_row_has_the_same_score_to_the_last_bit_whoever_else_is_in_the_table() -> None:
    rng = np.random.default_rng(5)
    domain, sizes = Domain(("a", "y"), (40, 100)), (3, 32)
    table = np.zeros((140, sum(sizes)), np.float32)
    table[:40, :3], table[40:, 3:] = rng.normal(size=(40, 3)), rng.normal(size=(100, 32))
    block = rng.normal(size=(140, 100)).astype(np.float32)
    model = TargetModel(1, (0, 1), np.array([0, 40]), block, np.zeros(100, np.float32))
    score = TargetScore(domain, model, Features(table, sizes), np.zeros(35, np.float32), 1.0)
    rows = np.stack([rng.integers(0, 40, 515), rng.integers(0, 100, 515)], axis=1).astype(np.int32)
    whole = score(rows)
    for fewer in (1, 2, 3, 5, 9, 17, 514):
        assert np.array_equal(score(rows[fewer:]), whole[fewer:])
        assert np.array_equal(score(rows[:-fewer]), whole[:-fewer])


def test_calibration_gives_the_released_shares() -> None:
    rows = small_rows(3000, np.zeros(3), 5)
    model = small_model().corrected(np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32), np.zeros(2))
    shares = np.array([0.9, 0.1])
    assert model.calibrated(rows, shares).probabilities(rows).mean(axis=0) == pytest.approx(shares, abs=1e-3)


def test_it_spends_the_whole_budget_and_not_more(trained) -> None:
    curator, _, generator = trained
    assert_budget_is_spent(curator, generator.events, SPEC)


def test_the_scores_are_the_last_charge_and_their_share_is_as_planned(trained) -> None:
    curator, _, generator = trained
    last = generator.events[-1]
    assert last.purpose == "clipped scores of member"
    assert VECTOR_UNITS**2 / last.sigma**2 == pytest.approx(
        generator.config.score_share * curator.budget.cost, rel=1e-3
    )


def test_a_weak_table_keeps_a_larger_share_for_the_scores() -> None:
    curator = toy_curator(SPEC, toy_frame(300))
    profile = build_profile(curator, SPEC.modelled)
    assert profile.noise > WEAK
    config = HybridConfig(maxent=SMALL, fit_rows=1024)
    weak = engine.fit(curator, profile, config, budget=curator.budget, runtime=RuntimeConfig(seed=0))
    cost = VECTOR_UNITS**2 / weak.events[-1].sigma ** 2
    assert cost == pytest.approx(config.weak_score_share * curator.budget.cost, rel=1e-3)


def test_the_plan_reserves_what_a_fit_spends() -> None:
    budget = Budget.for_walk(epsilon=2.0, delta=1e-5, discovered_columns=1)
    planned = engine.plan(SPEC, budget)
    assert composed_epsilon(planned.events, 1e-5) <= 2.0
    assert sum(line.epsilon for line in planned.lines) == pytest.approx(2.0)
    assert any("scores of member" in line.purpose for line in planned.lines)


def test_without_a_target_it_is_maxent_and_holds_nothing_back() -> None:
    curator = toy_curator(SPEC, toy_frame(1000))
    columns = {name: SPEC.modelled[name] for name in ("age", "member", "grade")}
    profile = build_profile(curator, columns)
    config = HybridConfig(maxent=MaxentConfig(chains=256, sweeps=4, final_sweeps=4))
    generator = engine.fit(curator, profile, config, budget=curator.budget, runtime=RuntimeConfig(seed=0))
    assert generator.model is None
    assert curator.spent_cost == pytest.approx(curator.budget.cost, rel=1e-6)
    assert generator.sample(10, rng=np.random.default_rng(0)).rows == 10


def test_a_strong_association_with_the_target_survives(trained) -> None:
    _, profile, generator = trained
    table = generator.sample(4000, rng=np.random.default_rng(1))
    age, member = generator.domain.index("age"), generator.domain.index("member")
    is_old = profile.column("age").edges[table.codes[:, age]] > 50
    assert table.codes[is_old, member].mean() == pytest.approx(0.8, abs=0.1)
    assert table.codes[~is_old, member].mean() == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize("text", ["member = true and age < 30", "age > 70"])
def test_rows_under_a_condition_follow_the_same_law_as_free_rows_that_meet_it(trained, text: str) -> None:
    _, profile, generator = trained
    table = region_table([parse_predicate(text, SPEC.modelled)], SPEC.modelled, semantics="where")
    where = compile_condition(table, profile)
    held = generator.sample(3000, where=where, rng=np.random.default_rng(2))
    free = generator.sample(60_000, rng=np.random.default_rng(3))
    allowed = np.ones(free.rows)
    for sub in where.subdomains:
        kept = where.allowed.any(axis=tuple(i for i, s in enumerate(where.subdomains) if s is not sub))[sub.region]
        share = np.bincount(sub.parent[kept], np.exp(sub.log_share[kept]), minlength=free.domain.sizes[sub.column])
        allowed *= share[free.codes[:, sub.column]]
    for column, size in enumerate(free.domain.sizes):
        expected = np.bincount(free.codes[:, column], allowed, minlength=size) / allowed.sum()
        found = np.bincount(held.codes[:, column], minlength=size) / held.rows
        assert 0.5 * np.abs(expected - found).sum() < 0.08
    if "member" in text:
        assert (held.codes[:, free.domain.index("member")] == 1).all()


def test_it_loads_as_it_was_saved(trained, tmp_path: Path) -> None:
    generator = trained[2]
    generator.save(tmp_path)
    again = engine_for("hybrid").load(tmp_path)
    first, second = (item.sample(500, rng=np.random.default_rng(5)) for item in (generator, again))
    assert (first.codes == second.codes).all()
    assert again.events == generator.events
    assert again.config == generator.config


def test_a_damaged_model_is_refused_in_one_line(trained, tmp_path: Path) -> None:
    trained[2].save(tmp_path)
    (tmp_path / "hybrid.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="fit it again"):
        engine.load(tmp_path)


def test_the_field_law_of_a_column_is_the_one_its_rows_follow(trained) -> None:
    base, member = trained[2].base, trained[2].domain.index("member")
    rows = base.sample(20_000, rng=np.random.default_rng(6)).codes
    expected = field_conditional(base, member).probabilities(rows)[:, 1]
    order = np.argsort(expected)
    for part in np.array_split(order, 5):
        assert rows[part, member].mean() == pytest.approx(expected[part].mean(), abs=0.05)


def test_what_is_held_back_cannot_be_spent_before_it_is_released() -> None:
    curator = toy_curator(SPEC, toy_frame(50))
    whole = curator.left_cost
    with curator.hold_back(0.4 * whole):
        assert curator.left_cost == pytest.approx(0.6 * whole)
        with pytest.raises(PrivacyError, match="is left"):
            curator.count_rows(cost=0.7 * whole, stage="generator", purpose="too much")
    assert curator.left_cost == pytest.approx(whole)


@pytest.mark.parametrize("wrong", [{"score_share": 1.0}, {"clip_norm": 0.0}, {"prior": 0.0}])
def test_constants_without_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(PrivacyError, match="hybrid"):
        HybridConfig(**wrong)


def test_missing_cells_are_filled_and_known_ones_stay(trained) -> None:
    generator = trained[2]
    rows, member = generator.sample(2000, rng=np.random.default_rng(7)), generator.domain.index("member")
    given = rows.codes.copy()
    given[:1000, member] = -1
    given[500:, generator.domain.index("age")] = -1
    found = generator.impute(EncodedTable(given, generator.domain), rng=np.random.default_rng(8))
    assert (found.codes[given >= 0] == given[given >= 0]).all()
    assert found.codes.min() >= 0
    assert found.codes[:1000, member].mean() == pytest.approx(rows.codes[:1000, member].mean(), abs=0.06)
