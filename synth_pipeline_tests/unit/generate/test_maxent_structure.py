"""What a specification declares, kept exactly: rules as impossible pairs of codes, and columns that are functions of others."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ModelError
from synth_pipeline.generate.maxent import engine
from synth_pipeline.generate.maxent.config import MaxentConfig
from synth_pipeline.generate.maxent.dependency import full_partition, screen_dependencies
from synth_pipeline.generate.maxent.field import start_field
from synth_pipeline.generate.maxent.fit import Fitter, Measurement, OneWays, make_targets
from synth_pipeline.generate.maxent.sample import Sampler
from synth_pipeline.generate.maxent.structure import FORBIDDEN, forbid
from synth_pipeline.generate.mixture import engine as mixture
from synth_pipeline.generate.mixture.config import MixtureConfig
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.table.column import BooleanColumn, CategoricalColumn, IntegerColumn, ModelledColumn, OrdinalColumn
from synth_pipeline.table.native import NativeTable
from synth_pipeline.table.predicate import parse_predicate, region_table
from synth_pipeline.table.profile import Profile
from synth_pipeline.table.region import RegionTable
from synth_pipeline_tests.seeded_noise import SeededNoise

RULED: dict[str, ModelledColumn] = {
    "age": OrdinalColumn(categories=("child", "young", "adult", "old")),
    "status": CategoricalColumn(categories=("single", "married", "widowed", "divorced")),
    "works": BooleanColumn(),
}
RULES = ("age <> 'child' OR status = 'single'", "NOT (age = 'old' AND works = true)")
SMALL = MaxentConfig(chains=512, sweeps=8, final_sweeps=16)


def profile_of(
    columns: dict[str, ModelledColumn], native: NativeTable, epsilon: float, *, noise: int = 1
) -> tuple[Curator, Profile]:
    budget = Budget.for_walk(epsilon=epsilon, delta=1e-6, discovered_columns=0)
    curator = Curator(native, unit=PrivacyUnit(None, 1), budget=budget, noise=SeededNoise(noise))
    return curator, build_profile(curator, columns)


def ruled_rows(rows: int) -> NativeTable:
    """Rows that obey RULES; children single, nobody old at work."""
    rng = np.random.default_rng(0)
    age = rng.integers(0, 4, rows)
    status = np.where(age == 0, 0, rng.choice(4, rows, p=[0.2, 0.4, 0.2, 0.2]))
    works = np.where(age == 3, 0, (rng.random(rows) < 0.2 + 0.2 * age).astype(np.int64))
    found = {"age": age, "status": status, "works": works}
    return NativeTable({name: values.astype(np.int16) for name, values in found.items()})


def rule_tables() -> tuple[RegionTable, ...]:
    tables = [region_table([parse_predicate(sql, RULED)], RULED, semantics="check") for sql in RULES]
    return tuple(table for table in tables if table is not None)


def broken(codes: np.ndarray) -> int:
    """Rows that break RULES, counted by no code of the package."""
    is_child, is_old = codes[:, 0] == 0, codes[:, 0] == 3
    return int(((is_child & (codes[:, 1] != 0)) | (is_old & (codes[:, 2] == 1))).sum())


def test_pairs_of_codes_that_no_row_may_hold_are_forbidden_and_no_others() -> None:
    _, profile = profile_of(RULED, ruled_rows(2000), 2.0)
    domain = Encoder(profile).domain
    field = start_field(domain, [profile.shares(index) for index in range(3)], 64, np.random.default_rng(0))
    assert forbid(field, rule_tables(), profile, (0, 1, 2)) == 4
    starts = domain.offsets
    wanted = {(starts[0], starts[1] + status) for status in (1, 2, 3)} | {(starts[0] + 3, starts[2] + 1)}
    found = {tuple(place) for place in torch.nonzero(field.weights == FORBIDDEN).tolist()}
    assert found == wanted | {(second, first) for first, second in wanted}
    assert float(field.bias.min()) > -50


def test_a_code_that_no_row_may_hold_is_forbidden_by_itself() -> None:
    _, profile = profile_of(RULED, ruled_rows(2000), 2.0)
    domain = Encoder(profile).domain
    field = start_field(domain, [profile.shares(index) for index in range(3)], 64, np.random.default_rng(0))
    table = region_table([parse_predicate("status <> 'widowed'", RULED)], RULED, semantics="check")
    assert table is not None
    assert forbid(field, (table,), profile, (0, 1, 2)) == 0
    assert torch.nonzero(field.bias == FORBIDDEN).reshape(-1).tolist() == [domain.offsets[1] + 2]


def test_a_rule_about_a_column_outside_the_field_leaves_the_field_alone() -> None:
    _, profile = profile_of(RULED, ruled_rows(2000), 2.0)
    domain = Encoder(profile).domain
    active = type(domain)(domain.names[1:], domain.sizes[1:])
    field = start_field(active, [profile.shares(index) for index in (1, 2)], 64, np.random.default_rng(0))
    assert forbid(field, rule_tables(), profile, (1, 2)) == 0
    assert not field.weights.any()


def test_a_fit_to_noisy_tables_keeps_to_the_rules_that_the_noise_breaks() -> None:
    """The noise gives forbidden cells hundreds of rows; the field gives them none, and the allowed cells of a rule keep their shares."""
    rng = np.random.default_rng(4)
    rows, noise = 6000, 60.0
    columns = np.stack([ruled_rows(rows).columns[name] for name in RULED], axis=1).astype(np.int64)
    _, profile = profile_of(RULED, ruled_rows(rows), 2.0)
    shares = [np.bincount(columns[:, index], minlength=size) / rows for index, size in enumerate((4, 4, 2))]
    field = start_field(Encoder(profile).domain, [share + 1e-3 for share in shares], 2048, rng)
    forbid(field, rule_tables(), profile, (0, 1, 2))
    measured: list[Measurement] = []
    for first, second in ((0, 1), (0, 2)):
        part = full_partition(first, second, (4, 4, 2))
        counts = np.bincount(part.labels[columns[:, first], columns[:, second]], minlength=part.size).astype(float)
        measured.append(Measurement(part, counts + np.abs(rng.normal(0, noise, part.size)), noise))
    targets = make_targets(field, measured, rows, {})
    flat = torch.tensor(np.concatenate(shares), dtype=torch.float32)
    one_ways = OneWays(flat, torch.full_like(flat, noise / rows))
    generator = torch.Generator().manual_seed(0)
    result = Fitter(field, targets, one_ways, ridge=0.5, rng=rng, generator=generator).run(60)
    states = Sampler(field, result.joint, rng, generator).rows(5000).numpy() - np.array(field.domain.offsets[:-1])
    assert broken(states) == 0
    for first, second in ((0, 1), (0, 2)):
        size = (4, 4, 2)[second]
        real = np.bincount(columns[:, first] * size + columns[:, second], minlength=4 * size) / rows
        drawn = np.bincount(states[:, first] * size + states[:, second], minlength=4 * size) / len(states)
        assert np.abs(real - drawn).sum() / 2 < 0.05


def test_a_training_under_rules_draws_no_row_that_breaks_them() -> None:
    curator, profile = profile_of(RULED, ruled_rows(3000), 1.0)
    runtime = RuntimeConfig(seed=0, rules=rule_tables())
    generator = engine.fit(curator, profile, SMALL, budget=curator.budget, runtime=runtime)
    assert generator.facts["forbidden_pairs"] == 4
    assert broken(generator.sample(4000, rng=np.random.default_rng(1)).codes) == 0


def town_rows(rows: int, towns: int) -> tuple[dict[str, ModelledColumn], NativeTable]:
    """Towns, the district that each of them is in (four of five declared ones occur), and a number that follows the district."""
    rng = np.random.default_rng(3)
    town = rng.integers(0, towns, rows)
    district = town % 4
    pay = np.clip(2 * district + rng.integers(0, 3, rows), 0, 9)
    declared: dict[str, ModelledColumn] = {
        "town": CategoricalColumn(categories=tuple(f"t{number}" for number in range(towns))),
        "district": CategoricalColumn(categories=("north", "east", "south", "west", "none"), determined_by="town"),
        "pay": IntegerColumn(min=0, max=9),
    }
    found = {"town": town, "district": district, "pay": pay}
    return declared, NativeTable({name: values.astype(np.int16) for name, values in found.items()})


@pytest.mark.parametrize("towns, drawn", [(12, (1, 0)), (60, (0, 1))], ids=["short list", "long list"])
def test_a_declared_function_is_exact_in_every_row(towns: int, drawn: tuple[int, int]) -> None:
    declared, native = town_rows(20_000, towns)
    curator, profile = profile_of(declared, native, 1.0)
    config = replace(SMALL, determined=(("district", "town"),))
    generator = engine.fit(curator, profile, config, budget=curator.budget, runtime=RuntimeConfig(seed=0))
    assert [(item.column, item.parent) for item in generator.dependencies] == [drawn]
    codes = generator.sample(20_000, rng=np.random.default_rng(1)).codes
    groups = profile.columns[0].group_of  # pyright: ignore[reportAttributeAccessIssue]
    is_single = np.bincount(groups) == 1
    for code in np.unique(codes[:, 0]):
        if is_single[code]:
            assert len(np.unique(codes[codes[:, 0] == code, 1])) == 1
    assert (codes[:, 1] == codes[:, 0] % 4).mean() > 0.98


@pytest.mark.parametrize("kind", ["maxent", "mixture"])
def test_a_value_that_the_declared_function_never_takes_is_never_drawn(kind: str) -> None:
    """The noise gives `none`, a declared district that does not occur, a share of the rows; no town is in it."""
    declared, native = town_rows(8000, 60)
    curator, profile = profile_of(declared, native, 1.0, noise=4)
    assert profile.shares(1)[4] > 1e-3
    determined = (("district", "town"),)
    budget, runtime = curator.budget, RuntimeConfig(seed=0)
    if kind == "maxent":
        generator = engine.fit(curator, profile, replace(SMALL, determined=determined), budget=budget, runtime=runtime)
    else:
        config = MixtureConfig(determined=determined, components=20, steps=10, final_steps=20)
        generator = mixture.fit(curator, profile, config, budget=budget, runtime=runtime)
    codes = generator.sample(20_000, rng=np.random.default_rng(1)).codes
    assert not (codes[:, 1] == 4).any()
    assert all(len(np.unique(codes[codes[:, 0] == code, 1])) == 1 for code in np.unique(codes[:, 0]))


def test_a_declared_function_is_not_screened_for() -> None:
    """With nothing else to screen, the only charge is the table of the function."""
    declared, native = town_rows(3000, 12)
    curator, profile = profile_of({**declared, "pay": BooleanColumn()}, NativeTable(
        {**native.columns, "pay": (native.columns["pay"] > 4).astype(np.int16)}
    ), 1.0)  # fmt: skip
    before = len(curator.events)
    cost = 0.05 * curator.budget.cost
    found = screen_dependencies(curator.encoded(Encoder(profile)), profile, target=None, cost=cost, declared=((0, 1),))
    assert [(item.column, item.parent) for item in found] == [(1, 0)]
    assert [event.purpose for event in curator.events[before:]] == ["functional dependency town → district"]


class Misfit(engine._Trainer):
    """A training whose fit stands where it is put."""

    def __init__(self, profile: Profile, *, residual: float, misfit: float) -> None:
        self.profile = profile
        self.fitted = engine.FitResult(torch.zeros(1, 1), residual, misfit)


@pytest.fixture(scope="module")
def strong() -> Profile:
    return profile_of(RULED, ruled_rows(3000), 2.0)[1]


def test_the_misfit_of_a_fit_is_what_its_noise_does_not_explain() -> None:
    """Independent columns against a table on the diagonal: half the mass is elsewhere; against their own table only noise is left."""
    rng = np.random.default_rng(0)
    halves = [np.full(2, 0.5), np.full(2, 0.5)]
    domain = Encoder(profile_of({"a": BooleanColumn(), "b": BooleanColumn()}, NativeTable(
        {name: np.zeros(9, dtype=np.int16) for name in "ab"}
    ), 1.0)[1]).domain  # fmt: skip
    found = []
    for table in ([0.5, 0.0, 0.0, 0.5], [0.25, 0.25, 0.25, 0.25]):
        field = start_field(domain, halves, 4096, rng)
        part = full_partition(0, 1, (2, 2))
        targets = make_targets(field, [Measurement(part, 1000 * np.array(table), 10.0)], 1000.0, {})
        flat = torch.full((4,), 0.5)
        fitter = Fitter(
            field, targets, OneWays(flat, flat), ridge=0.5, rng=rng, generator=torch.Generator().manual_seed(0)
        )
        joint = torch.outer(flat, flat)
        found.append(fitter._goodness(joint))
    assert found[0][1] == pytest.approx(0.5 - 4 * np.sqrt(2 / np.pi) * 0.01 / 2, abs=1e-5)
    assert found[0][0] == pytest.approx(25.0, rel=1e-5)
    assert found[1] == (0.0, 0.0)


def test_a_field_that_misses_its_tables_is_refused(strong: Profile) -> None:
    with pytest.raises(ModelError, match=r"differ from the measured ones by 0\.30 .* stays charged") as refusal:
        Misfit(strong, residual=9.0, misfit=0.3)._check_converged()
    assert "\n" not in str(refusal.value)


def test_a_field_near_its_tables_is_released_with_a_warning(strong: Profile, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Misfit(strong, residual=2.5, misfit=0.05)._check_converged()
    assert "the fit ends 2.5 noise standard deviations from its tables" in caplog.text


def test_a_field_within_the_noise_of_its_tables_is_released_without_a_word(
    strong: Profile, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        Misfit(strong, residual=1.0, misfit=0.01)._check_converged()
    assert caplog.text == ""


@pytest.mark.parametrize("rows", [0, 1, 20])
def test_a_table_whose_answers_are_all_noise_is_released_with_what_little_it_says(rows: int) -> None:
    curator, profile = profile_of(RULED, ruled_rows(rows), 0.5)
    assert "far too few" in profile.warnings[0]
    generator = engine.fit(curator, profile, SMALL, budget=curator.budget, runtime=RuntimeConfig(seed=0))
    assert len(generator.sample(30, rng=np.random.default_rng(0)).codes) == 30


def test_missing_the_tables_is_no_reason_to_refuse_where_they_are_noise() -> None:
    _, profile = profile_of(RULED, ruled_rows(1), 0.5)
    Misfit(profile, residual=9.0, misfit=0.3)._check_converged()  # refused for the table of 3,000 rows above
