"""Refresh: a generator trained on a fresh snapshot with an earlier one's noisy tables."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from synth_pipeline.errors import ModelError
from synth_pipeline.generate.engine_registry import Engine, engine_for
from synth_pipeline.generate.hybrid.config import HybridConfig
from synth_pipeline.generate.maxent.config import MaxentConfig
from synth_pipeline.generate.maxent.fit import Measurement
from synth_pipeline.generate.maxent.sharpen import sharpened
from synth_pipeline.generate.measured import measured_arrays, measured_from, measured_pair
from synth_pipeline.generate.mixture.config import MixtureConfig
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.answer import Noisy, PairPartition
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.refresh import refresh_profile
from synth_pipeline.table.column import IntegerColumn
from synth_pipeline.table.native import NativeTable
from synth_pipeline.table.profile import Profile
from synth_pipeline_tests.seeded_noise import SeededNoise
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

SPEC = toy_spec()
ROWS = 4000
FIELD = MaxentConfig(target="member", chains=512, sweeps=8, final_sweeps=16)
CONFIGS: dict[str, Any] = {
    "maxent": FIELD,
    "hybrid": HybridConfig(maxent=FIELD, fit_rows=2048, fit_steps=30),
    "mixture": MixtureConfig(target="member", components=40, steps=30, final_steps=80),
}
NONE: frozenset[str] = frozenset()


@pytest.fixture(scope="module", params=list(CONFIGS))
def prior(request: pytest.FixtureRequest) -> tuple[Engine, Profile, Any]:
    engine = engine_for(request.param)
    curator = toy_curator(SPEC, toy_frame(ROWS))
    profile = build_profile(curator, SPEC.modelled)
    config = CONFIGS[engine.kind]
    return engine, profile, engine.fit(curator, profile, config, budget=curator.budget, runtime=RuntimeConfig(seed=0))


def refreshed(
    prior: tuple[Engine, Profile, Any], changed: frozenset[str] = NONE, *, frame=None, seed: int = 5
) -> tuple[Curator, Any]:
    engine, profile, generator = prior
    curator = toy_curator(SPEC, toy_frame(ROWS, seed=1) if frame is None else frame, seed=seed)
    rows = Noisy(np.array([float(ROWS)]), 10.0)
    fresh = refresh_profile(curator, profile, SPEC.modelled, changed=changed, fresh={}, rows=rows)
    assert engine.refresh is not None
    found = engine.refresh(
        curator, fresh, CONFIGS[engine.kind], budget=curator.budget, runtime=RuntimeConfig(seed=0), prior=generator, changed=changed
    )  # fmt: skip
    return curator, found


def test_it_spends_the_whole_budget_and_not_more(prior) -> None:
    curator, found = refreshed(prior)
    assert curator.spent_cost == pytest.approx(curator.budget.cost, rel=1e-6)
    assert composed_epsilon(found.events, SPEC.privacy.delta) <= SPEC.privacy.epsilon * (1 + 1e-9)
    assert found.events == curator.events


def test_its_facts_say_what_was_reused_and_what_was_measured(prior) -> None:
    facts = refreshed(prior, frozenset({"age"}))[1].facts
    assert facts["changed_columns"] == ["age"]
    assert facts["reused_tables"] > 0
    assert facts["fresh_tables"] > 0
    assert facts["tables"] >= facts["reused_tables"]
    json.dumps(facts)


def test_tables_with_a_changed_column_are_not_reused(prior) -> None:
    _, profile, generator = prior
    names = [column.name for column in profile.columns]
    _, found = refreshed(prior, frozenset({"visit"}))
    gone = {index for index, name in enumerate(names) if name.startswith("visit")}
    kept = [item for item in generator.measured if not {item.first, item.second} & gone]
    counts = Counter((item.first, item.second) for item in kept)
    assert found.facts["reused_tables"] == sum(min(count, 3) for count in counts.values())
    assert set(found.facts["changed_columns"]) >= {"visit", "visit:weekday"}


def test_every_pair_of_a_changed_column_with_the_target_is_measured_afresh(prior) -> None:
    _, found = refreshed(prior, frozenset({"age"}))
    names = found.domain.names
    pairs = {frozenset((names[item.first], names[item.second])) for item in found.measured if item.sigmas is None}
    assert frozenset(("age", "member")) in pairs


def test_a_refresh_can_be_refreshed(prior) -> None:
    engine, profile, _ = prior
    _, found = refreshed(prior)
    _, again = refreshed((engine, profile, found), seed=9)
    assert again.facts["reused_tables"] > 0
    assert again.sample(50, rng=np.random.default_rng(0)).codes.shape == (50, len(profile.columns))


def test_saved_and_loaded_it_refreshes_to_the_same(prior, tmp_path: Path) -> None:
    engine, profile, generator = prior
    generator.save(tmp_path)
    codes = [
        refreshed((engine, profile, item))[1].sample(100, rng=np.random.default_rng(0)).codes
        for item in (generator, engine.load(tmp_path))
    ]
    assert np.array_equal(*codes)


def test_a_generator_saved_without_its_tables_is_loaded_and_cannot_be_refreshed(prior, tmp_path: Path) -> None:
    engine, profile, generator = prior
    generator.save(tmp_path)
    name = "mixture" if engine.kind == "mixture" else "maxent"
    arrays = load_file(str(tmp_path / f"{name}.safetensors"))
    kept = {key: array for key, array in arrays.items() if not key.startswith("measured")}
    save_file(kept, str(tmp_path / f"{name}.safetensors"))
    content = json.loads((tmp_path / f"{name}.json").read_text())
    del content["measured"]
    (tmp_path / f"{name}.json").write_text(json.dumps(content))
    old = engine.load(tmp_path)
    assert old.measured == ()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ModelError, match="use refit"):
        refreshed((engine, profile, old))


@pytest.mark.parametrize("prior", ["maxent"], indirect=True)
def test_an_association_that_drifted_under_equal_one_ways_is_found_and_measured_anew(prior) -> None:
    frame = toy_frame(ROWS, seed=1)
    rng = np.random.default_rng(3)
    frame["member"] = rng.permutation(frame["member"].to_numpy())  # the same share of members, at every age alike
    _, found = refreshed(prior, frame=frame)
    assert "age × member" in found.facts["drifted_pairs"]
    names = found.domain.names
    table = found.sample(4000, rng=rng).codes
    age, member = table[:, names.index("age")], table[:, names.index("member")]
    middle = np.median(age)
    assert abs(member[age > middle].mean() - member[age <= middle].mean()) < 0.15


def chained(rows: int, seed: int, *, drifted: bool) -> NativeTable:
    """`coarse` is a function of `fine`; x and y agree for most, and in a drifted table for none but by chance."""
    rng = np.random.default_rng(seed)
    fine, x = rng.integers(0, 12, rows), rng.integers(0, 6, rows)
    y = np.where((rng.random(rows) < 0.8) & ~np.full(rows, drifted), x, rng.integers(0, 6, rows))
    columns = {"fine": fine, "coarse": fine // 3, "x": x, "y": y}
    return NativeTable({name: codes.astype(np.int16) for name, codes in columns.items()})


@pytest.mark.parametrize("changed", [NONE, frozenset({"x"}), frozenset({"fine"})])
@pytest.mark.parametrize("drifted", [False, True])
@pytest.mark.parametrize("kind", ["maxent", "mixture"])
def test_dependencies_are_kept_while_they_hold_and_drifted_pairs_are_left_out(
    kind: str, drifted: bool, changed: frozenset[str]
) -> None:
    engine, declared = engine_for(kind), {name: IntegerColumn(min=0, max=11) for name in ("fine", "coarse", "x", "y")}
    budget = Budget.for_walk(epsilon=3.0, delta=1e-6, discovered_columns=0)
    unit, config = PrivacyUnit(None, 1), {"maxent": MaxentConfig(), "mixture": MixtureConfig(components=60)}[kind]
    first = Curator(chained(6000, 0, drifted=False), unit=unit, budget=budget, noise=SeededNoise(0))
    profile = build_profile(first, declared)
    earlier: Any = engine.fit(first, profile, config, budget=budget, runtime=RuntimeConfig(seed=0))
    assert earlier.facts["drawn_columns"] == {"coarse": "fine"}
    second = Curator(chained(6000, 1, drifted=drifted), unit=unit, budget=budget, noise=SeededNoise(1))
    rows = Noisy(np.array([6000.0]), 5.0)
    fresh = refresh_profile(second, profile, declared, changed=changed, fresh={}, rows=rows)
    assert engine.refresh is not None
    found: Any = engine.refresh(
        second, fresh, config, budget=budget, runtime=RuntimeConfig(seed=0), prior=earlier, changed=changed
    )
    assert found.facts["drawn_columns"] == {"coarse": "fine"}
    assert found.facts["kept_dependencies"] == int("fine" not in changed)
    assert ("x × y" in found.facts["drifted_pairs"]) is (drifted and "x" not in changed)
    codes = found.sample(6000, rng=np.random.default_rng(0)).codes
    assert (codes[:, 2] == codes[:, 3]).mean() == pytest.approx(1 / 6 if drifted else 5 / 6, abs=0.06)


@pytest.mark.parametrize("prior", ["maxent"], indirect=True)
def test_old_tables_bring_the_rows_nearer_to_the_fresh_ones(prior) -> None:
    """At a twentieth of ε: with the earlier release against without it."""
    engine, profile, generator = prior
    small = toy_spec(epsilon=0.1)
    frame = toy_frame(ROWS, seed=1)
    errors: dict[str, list[float]] = {"refit": [], "refresh": []}
    for seed in range(3):
        curator = toy_curator(small, frame, seed=seed)
        own = build_profile(curator, SPEC.modelled)
        fit = engine.fit(curator, own, FIELD, budget=curator.budget, runtime=RuntimeConfig(seed=seed))
        curator = toy_curator(small, frame, seed=seed)
        rows = Noisy(np.array([float(ROWS)]), 10.0)
        moved = refresh_profile(curator, profile, SPEC.modelled, changed=NONE, fresh={}, rows=rows)
        assert engine.refresh is not None
        again = engine.refresh(
            curator, moved, FIELD, budget=curator.budget, runtime=RuntimeConfig(seed=seed), prior=generator, changed=NONE
        )  # fmt: skip
        errors["refit"].append(_grade_member_error(fit, frame))
        errors["refresh"].append(_grade_member_error(again, frame))
    assert np.mean(errors["refresh"]) < 0.7 * np.mean(errors["refit"])


def _grade_member_error(generator: Any, frame) -> float:
    """Distance of (grade, member) to the fresh rows; both have the same codes in every profile."""
    codes = generator.sample(10 * ROWS, rng=np.random.default_rng(0)).codes
    names = generator.domain.names
    grade = frame["grade"].map({"low": 0, "mid": 1, "high": 2}).fillna(3).to_numpy().astype(int)
    truth = np.bincount(grade * 2 + frame["member"].to_numpy(), minlength=8) / len(frame)
    drawn = codes[:, names.index("grade")] * 2 + codes[:, names.index("member")]
    return float(np.abs(truth - np.bincount(drawn, minlength=8) / len(codes)).sum() / 2)


def test_measured_tables_come_back_as_they_were_saved() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, (5, 6))
    product = (np.array([0, 1, 1, 2])[:, None] * 2 + np.array([0, 0, 1])[None, :]).astype(np.int64)
    items = [
        measured_pair(PairPartition(0, 3, labels, 7, "rectangles"), rng.normal(size=7), 12.5, rows=900.0),
        measured_pair(PairPartition(1, 2, product, 6, "level 1"), rng.normal(size=6), rng.random(6) + 1, rows=800.0),
    ]
    arrays, records = measured_arrays(items)
    found = measured_from(arrays, json.loads(json.dumps(records)))
    for before, after in zip(items, found, strict=True):
        assert (before.first, before.second, before.name, before.rows) == (
            after.first,
            after.second,
            after.name,
            after.rows,
        )
        assert np.array_equal(before.labels, after.labels)
        assert np.array_equal(before.values, after.values)
        assert np.array_equal(before.noise, after.noise)
    assert arrays["measured_cells"].size <= labels.size + 6


def test_damaged_tables_are_refused() -> None:
    items = [measured_pair(PairPartition(0, 1, np.arange(4).reshape(2, 2), 4, "level 0"), np.ones(4), 1.0, rows=9.0)]
    arrays, records = measured_arrays(items)
    with pytest.raises(KeyError):
        measured_from({**arrays, "measured_values": arrays["measured_values"][:2]}, records)


def test_merging_with_a_table_of_unequal_noise_is_by_inverse_variance_cell_by_cell() -> None:
    part = PairPartition(0, 1, np.arange(2).reshape(1, 2), 2, "level 0")
    fresh = Measurement(part, np.array([10.0, 10.0]), 2.0)
    earlier = Measurement(part, np.array([20.0, 20.0]), 3.0, np.array([2.0, 1.0]))
    found = fresh.merged(earlier)
    assert found.values == pytest.approx([15.0, 18.0])
    assert found.noise**2 == pytest.approx([2.0, 0.8])


@pytest.mark.parametrize("prior", ["maxent"], indirect=True)
def test_margins_of_tables_sharpen_the_profile(prior) -> None:
    _, profile, generator = prior
    found = sharpened(profile, generator.measured)
    assert all(
        (new.sigma <= old.sigma * (1 + 1e-9)).all() for new, old in zip(found.columns, profile.columns, strict=True)
    )
    assert found.columns[0].sigma.mean() < profile.columns[0].sigma.mean()
    taken_over = [replace(item, sigmas=item.noise) for item in generator.measured]
    untouched = sharpened(profile, taken_over)
    assert all(
        np.array_equal(new.counts, old.counts) for new, old in zip(untouched.columns, profile.columns, strict=True)
    )
